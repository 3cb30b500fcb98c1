//! A place in `config.json`.

use std::borrow::Cow;
use std::fmt;

/// A place in `config.json`, such as `linux.resources.memory.limit` or `mounts[3]`.
///
/// Every operation of a plan has the field that asked for it, so that the error of a failed operation names the field.
/// Nearly all of these texts are never read, so the index is kept as a number and no text is made.
#[derive(Clone, Debug)]
pub struct Field {
    path: Cow<'static, str>,
    /// The element of the list at this path.
    index: Option<usize>,
}

impl Field {
    /// A field with a constant path.
    pub const fn of(path: &'static str) -> Self {
        Field { path: Cow::Borrowed(path), index: None }
    }

    /// The element `index` of the list at `path`.
    pub fn item(path: impl Into<Cow<'static, str>>, index: usize) -> Self {
        Field { path: path.into(), index: Some(index) }
    }

    /// The member `key` of this field.
    pub fn member(&self, key: &str) -> Self {
        Field::from(format!("{self}.{key}"))
    }

    /// The element `index` of this list.
    pub fn element(&self, index: usize) -> Self {
        Field::item(self.text().into_owned(), index)
    }

    /// The path.
    pub fn text(&self) -> Cow<'_, str> {
        match self.index {
            Some(index) => format!("{}[{index}]", self.path).into(),
            None => Cow::Borrowed(&self.path),
        }
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Field {}

impl From<&'static str> for Field {
    fn from(path: &'static str) -> Self {
        Field::of(path)
    }
}

impl From<String> for Field {
    fn from(path: String) -> Self {
        Field { path: Cow::Owned(path), index: None }
    }
}

impl From<&Field> for Field {
    fn from(field: &Field) -> Self {
        field.clone()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let mount = Field::item("mounts", 3);
        for (field, path) in [
            (Field::of("root.path"), "root.path"),
            (mount.clone(), "mounts[3]"),
            (mount.member("source"), "mounts[3].source"),
            (mount.member("options").element(1), "mounts[3].options[1]"),
            (Field::of("linux").member("resources"), "linux.resources"),
            (mount.element(0), "mounts[3][0]"),
        ] {
            assert_eq!((field.to_string().as_str(), &*field.text()), (path, path));
            assert_eq!(field, Field::from(path.to_owned()));
        }
        assert_ne!(mount, Field::item("mounts", 4));
    }
}

//! A place in `config.json`.

use std::borrow::Cow;
use std::fmt;

/// A place in `config.json`, such as `linux.resources.memory.limit` or `mounts[3]`.
///
/// Every operation of a plan has the field that asked for it, so that the error of a failed operation names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(Cow<'static, str>);

impl Field {
    /// A field with a constant path.
    pub const fn of(path: &'static str) -> Self {
        Field(Cow::Borrowed(path))
    }

    /// The element `index` of the list at `path`.
    pub fn item(path: &str, index: usize) -> Self {
        let mut text = String::with_capacity(path.len() + 8);
        text.push_str(path);
        text.push('[');
        push_number(&mut text, index);
        text.push(']');
        Field(Cow::Owned(text))
    }

    /// The member `key` of this field.
    pub fn member(&self, key: &str) -> Self {
        Field(Cow::Owned(format!("{}.{key}", self.0)))
    }

    /// The element `index` of this list.
    pub fn element(&self, index: usize) -> Self {
        Field::item(&self.0, index)
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Appends a decimal number. Every operation of a list has one, and `format!` takes ten times as long.
fn push_number(text: &mut String, number: usize) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

impl From<&'static str> for Field {
    fn from(path: &'static str) -> Self {
        Field::of(path)
    }
}

impl From<String> for Field {
    fn from(path: String) -> Self {
        Field(Cow::Owned(path))
    }
}

impl From<&Field> for Field {
    fn from(field: &Field) -> Self {
        field.clone()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Field;

    #[test]
    fn an_element_has_its_index() {
        for index in [0, 9, 10, 1007, usize::MAX] {
            assert_eq!(Field::item("mounts", index).as_str(), format!("mounts[{index}]"));
        }
    }
}

//! The refusal of a config.

use std::borrow::Cow;
use std::fmt;

use super::Field;

/// A value of `config.json` that is refused. Printed as `linux.resources.memory.limit: -5 is no size`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The place of the refused value.
    pub field: Field,
    /// The reason.
    pub text: String,
}

impl Refusal {
    /// Made by [`refusal!`] and [`refuse!`].
    pub fn new(field: impl Into<Field>, text: String) -> Refusal {
        Refusal { field: field.into(), text }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", visible(&self.field.text()), visible(&self.text))
    }
}

/// The text with control characters as escapes. A name or a value of a document may hold a line break, or what a
/// terminal takes for a command, and a message is one line.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape =
        |letter: char| if letter.is_control() { letter.escape_default().collect() } else { letter.to_string() };
    text.chars().map(escape).collect::<String>().into()
}

impl std::error::Error for Refusal {}

/// Makes a [`Refusal`] of a field: `refusal!(field, "{id} is no id")`.
macro_rules! refusal {
    ($field:expr, $($text:tt)+) => {
        $crate::spec::Refusal::new($field, format!($($text)+))
    };
}

/// Returns a [`Refusal`] of a field: `refuse!("linux.resources", "…")`.
macro_rules! refuse {
    ($field:expr, $($text:tt)+) => {
        return Err($crate::spec::refusal!($field, $($text)+).into())
    };
}

pub(crate) use {refusal, refuse};

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(field: &Field) -> anyhow::Result<()> {
        refuse!(field.member("uid"), "{} is no id", -1)
    }

    #[test]
    fn the_field_comes_first() {
        let error = refused(&Field::of("process.user")).unwrap_err();
        assert_eq!(error.to_string(), "process.user.uid: -1 is no id");
        assert_eq!(error.downcast_ref::<Refusal>().map(|it| it.field.to_string()), Some("process.user.uid".to_owned()));
    }

    #[test]
    fn a_refusal_is_one_line() {
        let refusal = refusal!(Field::of("linux.sysctl").member("a\nb"), "é \u{1b}[2J\0 \"x\"");
        assert_eq!(refusal.to_string(), r#"linux.sysctl.a\nb: é \u{1b}[2J\u{0} "x""#);
    }
}

//! The refusal of a config.

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
        write!(f, "{}: {}", self.field, self.text)
    }
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
}

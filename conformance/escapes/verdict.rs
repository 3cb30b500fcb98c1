//! The verdict on an attack: its effect must not appear.

use crate::harness::{Bundle, Output, Result, names_field, runtime};
use std::fmt::{self, Display};

/// The attack has succeeded. Any other error says only that the attack could not be carried out to its end.
#[derive(Debug)]
pub struct Broken(String);

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the attack succeeded: {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// Ends an attack as successful unless the runtime has held. `seen` is the evidence.
pub fn ensure_held(held: bool, seen: impl Display) -> Result {
    if held { Ok(()) } else { Err(Broken(seen.to_string()).into()) }
}

/// The runtime refuses to create this container. tare also names the field, and leaves nothing.
pub fn refused(bundle: Bundle, field: &str) -> Result<Output> {
    let container = bundle.build()?;
    let output = container.create()?;
    ensure_held(!output.status.success(), format_args!("created: {output}"))?;
    names_field(&output, field)?;
    if runtime::is("tare") {
        container.nothing_left()?;
    }
    Ok(output)
}

/// For a check that fails only if the attack has succeeded.
pub trait OrBroken<T> {
    fn or_broken(self) -> Result<T>;
}

impl<T> OrBroken<T> for Result<T> {
    fn or_broken(self) -> Result<T> {
        self.map_err(|error| Broken(format!("{error:#}")).into())
    }
}

/// The number of rounds of a race: a few, or as many as `ROUNDS` says.
pub fn rounds(few: u32) -> u32 {
    std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

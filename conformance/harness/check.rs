//! Checks whose messages say what was seen and what was wanted.

use super::{Output, Result, runtime};
use anyhow::{bail, ensure};
use std::fmt::{self, Debug, Display};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The reason why a test cannot run here. It is counted and shown as "ignored", never as passed.
#[derive(Debug)]
pub struct Skip(String);

impl Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Ends a test as skipped.
pub fn skip<T>(reason: impl Into<String>) -> Result<T> {
    Err(Skip(reason.into()).into())
}

/// Fails unless what was seen is what was wanted.
pub fn equal<A: Debug + PartialEq<B>, B: Debug>(what: &str, seen: A, wanted: B) -> Result {
    ensure!(seen == wanted, "{what}: wanted {wanted:?}, saw {seen:?}");
    Ok(())
}

/// Fails unless `text` contains `part`.
pub fn contains(what: &str, text: &str, part: &str) -> Result {
    ensure!(text.contains(part), "{what}: wanted {part:?} in {text:?}");
    Ok(())
}

/// An error of tare must name the field of config.json that it comes from. Other runtimes need only fail.
pub fn names_field(output: &Output, field: &str) -> Result {
    output.failure()?;
    if runtime::is("tare") {
        contains("the error names the field", &output.stderr, field)?;
    }
    Ok(())
}

/// A time limit in seconds, multiplied by `PATIENCE` on a slow machine.
pub fn patience(seconds: u32) -> Duration {
    static TIMES: OnceLock<u32> = OnceLock::new();
    let times = TIMES.get_or_init(|| std::env::var("PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1));
    Duration::from_secs(1) * seconds * *times
}

/// Waits up to ten seconds for a condition.
pub fn eventually(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result {
    let patience = patience(10);
    let deadline = Instant::now() + patience;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("timeout after {patience:?}, waiting for: {what}");
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    Ok(())
}

//! The text of `state.json`.
//!
//! Its first line holds everything but the config, which is the larger part: most commands read only that line.
//!
//! ```json
//! {"complete":1,"freezer":"/sys/fs/cgroup/box/cgroup.freeze","format":1,"id":"box", … }
//! ,"config":{ … }}
//! ```
//!
//! (The first line of the file has no closing brace.) `create` holds the directory's lock until the container is
//! complete. Then it overwrites the digit after `complete`, so that other commands need not ask for the lock. `start`
//! overwrites it again, so that they need not look for the gate. The digit may be late, but never early.

use std::io::BufRead;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::names::FORMAT;
use super::record::Record;
use crate::spec::visible;

const START: &[u8] = b"{\"complete\":";
const CONFIG: &[u8] = b"\n,\"config\":";

pub(super) const AFTER_CONFIG: &[u8] = b"}";

/// The place of the digit.
pub(super) const DIGIT: i64 = START.len() as i64;
/// The digit of a complete container.
pub(super) const COMPLETE: u8 = 1;
/// The digit of a complete container whose gate is open.
pub(super) const STARTED: u8 = 2;

/// A digit as its character.
pub(super) fn digit(number: u8) -> u8 {
    b'0' + number
}

/// Whether the text has the digit.
pub(super) fn has_digit(start: &[u8]) -> bool {
    start.starts_with(START)
}

/// The members in front of those of [`Record`].
#[derive(Serialize)]
struct Leading {
    complete: u8,
    /// The file that says whether the container is frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    freezer: Option<PathBuf>,
}

/// The text in front of the config. The config follows as given to `create`, because later commands must not depend on
/// changes of the file in the bundle, and then [`AFTER_CONFIG`]. One file is cheaper than two.
pub(super) fn before_config(record: &Record) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, &Leading { complete: record.complete, freezer: record.cgroup.freezer_file() })?;
    // The two objects become one.
    let brace = text.len() - 1;
    text.truncate(brace);
    serde_json::to_writer(&mut text, record)?;
    text[brace] = b',';
    text.pop();
    text.extend_from_slice(CONFIG);
    Ok(text)
}

/// The JSON object of the first line, made in place; `None` if the text is of an older version, or if this is not the
/// whole line. The parser is faster if it knows that the line is UTF-8.
pub(super) fn first_line(text: &mut [u8]) -> Option<&str> {
    if !has_digit(text) {
        return None;
    }
    // A line break in a JSON string would be an escape.
    let length = (&*text).skip_until(CONFIG[0]).ok()?;
    let line = text.get_mut(..length)?;
    let end = line.last_mut().filter(|end| **end == CONFIG[0])?;
    *end = b'}';
    std::str::from_utf8(line).ok()
}

/// The record in a text.
///
/// # Errors
/// Another program or a newer version has written it.
pub(super) fn record(text: &mut [u8]) -> Result<Record, String> {
    // Not `from_slice`: the parser for bytes is a second copy of the code.
    let text = match first_line(text) {
        Some(line) => line,
        None => std::str::from_utf8(text).map_err(|error| error.to_string())?,
    };
    // The parser's message may quote a name of the text.
    let record: Record = serde_json::from_str(text).map_err(|error| visible(&error.to_string()).into_owned())?;
    known(record.format).map(|()| record)
}

/// The config in a text.
///
/// # Errors
/// Another program has written it.
pub(super) fn config(text: &[u8]) -> Result<Box<RawValue>, String> {
    #[derive(Deserialize)]
    struct Kept<'a> {
        #[serde(borrow)]
        config: &'a RawValue,
    }
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let kept: Kept<'_> = serde_json::from_str(text).map_err(|error| visible(&error.to_string()).into_owned())?;
    Ok(kept.config.to_owned())
}

/// Checks the format of a record.
pub(super) fn known(format: u32) -> Result<(), String> {
    if format > FORMAT { Err(format!("its format is {format}, and this one knows {FORMAT}")) } else { Ok(()) }
}

/// The record and the config in a text, for the fuzzer.
#[cfg(any(test, fuzzing))]
pub fn read(text: &[u8]) -> (Result<Record, String>, Result<Box<RawValue>, String>) {
    (record(&mut text.to_vec()), config(text))
}

/// The text of a record, for the fuzzer.
#[cfg(any(test, fuzzing))]
pub fn write(record: &Record, config: &str) -> Vec<u8> {
    let first_line = before_config(record).expect("a record can be written");
    [&first_line, config.as_bytes(), AFTER_CONFIG].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(annotations: &[(&str, &str)]) -> Record {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut record = Record::default();
        record.id = "box".to_owned();
        record.annotations = annotations.iter().map(owned).collect();
        record
    }

    fn compose(record: &Record, config: &[u8]) -> Vec<u8> {
        [&before_config(record).unwrap(), config, AFTER_CONFIG].concat()
    }

    #[test]
    fn the_text_is_json_with_the_config() {
        let text = compose(&example(&[]), b"{\n\"a\": 1}");
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!((&value["id"], &value["config"]), (&"box".into(), &serde_json::json!({"a": 1})));
        assert_eq!(config(&text).unwrap().get(), "{\n\"a\": 1}");
    }

    /// An annotation may be named as a member of the record is, and may have line breaks.
    #[test]
    fn the_record_is_in_the_first_line() {
        let record = example(&[("config", "{"), ("a", "\n,\"config\":")]);
        let mut text = compose(&record, b"{\n}");
        let line = first_line(&mut text).unwrap().to_owned();
        assert!(!line.contains('\n'));
        let read: Record = serde_json::from_str(&line).unwrap();
        assert_eq!((&read.id, &read.annotations), (&record.id, &record.annotations));
        let mut half = text[..20].to_vec();
        assert!(first_line(&mut half).is_none());
    }

    #[test]
    fn the_digit_is_at_its_place() {
        let mut text = compose(&example(&[]), b"{}");
        assert_eq!(super::record(&mut text.clone()).unwrap().complete, 0);
        text[DIGIT as usize] = digit(STARTED);
        assert_eq!(super::record(&mut text).unwrap().complete, STARTED);
    }

    #[test]
    fn texts_of_other_versions() {
        let older = |format: u32| {
            let mut record = example(&[("config", "c")]);
            record.format = format;
            let mut text = serde_json::to_vec(&record).unwrap();
            text.pop();
            text.extend_from_slice(b",\"config\":{\"a\":1\n,\"config\":2}}");
            text
        };
        assert_eq!(super::record(&mut older(FORMAT)).unwrap().annotations["config"], "c");
        assert_eq!(config(&older(FORMAT)).unwrap().get(), "{\"a\":1\n,\"config\":2}");
        assert!(super::record(&mut older(FORMAT + 1)).unwrap_err().contains("its format is 2"));
    }
}

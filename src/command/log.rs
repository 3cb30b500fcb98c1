//! The log: errors and warnings in runc's two formats, in a file or on standard error.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::cli::Global;
use crate::state::{Precision, rfc3339};
use crate::sys::Call;

/// The log of one run of the runtime.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
}

impl Log {
    /// A log on standard error: plain lines, or JSON objects with `--log-format json`.
    pub fn standard_error(global: &Global) -> Log {
        Log { file: None, json: global.log_json, debug: global.debug }
    }

    /// Opens the log that the command line asks for.
    ///
    /// # Errors
    /// The file cannot be opened. A caller that names a log reads it, and would miss the error.
    pub fn open(global: &Global) -> Result<Log> {
        let mut log = Log::standard_error(global);
        if let Some(path) = &global.log {
            let open = File::options().append(true).create(true).mode(0o644).custom_flags(libc::O_SYNC).open(path);
            log.file = Some(open.named(format_args!("open {}", path.display()))?);
        }
        Ok(log)
    }

    /// Writes an error into the log file and, as a plain line, to standard error. Engines read one or the other.
    pub fn error(&self, message: &str) {
        self.write("error", message);
        if self.file.is_some() {
            self.aside(message);
        }
    }

    /// Writes a line to standard error only.
    pub fn aside(&self, message: &str) {
        // If standard error fails too, there is no other place to report it.
        let _ = std::io::stderr().write_all(format!("{message}\n").as_bytes());
    }

    /// Writes a warning into the log file or, without one, to standard error.
    pub fn warning(&self, message: &str) {
        self.write("warning", message);
    }

    /// Writes a message if `--debug` is given. Without it the message is not even made.
    pub fn debug(&self, message: impl FnOnce() -> String) {
        if self.debug {
            self.write("debug", &message());
        }
    }

    fn write(&self, level: &str, message: &str) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = rfc3339(since, Precision::Seconds);
        let line = match (self.json, &self.file) {
            (true, _) => serde_json::json!({"level": level, "msg": message, "time": time}).to_string(),
            (false, Some(_)) => format!("time={time:?} level={level} msg={}", quoted(message)),
            // Standard error without a log file is for people: no time, no level.
            (false, None) if level == "error" => message.to_owned(),
            (false, None) => format!("{level}: {message}"),
        };
        // Other processes may append to the same file, so each line is one write. If the disk is full, the line goes to
        // standard error.
        let logged = self.file.as_ref().is_some_and(|mut file| file.write_all(format!("{line}\n").as_bytes()).is_ok());
        if !logged {
            self.aside(&line);
        }
    }
}

/// Quotes a text as Go does. For the characters that occur in messages this is JSON's quoting.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

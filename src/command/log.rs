//! Where errors and warnings go: runc's two formats, in a file or on standard error.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::cli::Global;
use crate::state::{Precision, rfc3339};
use crate::sys::Call;

/// The log of one run of the program.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
}

impl Log {
    /// The log on standard error: plain lines, or JSON objects with `--log-format json`.
    pub fn standard_error(global: &Global) -> Log {
        Log { file: None, json: global.log_json, debug: global.debug }
    }

    /// The log that was asked for.
    ///
    /// # Errors
    /// A file that cannot be opened: who asks for a log reads it, and would miss what went wrong.
    pub fn open(global: &Global) -> Result<Log> {
        let mut log = Log::standard_error(global);
        if let Some(path) = &global.log {
            let open = File::options().append(true).create(true).mode(0o644).custom_flags(libc::O_SYNC).open(path);
            log.file = Some(open.named(format_args!("open {}", path.display()))?);
        }
        Ok(log)
    }

    /// An error: in the log file, and as a plain line on standard error. Engines read either.
    pub fn error(&self, message: &str) {
        self.write("error", message);
        if self.file.is_some() {
            self.aside(message);
        }
    }

    /// A line on standard error that is not for the log.
    pub fn aside(&self, message: &str) {
        // Where even this cannot be written there is nobody left to tell.
        let _ = std::io::stderr().write_all(format!("{message}\n").as_bytes());
    }

    /// Something that is not as asked and is no error: in the log if there is one, else on
    /// standard error.
    pub fn warning(&self, message: &str) {
        self.write("warning", message);
    }

    /// For `--debug`.
    pub fn debug(&self, message: &str) {
        if self.debug {
            self.write("debug", message);
        }
    }

    fn write(&self, level: &str, message: &str) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = rfc3339(since, Precision::Seconds);
        let line = match (self.json, &self.file) {
            (true, _) => serde_json::json!({"level": level, "msg": message, "time": time}).to_string(),
            (false, Some(_)) => format!("time={time:?} level={level} msg={}", quoted(message)),
            // A person reads this.
            (false, None) if level == "error" => message.to_owned(),
            (false, None) => format!("{level}: {message}"),
        };
        // One write a line: the file may be shared. On a full disk standard error is what is left.
        let logged = self.file.as_ref().is_some_and(|mut file| file.write_all(format!("{line}\n").as_bytes()).is_ok());
        if !logged {
            self.aside(&line);
        }
    }
}

/// A text as Go quotes it, which for what is in messages is as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

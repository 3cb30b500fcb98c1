//! Where errors and warnings go: runc's two formats, in a file or on standard error.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::Global;
use crate::state::rfc3339;

/// The log of one run of the program.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
}

impl Log {
    /// Open the log. One that cannot be opened is complained about, and then done without: the
    /// command may still succeed.
    pub fn new(global: &Global) -> Log {
        let file = global.log.as_ref().and_then(|path| {
            let open = File::options().append(true).create(true).mode(0o644).open(path);
            open.map_err(|error| eprintln!("open {}: {}", path.display(), crate::sys::io(error))).ok()
        });
        Log { file, json: global.log_json, debug: global.debug }
    }

    /// An error: in the log, and as a plain line on standard error. Engines read either.
    pub fn error(&self, message: &str) {
        self.write("error", message);
        eprintln!("{message}");
    }

    /// Something that is not as asked and is no error: in the log if there is one, else on
    /// standard error.
    pub fn warning(&self, message: &str) {
        match self.file {
            Some(_) => self.write("warning", message),
            None => eprintln!("warning: {message}"),
        }
    }

    /// For `--debug`.
    pub fn debug(&self, message: &str) {
        match self.file {
            _ if !self.debug => {}
            Some(_) => self.write("debug", message),
            None => eprintln!("debug: {message}"),
        }
    }

    fn write(&self, level: &str, message: &str) {
        let Some(mut file) = self.file.as_ref() else { return };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = rfc3339(since, false);
        let line = match self.json {
            true => serde_json::json!({"level": level, "msg": message, "time": time}).to_string(),
            false => format!("time={time:?} level={level} msg={message:?}"),
        };
        // One write a line: the file may be shared.
        let _ = file.write_all((line + "\n").as_bytes());
    }
}

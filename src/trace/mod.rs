//! `--trace`: the stages of the runtime and the operations of `init` with their durations, in Chrome's trace format.
//!
//! A stage is a function call: [`work`] or [`wait`] with the call as a closure. Without `--trace` that costs a branch,
//! and no system call, no allocation and no memory.

mod events;

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::clock::{self, Moment};

pub use events::{Category, Details, Span};
use events::{Lane, json};

/// Whether this process makes a trace. It is set before the first thread starts.
static ON: AtomicBool = AtomicBool::new(false);
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);

struct Recorder {
    /// The moment at which the trace began: one of the two that relate the processor's counter to the clock.
    began: Moment,
    /// The spans, in the order in which they ended.
    spans: Vec<Span>,
    lanes: Vec<Lane>,
}

/// Whether a trace is made.
#[inline]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Begins the trace of this process, which carries out `command`.
pub fn begin(command: &str) {
    let began = Moment::now();
    let lane = Lane { pid: own(), process: command.to_owned(), thread: "runtime" };
    let mut recorder = Recorder { began, spans: Vec::new(), lanes: vec![lane] };
    recorder.spans.push(Span {
        pid: own(),
        name: "start-up".to_owned(),
        category: Category::Work,
        begin: began.time.saturating_sub(clock::processor_time()),
        end: began.time,
        details: Details { note: Some(START_UP), ..Details::default() },
    });
    *lock() = Some(recorder);
    ON.store(true, Ordering::Relaxed);
}

/// Nothing reads a clock before the option is known.
const START_UP: &str = "the CPU time of the process until the command line was parsed";

/// Ends the trace and returns its text. `error` is the command's.
pub fn end(status: i32, error: Option<&str>) -> String {
    ON.store(false, Ordering::Relaxed);
    let Some(mut recorder) = lock().take() else { return String::new() };
    let (Some(first), Some(lane)) = (recorder.spans.first(), recorder.lanes.first()) else { return String::new() };
    recorder.spans.push(Span {
        pid: own(),
        name: lane.process.clone(),
        category: Category::Work,
        begin: first.begin,
        end: clock::monotonic(),
        details: Details { status: Some(status), error: error.map(str::to_owned), ..Details::default() },
    });
    json(recorder.spans, &recorder.lanes)
}

/// A stage in which the runtime works. If it fails, the trace has its error.
#[inline]
pub fn work<T, E: Display>(name: impl Display, stage: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    timed(name, Category::Work, stage)
}

/// A stage in which the runtime waits for another process or for the kernel.
#[inline]
pub fn wait<T, E: Display>(name: impl Display, stage: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    timed(name, Category::Wait, stage)
}

/// A wait that cannot fail.
#[inline]
pub fn pause<T>(name: impl Display, stage: impl FnOnce() -> T) -> T {
    let Ok(value) = wait(name, || Ok::<_, Infallible>(stage()));
    value
}

#[inline]
fn timed<T, E: Display>(name: impl Display, category: Category, stage: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let begin = is_on().then(clock::monotonic);
    let result = stage();
    if let Some(begin) = begin {
        ended(&name, category, begin, result.as_ref().err().map(|error| error as &dyn Display));
    }
    result
}

#[cold]
fn ended(name: &dyn Display, category: Category, begin: u64, error: Option<&dyn Display>) {
    let end = clock::monotonic();
    let Some(recorder) = &mut *lock() else { return };
    // The innermost stage has the error, not the stages around it.
    let inner = recorder.spans.last().is_some_and(|last| last.begin >= begin && last.details.error.is_some());
    let error = error.filter(|_| !inner).map(|error| format!("{error:#}"));
    let details = Details { error, ..Details::default() };
    recorder.spans.push(Span { pid: own(), name: name.to_string(), category, begin, end, details });
}

/// Adds the spans of another process, which the runtime has measured.
pub fn add(pid: i32, process: &str, thread: &'static str, spans: Vec<Span>) {
    if let Some(recorder) = &mut *lock() {
        recorder.lanes.push(Lane { pid, process: process.to_owned(), thread });
        // At the front, but behind the first span: `ended` looks at the last one.
        recorder.spans.splice(1..1, spans);
    }
}

/// The moment at which the trace began.
pub fn began() -> Moment {
    lock().as_ref().map_or_else(Moment::now, |recorder| recorder.began)
}

fn lock() -> MutexGuard<'static, Option<Recorder>> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own() -> i32 {
    std::process::id() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, Result, bail};

    fn fails() -> Result<()> {
        bail!("no \"x\"")
    }

    /// The recorder is one for the whole process, so this is one test. Other tests may add stages at the same time.
    #[test]
    fn the_innermost_stage_has_the_error() {
        assert!(work("before", fails).is_err());
        begin("tare test x");
        let outer = work("outer", || {
            let _ = work("ignored", fails);
            wait("well", || Ok::<_, anyhow::Error>(()))?;
            work("inner", || fails().context("why"))
        });
        assert!(outer.is_err());
        assert!(work("alone", || work("done", || Ok::<_, anyhow::Error>(())).and_then(|()| fails())).is_err());
        add(7, "init", "init", Vec::new());
        let text = end(1, Some("all"));
        assert!(work("after", fails).is_err() && !is_on());
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let error = |name: &str| {
            let events = document["traceEvents"].as_array().into_iter().flatten();
            let found: Vec<_> = events.filter(|event| event["name"] == name && event["ph"] == "X").collect();
            found.first().map(|event| event["args"]["error"].as_str().unwrap_or("none").to_owned())
        };
        for (name, wanted) in [
            ("before", None),
            ("after", None),
            ("tare test x", Some("all")),
            ("start-up", Some("none")),
            ("ignored", Some("no \"x\"")),
            ("well", Some("none")),
            ("inner", Some("why: no \"x\"")),
            ("outer", Some("none")),
            ("alone", Some("no \"x\"")),
        ] {
            assert_eq!(error(name).as_deref(), wanted, "{name}");
        }
    }
}

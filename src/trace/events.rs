//! The events of a trace as JSON: Chrome's Trace Event Format, which ui.perfetto.dev, chrome://tracing and speedscope
//! read.

use serde::Serialize;

/// The use of a span's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// The process works, or the kernel does so for it.
    Work,
    /// The process waits for another process.
    Wait,
}

/// The facts about a span beside its time.
#[derive(Debug, Default, Serialize)]
pub struct Details {
    /// The field of `config.json` that asked for the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The index of the operation in the program of `init`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The exit status of the runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The way in which the times were measured, if they say less than others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// A stage or an operation, with times in nanoseconds of CLOCK_MONOTONIC.
#[derive(Debug)]
pub struct Span {
    /// The process, in the pid namespace of the runtime.
    pub pid: i32,
    pub name: String,
    pub category: Category,
    pub begin: u64,
    pub end: u64,
    pub details: Details,
}

/// A process with spans.
#[derive(Debug)]
pub struct Lane {
    pub pid: i32,
    pub process: String,
    pub thread: &'static str,
}

/// An event that has a duration ("complete").
#[derive(Serialize)]
struct Complete<'a> {
    name: &'a str,
    cat: Category,
    ph: &'static str,
    /// In microseconds.
    ts: f64,
    dur: f64,
    pid: i32,
    tid: i32,
    args: &'a Details,
}

/// An event that names a process or a thread.
#[derive(Serialize)]
struct Metadata<'a> {
    name: &'static str,
    ph: &'static str,
    pid: i32,
    tid: i32,
    args: Named<'a>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

/// The trace, with one event a line: a span comes before the spans inside it.
pub fn json(mut spans: Vec<Span>, lanes: &[Lane]) -> String {
    let place = |pid: i32| lanes.iter().position(|lane| lane.pid == pid);
    // The sort is stable, and an inner span ends before the outer one: of spans with the same times the last one to end
    // is the outer one. Operations have an index, stages have none.
    spans.reverse();
    spans.sort_by_key(|span| (place(span.pid), span.details.index, span.begin, std::cmp::Reverse(span.end)));
    let names = lanes.iter().flat_map(|lane| {
        [("process_name", lane.process.as_str()), ("thread_name", lane.thread)].map(|(name, value)| {
            line(&Metadata { name, ph: "M", pid: lane.pid, tid: lane.pid, args: Named { name: value } })
        })
    });
    let lines: Vec<String> = names.chain(spans.iter().map(|span| line(&complete(span)))).collect();
    format!("{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
}

fn complete(span: &Span) -> Complete<'_> {
    let Span { pid, name, category, begin, end, details } = span;
    let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    let (ts, dur) = (microseconds(*begin), microseconds(end.saturating_sub(*begin)));
    Complete { name, cat: *category, ph: "X", ts, dur, pid: *pid, tid: *pid, args: details }
}

/// Serializing these types cannot fail: their keys are strings.
fn line(event: &impl Serialize) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(pid: i32, name: &str, begin: u64, end: u64) -> Span {
        Span { pid, name: name.to_owned(), category: Category::Work, begin, end, details: Details::default() }
    }

    #[test]
    fn one_event_a_line_in_microseconds() {
        let lanes = [Lane { pid: 7, process: "tare run x".to_owned(), thread: "runtime" }];
        let details = Details {
            field: Some("mounts[0]".to_owned()),
            index: Some(3),
            error: Some("a \"b\"\n".to_owned()),
            ..Details::default()
        };
        let text =
            json(vec![Span { details, category: Category::Wait, ..span(7, "mount", 1_234_567, 1_234_999) }], &lanes);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"{"displayTimeUnit":"ns","traceEvents":["#);
        assert_eq!(lines[1], r#"{"name":"process_name","ph":"M","pid":7,"tid":7,"args":{"name":"tare run x"}},"#);
        assert_eq!(lines[2], r#"{"name":"thread_name","ph":"M","pid":7,"tid":7,"args":{"name":"runtime"}},"#);
        assert_eq!(
            lines[3],
            r#"{"name":"mount","cat":"wait","ph":"X","ts":1234.567,"dur":0.432,"pid":7,"tid":7,"args":{"field":"mounts[0]","index":3,"error":"a \"b\"\n"}}"#
        );
        assert_eq!(lines[4], "]}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn outer_spans_come_first_and_lanes_stay_together() {
        let lane = |pid| Lane { pid, process: String::new(), thread: "" };
        // In the order in which they end.
        let spans = vec![
            span(9, "init", 2, 3),
            span(5, "inner", 1, 2),
            span(5, "same", 1, 2),
            span(5, "late", 4, 6),
            span(5, "whole", 1, 6),
        ];
        let text = json(spans, &[lane(5), lane(9)]);
        let names: Vec<&str> = text
            .lines()
            .filter(|line| line.contains(r#""ph":"X""#))
            .filter_map(|line| line.strip_prefix(r#"{"name":""#)?.split('"').next())
            .collect();
        assert_eq!(names, ["whole", "same", "inner", "late", "init"]);
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_negative_duration() {
        assert!(json(vec![span(1, "x", 5, 4)], &[]).contains(r#""dur":0.0,"#));
    }
}

//! `events`: statistics and OOM events of a container, one JSON object a line.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use serde::Serialize;

use super::log::Log;
use super::shared::root;
use crate::cgroup::{Oom, Stats};
use crate::cli::{EventsArgs, Global, duration};
use crate::rdt::RdtStats;
use crate::state::{Record, Status};
use crate::sys::{self, CallError, Errno};

/// Time between two statistics without `--interval`.
const INTERVAL: Duration = Duration::from_secs(5);

/// A line of output. Engines match its beginning as text: `{"type":"stats","id":"X",`.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Serialize)]
struct Data {
    #[serde(flatten)]
    cgroup: Stats,
    intel_rdt: RdtStats,
    /// Network interfaces that runc itself has set up: none in a container of the specification.
    network_interfaces: Option<Vec<()>>,
}

pub fn run(global: &Global, args: &EventsArgs, log: &Log) -> Result<()> {
    let (directory, record) = root(global)?.load(&args.id)?;
    let interval = interval(args)?;
    let stopped = || anyhow!("container with id {} is not running", record.id);
    if matches!(record.status(&directory)?, Status::Stopped | Status::Creating) {
        bail!(stopped());
    }
    if args.stats {
        return super::print(&line(&statistics(&record)?)?);
    }
    let process = sys::process::pidfd_open(record.pid).map_err(|errno| match errno {
        Errno::ESRCH => stopped(),
        errno => CallError::new("pidfd_open", errno).into(),
    })?;
    // The pid may have been reused between the status check and pidfd_open(2).
    if !record.alive()? {
        bail!(stopped());
    }
    let oom = record.cgroup.oom().unwrap_or_else(|error| {
        log.warning(&format!("{error:#}"));
        None
    });
    follow(&record, &process, oom, interval)
}

fn interval(args: &EventsArgs) -> Result<Duration> {
    let Some(text) = args.interval.as_deref() else { return Ok(INTERVAL) };
    // An unparsable time and a negative one get different messages, as with runc.
    let positive = text.strip_prefix('-').unwrap_or(text);
    let interval = duration(positive).map_err(|error| anyhow!("invalid value {text:?} for flag -interval: {error}"))?;
    if interval.is_zero() || positive != text {
        bail!("duration interval must be greater than 0");
    }
    Ok(interval)
}

/// Prints events until the container ends or the reader closes standard output.
fn follow(record: &Record, process: &OwnedFd, mut oom: Option<Oom>, interval: Duration) -> Result<()> {
    let stdout = std::io::stdout();
    let mut next = Instant::now() + interval;
    loop {
        let mut polled = vec![
            PollFd::new(process.as_fd(), PollFlags::POLLIN),
            // Without events, poll(2) still reports that the reader has closed its end.
            PollFd::new(stdout.as_fd(), PollFlags::empty()),
        ];
        polled.extend(oom.as_ref().map(|oom| PollFd::new(oom.as_fd(), PollFlags::POLLIN)));
        let left = TimeSpec::from_duration(next.saturating_duration_since(Instant::now()));
        match ppoll(&mut polled, Some(left), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => bail!(CallError::new("poll", errno)),
        }
        let said = |index: usize| polled[index].revents().is_some_and(|events| !events.is_empty());
        let (ended, unread) = (said(0), said(1));
        if unread {
            return Ok(());
        }
        if let Some(oom) = &mut oom
            && oom.happened()?
            && !tell(&Event { kind: "oom", id: &record.id, data: None })?
        {
            return Ok(());
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            if !tell(&statistics(record)?)? {
                return Ok(());
            }
            // If the statistics take longer than the interval, the missed ones are skipped.
            next = (next + interval).max(Instant::now());
        }
    }
}

fn statistics(record: &Record) -> Result<Event<'_>> {
    let intel_rdt = record.rdt.as_ref().map(|groups| groups.stats()).unwrap_or_default();
    let data = Data { cgroup: record.cgroup.stats()?, intel_rdt, network_interfaces: None };
    Ok(Event { kind: "stats", id: &record.id, data: Some(data) })
}

fn line(event: &Event<'_>) -> Result<String> {
    Ok(serde_json::to_string(event)? + "\n")
}

/// Prints an event. `false` if the reader has closed its end, which is no error.
fn tell(event: &Event<'_>) -> Result<bool> {
    let (line, mut stdout) = (line(event)?, std::io::stdout().lock());
    match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CallError::new("write to standard output", error).into()),
    }
}

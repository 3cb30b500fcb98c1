//! `events`: statistics of a container, and its want of memory, one JSON object a line.

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

/// Time between two statistics when nobody says.
const INTERVAL: Duration = Duration::from_secs(5);

/// A line. Its beginning is matched as text: `{"type":"stats","id":"X",`.
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
    /// What runc has set up of the network itself: nothing, for containers of the specification.
    network_interfaces: Option<Vec<()>>,
}

/// The command.
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
    let process = sys::process::pidfd_open(record.pid).map_err(|_| stopped())?;
    // Between the look at the status and the handle, the pid may have become another's.
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
    // Whoever gives a time that is none deserves another word than whoever gives none at all.
    let positive = text.strip_prefix('-').unwrap_or(text);
    let interval = duration(positive).map_err(|error| anyhow!("invalid value {text:?} for flag -interval: {error}"))?;
    if interval.is_zero() || positive != text {
        bail!("duration interval must be greater than 0");
    }
    Ok(interval)
}

/// Until the container ends, or nobody reads any more.
fn follow(record: &Record, process: &OwnedFd, mut oom: Option<Oom>, interval: Duration) -> Result<()> {
    let stdout = std::io::stdout();
    let mut next = Instant::now() + interval;
    loop {
        let mut polled = vec![
            PollFd::new(process.as_fd(), PollFlags::POLLIN),
            // For its end alone: the reader's, if there is one.
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
            // One that takes longer than the interval is not made up for.
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

/// Prints it. Whether somebody reads: that nobody does any more is the end, and no error.
fn tell(event: &Event<'_>) -> Result<bool> {
    let (line, mut stdout) = (line(event)?, std::io::stdout().lock());
    match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CallError::new("write to standard output", error).into()),
    }
}

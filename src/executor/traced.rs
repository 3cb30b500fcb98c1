//! The operations of `init` in a trace: their names are the lines of `tare plan`, their times come from `init` itself.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::init::op::{Enter, Op, Talk};
use crate::plan::{Program, describe};
use crate::sys::Call;
use crate::sys::clock::{Moment, monotonic};
use crate::sys::clone::NAME;
use crate::sys::stamps::SharedStamps;
use crate::trace::{self, Category, Details, Span};

/// The time that `init` may take from the runtime's last answer to the gate or to execve(2).
const PATIENCE: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_micros(20);

/// The times of one `init`. Dropping this adds them to the trace.
#[derive(Debug)]
pub struct TracedInit<'a> {
    program: &'a Program,
    stamps: SharedStamps,
    /// The pid of `init`; 0 before the clone.
    pid: i32,
    /// A time before which `init` did not exist.
    cloned: u64,
    /// The time at which `init` executed the user's program or failed.
    over: Option<u64>,
    /// The error of `init`: the index of the failed operation if `init` has reported it, and the text.
    failed: Option<(Option<usize>, String)>,
}

/// A part of a program that was carried out.
#[derive(Debug, PartialEq, Eq)]
struct Carried {
    index: usize,
    begin: u64,
    /// `None` for the operation that `init` had not completed.
    end: Option<u64>,
}

impl<'a> TracedInit<'a> {
    /// Makes the memory that `init` stores its times in, and a descriptor of it for `init`. `None` if no trace is made.
    ///
    /// # Errors
    /// The memory cannot be made.
    pub fn new(program: &'a Program) -> Result<Option<(TracedInit<'a>, OwnedFd)>> {
        if !trace::is_on() {
            return Ok(None);
        }
        let (stamps, memory) =
            SharedStamps::new(program.ops().len() + 1).named("--trace: memory to share with init")?;
        Ok(Some((TracedInit { program, stamps, pid: 0, cloned: monotonic(), over: None, failed: None }, memory)))
    }

    /// The runtime is about to make the first process of `init`.
    pub fn cloning(&mut self) {
        self.cloned = monotonic();
    }

    /// `init` runs in the process `pid`.
    pub fn born(&mut self, pid: i32) {
        self.pid = pid;
    }

    /// `init` has closed its end of the channel. Waits until it has executed the user's program or has exited: the link
    /// to its image shows this.
    pub fn closed(&mut self) {
        let (link, name) = (format!("/proc/{}/exe", self.pid), NAME.to_string_lossy());
        let is_init = || std::fs::read_link(&link).is_ok_and(|image| image.to_string_lossy().contains(&*name));
        let begin = Instant::now();
        trace::pause("wait until init executes the program", || {
            while is_init() && begin.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        });
        self.over = Some(monotonic());
    }

    /// `init` has failed, at the operation with this index if it is known.
    pub fn failed(&mut self, index: Option<usize>, text: &str) {
        self.failed = Some((index, text.to_owned()));
        self.over.get_or_insert_with(monotonic);
    }

    /// Waits until `init` is at the gate, so that the trace does not depend on which of the two processes runs first.
    pub fn wait_for_gate(&self) {
        let is_gate = |op: &Op| matches!(op, Op::Talk(Talk::Gate { .. }));
        let Some(gate) = self.program.ops().iter().position(is_gate) else { return };
        let begin = Instant::now();
        while self.stamps.get(gate) == 0 && begin.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
    }

    fn span(&self, carried: &Carried, ended: u64) -> Option<Span> {
        let Carried { index, begin, end } = *carried;
        let (op, field) = self.program.at(index as u32)?;
        let error = self.failed.as_ref().filter(|(at, _)| at.map_or(end.is_none(), |at| at == index));
        let is_over = end.is_some() || self.over.is_some() || error.is_some();
        let details = Details {
            field: Some(field.to_string()),
            index: Some(index),
            error: error.map(|(_, text)| text.clone()),
            note: (!is_over).then_some("not complete when the trace ended"),
            ..Details::default()
        };
        let name = describe(op, self.program).trim().to_owned();
        let end = end.unwrap_or(ended).max(begin);
        Some(Span { pid: self.pid, name, category: category(op), begin, end, details })
    }
}

impl Drop for TracedInit<'_> {
    fn drop(&mut self) {
        if self.pid == 0 {
            return;
        }
        let ended = self.over.unwrap_or_else(monotonic);
        let (first, last) = (trace::began(), Moment::now());
        // The memory was `init`'s, so its values are checked.
        let stamps = (0..=self.program.ops().len()).map(|index| self.stamps.get(index));
        let times = stamps.map(|ticks| (ticks != 0).then(|| Moment::time_of(ticks, first, last)));
        let times = possible(times.collect(), self.cloned, ended);
        let spans = carried(times).iter().filter_map(|carried| self.span(carried, ended)).collect();
        trace::add(self.pid, "init", "init", spans);
    }
}

/// Moves `times` into the life of `init`. In some virtual machines the counters of two processors differ, by a constant
/// that may be longer than an operation. If the first time is too early by such a constant, then so are the others.
fn possible(mut times: Vec<Option<u64>>, cloned: u64, ended: u64) -> Vec<Option<u64>> {
    let early = times.first().copied().flatten().map_or(0, |first| cloned.saturating_sub(first));
    for time in times.iter_mut().flatten() {
        *time = time.saturating_add(early).min(ended);
    }
    times
}

/// The operations that have begun. `times` has the time before the first operation and after each one that is complete.
fn carried(times: impl IntoIterator<Item = Option<u64>>) -> Vec<Carried> {
    let mut all: Vec<Carried> = Vec::new();
    let mut before: Option<u64> = None;
    for (index, time) in times.into_iter().map_while(|time| time).enumerate() {
        // The counters of two processors may differ a little.
        let time = before.map_or(time, |before| time.max(before));
        if let Some(last) = all.last_mut() {
            last.end = Some(time);
        }
        all.push(Carried { index, begin: time, end: None });
        before = Some(time);
    }
    all
}

/// Whether `init` waits in an operation. In a fork it waits until the runtime has taken over the new process.
fn category(op: &Op) -> Category {
    match op {
        Op::Talk(Talk::Wait | Talk::Ask { .. } | Talk::Gate { .. }) | Op::Enter(Enter::Fork { .. }) => Category::Wait,
        _ => Category::Work,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_in_the_life_of_init() {
        let of = |times: &[u64]| {
            let times = times.iter().map(|time| (*time != 0).then_some(*time)).collect();
            possible(times, 100, 200).iter().map(|time| time.unwrap_or(0)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[120, 150, 0]), [120, 150, 0]);
        assert_eq!(of(&[70, 90, 120, 0]), [100, 120, 150, 0]);
        assert_eq!(of(&[190, 210, 0]), [190, 200, 0]);
        assert_eq!(of(&[0, 0]), [0, 0]);
    }

    #[test]
    fn operations_lie_between_two_times() {
        let of = |times: &[u64]| carried(times.iter().map(|time| (*time != 0).then_some(*time)));
        let full = |index, begin, end| Carried { index, begin, end: Some(end) };
        assert_eq!(of(&[0, 0]), []);
        assert_eq!(of(&[5, 0, 0]), [Carried { index: 0, begin: 5, end: None }]);
        assert_eq!(of(&[5, 8, 7, 0]), [full(0, 5, 8), full(1, 8, 8), Carried { index: 2, begin: 8, end: None }]);
        // A value behind a gap was not stored by `init`.
        assert_eq!(of(&[5, 0, 9]), of(&[5, 0, 0]));
    }
}

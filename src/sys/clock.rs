//! Clocks, for traces.

use nix::time::{ClockId, clock_gettime};

fn read(clock: ClockId) -> u64 {
    // These clocks always exist.
    clock_gettime(clock).map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub fn monotonic() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// The CPU time of this process since fork(2), in nanoseconds.
pub fn processor_time() -> u64 {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// The processor's time stamp counter.
fn ticks() -> u64 {
    // SAFETY: the instruction exists on every x86_64 and touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// One moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The processor's counter.
    pub ticks: u64,
    /// CLOCK_MONOTONIC in nanoseconds.
    pub time: u64,
}

impl Moment {
    /// Reads both clocks. If this process is preempted in between, it reads them again: the closest of a few readings
    /// counts.
    pub fn now() -> Moment {
        let reading = || {
            let (before, ticks, after) = (monotonic(), ticks(), monotonic());
            (after - before, Moment { ticks, time: before + (after - before) / 2 })
        };
        let readings = [reading(), reading(), reading(), reading(), reading()];
        readings.into_iter().min_by_key(|(apart, _)| *apart).map_or(readings[0].1, |(_, moment)| moment)
    }

    /// The time at which the counter had the value `ticks`, from two moments.
    pub fn time_of(ticks: u64, first: Moment, last: Moment) -> u64 {
        let (span, time) = (last.ticks.saturating_sub(first.ticks).max(1), last.time.saturating_sub(first.time));
        let after = i128::from(ticks) - i128::from(first.ticks);
        let time = i128::from(first.time) + after * i128::from(time) / i128::from(span);
        u64::try_from(time).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn the_counter_runs_evenly_between_two_moments() {
        let (first, last) = (Moment { ticks: 1000, time: 50 }, Moment { ticks: 5000, time: 1050 });
        for (ticks, time) in [(1000, 50), (3000, 550), (5000, 1050), (9000, 2050), (0, 0), (960, 40)] {
            assert_eq!(Moment::time_of(ticks, first, last), time, "{ticks}");
        }
        assert_eq!(Moment::time_of(u64::MAX, first, first), first.time);
    }

    #[test]
    fn the_counter_tells_the_time() {
        // In some virtual machines the counters of two processors differ.
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).unwrap();
        let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap()).unwrap();
        let mut one = CpuSet::new();
        one.set(first).unwrap();
        sched_setaffinity(this, &one).unwrap();
        let first = Moment::now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let (middle, time) = (ticks(), monotonic());
        std::thread::sleep(std::time::Duration::from_millis(2));
        let known = Moment::time_of(middle, first, Moment::now());
        assert!(known.abs_diff(time) < 1_000_000, "{known} is not {time}");
    }
}

//! Work that several threads share.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, scope};

use nix::sched::{CloneFlags, sched_getaffinity, unshare};
use nix::unistd::Pid;

/// A thread takes this many pieces of work at a time. It must be worth the start of a thread, some fifty microseconds.
const SHARE: usize = 32;
/// More threads would wait for each other in the kernel.
const MOST: usize = 4;

/// Does `count` pieces of work, in ranges, by one thread for each CPU, at most four. Returns the results in the order
/// of the ranges. The threads share no descriptor table: those that `work` opens are its own.
pub fn share<T: Send>(count: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let shares = count.div_ceil(SHARE);
    let next = AtomicUsize::new(0);
    let one_after_the_other = || {
        let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < shares);
        std::iter::from_fn(take).map(|index| (index, work(index * SHARE..count.min((index + 1) * SHARE)))).collect()
    };
    let threads = if shares > 2 { cpus().min(MOST) } else { 1 };
    let mut done: Vec<(usize, T)> = scope(|scope| {
        let helper = || {
            // With a table that two threads share, each open and each close takes a lock.
            let _ = unshare(CloneFlags::CLONE_FILES);
            one_after_the_other()
        };
        // If the kernel refuses a thread, the others do its work.
        let helpers: Vec<_> = (1..threads).map_while(|_| Builder::new().spawn_scoped(scope, helper).ok()).collect();
        let mut done: Vec<(usize, T)> = one_after_the_other();
        for helper in helpers {
            match helper.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The number of CPUs that this process may use. The standard library would also read the limits of the cgroup.
fn cpus() -> usize {
    let set = sched_getaffinity(Pid::from_raw(0));
    set.map_or(1, |set| (0..nix::sched::CpuSet::count()).filter(|cpu| set.is_set(*cpu) == Ok(true)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_done_once_and_in_order() {
        for count in [0, 1, SHARE, SHARE + 1, 10 * SHARE + 3] {
            let done = share(count, |range| range.collect::<Vec<_>>());
            assert_eq!(done.concat(), (0..count).collect::<Vec<_>>());
        }
    }
}

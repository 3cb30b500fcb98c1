//! Many containers in a row, and many alive at once: afterwards the machine is as before.
//!
//! `hack/soak` makes 20,000 and 300 of them, and prints the figures at each quarter.

use crate::harness::{bundle, container, machine, runtime, *};
use anyhow::{Context, ensure};
use std::fs;
use std::path::Path;

tests![many_in_a_row, many_alive];

/// Numbers of the default suite.
const FEW: usize = 40;
const FEW_ALIVE: usize = 12;

/// The number in this variable.
fn asked(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// The places in which a leak shows.
#[derive(Clone, Debug)]
struct Look {
    /// Of the machine, in MB.
    available: u64,
    slab: u64,
    /// Files that are open on the machine.
    open_files: u64,
    processes: usize,
    /// Processes of the runtime, and those of the suite's cgroups.
    helpers: usize,
    /// Descriptors of these.
    descriptors: usize,
    /// Mounts of the suite's namespace and of the first process.
    mounts: usize,
    /// Cgroups that the kernel has, also those that are removed and still in use, summed over all hierarchies.
    cgroups: u64,
    /// Directories below the suite's cgroup, summed over all hierarchies.
    directories: usize,
    /// Files and directories below the state root.
    files: usize,
}

impl Look {
    fn of(state_root: &Path) -> Result<Look> {
        let memory = fs::read_to_string("/proc/meminfo")?;
        let megabytes = |key: &str| -> Result<u64> {
            let line = memory.lines().find(|line| line.starts_with(key)).with_context(|| format!("no {key}"))?;
            let number = line.split_whitespace().nth(1).context("a number")?;
            Ok(number.parse::<u64>()? / 1024)
        };
        let pids: Vec<i32> =
            fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        let helpers: Vec<_> = pids.iter().filter(|pid| is_of_runtime(**pid)).collect();
        let count = |path: &str| fs::read_to_string(path).unwrap_or_default().lines().count();
        let open = fs::read_to_string("/proc/sys/fs/file-nr")?;
        let cgroups = fs::read_to_string("/proc/cgroups")?;
        let numbers = cgroups.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
        let machine = machine::get();
        let parents = machine.v1.iter().map(|h| &h.mount).chain(&machine.v2);
        let parent = machine::cgroup_parent();
        Ok(Look {
            available: megabytes("MemAvailable:")?,
            slab: megabytes("Slab:")?,
            open_files: open.split_whitespace().next().context("a number")?.parse()?,
            processes: pids.len(),
            descriptors: helpers.iter().map(|pid| entries(Path::new(&format!("/proc/{pid}/fd")))).sum(),
            helpers: helpers.len(),
            mounts: count("/proc/thread-self/mountinfo") + count("/proc/1/mountinfo"),
            cgroups: numbers.sum(),
            directories: parents.map(|mount| directories(&mount.join(parent.trim_start_matches('/')))).sum(),
            files: tree(state_root),
        })
    }

    fn row(&self, name: &str) -> String {
        let Look { available, slab, open_files, processes, helpers, descriptors, mounts, cgroups, directories, files } =
            self;
        format!(
            "{name:>12} {available:>10} {slab:>6} {open_files:>6} {processes:>10} {helpers:>8} {descriptors:>12} \
             {mounts:>7} {cgroups:>8} {directories:>12} {files:>6}"
        )
    }

    fn head() -> String {
        format!(
            "{:>12} {:>10} {:>6} {:>6} {:>10} {:>8} {:>12} {:>7} {:>8} {:>12} {:>6}",
            "",
            "memory MB",
            "slab",
            "files",
            "processes",
            "helpers",
            "descriptors",
            "mounts",
            "cgroups",
            "directories",
            "state"
        )
    }

    /// Fails unless what belongs to the suite's containers is as it was. Other programs of the machine change the rest,
    /// and other tests change what is not below the state root, unless this test runs alone.
    fn is_as(&self, before: &Look, alone: bool) -> Result {
        equal("files of state", self.files, before.files)?;
        let own = |look: &Look| (look.helpers, look.mounts, look.directories);
        ensure!(!alone || own(self) == own(before), "left behind: {self:?}, where it was {before:?}");
        Ok(())
    }
}

/// Whether a process executes the runtime, or is in a cgroup of the suite.
fn is_of_runtime(pid: i32) -> bool {
    let executes = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == runtime::get().path);
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    executes || cgroups.contains(&machine::cgroup_parent())
}

fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, |entries| entries.flatten().count())
}

fn directories(dir: &Path) -> usize {
    let below = fs::read_dir(dir).into_iter().flatten().flatten();
    below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| 1 + directories(&it.path())).sum()
}

fn tree(dir: &Path) -> usize {
    let below = fs::read_dir(dir).into_iter().flatten().flatten();
    below.map(|entry| if entry.path().is_dir() { 1 + tree(&entry.path()) } else { 1 }).sum()
}

/// Waits until the helpers of the last container have ended.
fn settled(state_root: &Path, before: &Look, alone: bool) -> Result<Look> {
    let mut look = Look::of(state_root)?;
    let _ = eventually("the machine as before", || {
        look = Look::of(state_root)?;
        Ok(look.is_as(before, alone).is_ok())
    });
    Ok(look)
}

/// One container after the other: `create`, `start` and a forced delete in turn with `run`.
fn many_in_a_row() -> Result {
    let wanted = asked("SOAK");
    let count = wanted.unwrap_or(FEW);
    let mut container = Bundle::new(["pause"]).build()?;
    let root = container.state_root();
    let begin = Look::of(&root)?;
    let name = container.id.clone();
    let mut marks = vec![("0 %".to_owned(), begin.clone())];
    for number in 0..count {
        let words = if number % 2 == 0 { "pause" } else { "true" };
        container.id = format!("{name}-{number}");
        container.edit_config(|config| {
            config["process"]["args"][1] = json!(words);
            config["linux"]["cgroupsPath"] = json!(format!("{}/{}", machine::cgroup_parent(), container.id));
        })?;
        let what = || format!("container {number}");
        if number % 2 == 0 {
            container.create()?.success().with_context(what)?;
            container.start().with_context(what)?;
            container.command(["delete", "--force"])?.success().with_context(what)?;
        } else {
            container.run()?.success().with_context(what)?;
        }
        let left: Vec<_> = container.cgroups().into_iter().filter(|path| path.exists()).collect();
        ensure!(left.is_empty() && !container.state_dir().exists(), "{}: left behind: {left:?}", what());
        if (number + 1) % count.div_ceil(4) == 0 || number + 1 == count {
            marks.push((format!("{} %", 100 * (number + 1) / count), settled(&root, &begin, wanted.is_some())?));
        }
    }
    container.id = name;
    if wanted.is_some() {
        println!("{count} containers in a row\n{}", Look::head());
        marks.iter().for_each(|(name, look)| println!("{}", look.row(name)));
    }
    let (_, warm) = &marks[1];
    let (_, end) = &marks[marks.len() - 1];
    warm.is_as(&begin, wanted.is_some()).and_then(|()| end.is_as(&begin, wanted.is_some()))?;
    let lost = warm.available.saturating_sub(end.available);
    ensure!(wanted.is_none() || lost < 500, "{lost} MB of memory were lost after the first quarter");
    Ok(())
}

/// All containers at once, each of which is known and runs.
fn many_alive() -> Result {
    let wanted = asked("ALIVE");
    let root = bundle::scratch()?;
    let begin = Look::of(root.path())?;
    let mut containers = Vec::new();
    for _ in 0..wanted.unwrap_or(FEW_ALIVE) {
        let container = Bundle::new(["pause"]).build()?.with_state_root(root.path().to_owned());
        container.create()?.success()?;
        container.start()?;
        containers.push(container);
    }
    let alive = Look::of(root.path())?;
    let list = Call::new(["--root"]).arg(root.path()).args(["list", "--format", "json"]).output()?;
    let list: Value = serde_json::from_str(&list.success()?.stdout)?;
    let running = list.as_array().into_iter().flatten().filter(|entry| entry["status"] == "running").count();
    equal("containers that run", running, containers.len())?;
    for container in &containers {
        container.exec([], ["true"])?.success()?;
    }
    for container in &containers {
        container.command(["delete", "--force"])?.success()?;
        container.nothing_left()?;
    }
    let end = settled(root.path(), &begin, wanted.is_some())?;
    if wanted.is_some() {
        println!("{} containers alive at once\n{}", containers.len(), Look::head());
        for (name, look) in [("before", &begin), ("alive", &alive), ("after", &end)] {
            println!("{}", look.row(name));
        }
    }
    ensure!(container::mounts_below(root.path()).is_empty(), "mounts below the state root");
    end.is_as(&begin, wanted.is_some())
}

//! Limits are enforced: a program that tries to exceed a limit fails.

use crate::harness::machine::Layout;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

tests![
    memory_ends_who_exceeds_it,
    memory_ends_all_when_told_to,
    memory_too_little_to_begin,
    pids_stop_a_bomb,
    pids_count_what_exec_adds,
    cpu_quota_holds,
    cpu_quota_holds_after_an_update,
    cpu_shares_are_shares,
    cpu_set_is_where_it_runs,
    paused_uses_no_cpu,
    read_bytes_hold,
    write_bytes_hold,
    read_operations_hold,
    write_operations_hold,
];

/// The cgroup driver.
#[derive(Clone, Copy, PartialEq)]
enum Driver {
    Cgroupfs,
    Systemd,
}

fn drivers() -> Vec<Driver> {
    if scope::systemd_runs().is_ok() { vec![Driver::Cgroupfs, Driver::Systemd] } else { vec![Driver::Cgroupfs] }
}

/// A container and its cgroup driver.
struct Limited {
    container: Container,
    driver: Driver,
}

/// The place of one value on v1 and on v2: a controller and a file.
type Figure = ((&'static str, &'static str), (&'static str, &'static str));

const PIDS: Figure = (("pids", "pids.current"), ("pids", "pids.current"));
const PIDS_REFUSED: Figure = (("pids", "pids.events"), ("pids", "pids.events"));
const MEMORY_PEAK: Figure = (("memory", "memory.max_usage_in_bytes"), ("memory", "memory.peak"));
const MEMORY_KILLS: Figure = (("memory", "memory.oom_control"), ("memory", "memory.events"));
const CPU_TIME: Figure = (("cpuacct", "cpuacct.usage"), ("cpu", "cpu.stat"));
const CPU_WEIGHT: Figure = (("cpu", "cpu.shares"), ("cpu", "cpu.weight"));

impl Limited {
    fn build(bundle: Bundle, resources: Value, driver: Driver) -> Result<Self> {
        let bundle = bundle.set("/linux/resources", resources);
        let container = match driver {
            Driver::Cgroupfs => bundle.build()?,
            Driver::Systemd => scope::build(bundle, scope::PATH)?,
        };
        Ok(Self { container, driver })
    }

    fn create(&self) -> Result<Output> {
        match self.driver {
            Driver::Cgroupfs => self.container.create(),
            Driver::Systemd => scope::launch(&self.container, &["create"]),
        }
    }

    /// Starts the container; skips the test if the machine lacks this limit.
    fn start(bundle: Bundle, resources: Value, driver: Driver, figure: Figure) -> Result<Self> {
        let limited = Self::build(bundle, resources, driver)?;
        limited.needs(figure)?;
        limited.create()?.success()?;
        limited.container.start()?;
        Ok(limited)
    }

    fn place(&self, figure: Figure) -> (&'static str, &'static str) {
        if self.container.is_v2() { figure.1 } else { figure.0 }
    }

    /// Skips the test if the machine lacks this controller or file.
    fn needs(&self, figure: Figure) -> Result {
        let (controller, file) = self.place(figure);
        controller_is_there(&self.container, controller, file)
    }

    fn file(&self, figure: Figure) -> Result<String> {
        let (controller, file) = self.place(figure);
        let dir = match self.driver {
            Driver::Cgroupfs => self.container.cgroup(controller)?,
            Driver::Systemd => scope::directory_of(&self.container, controller),
        };
        fs::read_to_string(dir.join(file)).with_context(|| format!("reading {file}"))
    }

    /// The number in a file, or the number behind a key.
    fn number(&self, figure: Figure, key: &str) -> Result<u64> {
        let text = self.file(figure)?;
        let keyed = || text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let number = text.trim().parse().or_else(|_| keyed().context(text.clone())?.trim().parse().map_err(Into::into));
        number.map_err(|error: anyhow::Error| error.context(format!("{key} in {figure:?}")))
    }

    /// The CPU time used so far, in seconds.
    fn cpu_time(&self) -> Result<f64> {
        let nanoseconds = match self.container.is_v2() {
            true => self.number(CPU_TIME, "usage_usec")? * 1000,
            false => self.number(CPU_TIME, "")?,
        };
        Ok(nanoseconds as f64 / 1e9)
    }

    /// The number of CPUs used on average during this time.
    fn cpu_use(&self, while_: Duration) -> Result<f64> {
        let (begin, used) = (Instant::now(), self.cpu_time()?);
        std::thread::sleep(while_);
        Ok((self.cpu_time()? - used) / begin.elapsed().as_secs_f64())
    }

    /// Waits until the use is within a tenth of `wanted` CPUs, and fails if it is ever much more. The machine may have
    /// other work, even if the container has priority, and counts with a delay.
    fn uses(&self, wanted: f64) -> Result {
        const WINDOW: Duration = Duration::from_millis(1500);
        if self.driver == Driver::Cgroupfs {
            let above = self.container.cgroup("cpu")?;
            let above = above.parent().context("a parent")?;
            let (file, most) = if self.container.is_v2() { ("cpu.weight", "10000") } else { ("cpu.shares", "262144") };
            fs::write(above.join(file), most)?;
        }
        let mut seen = Vec::new();
        for _ in 0..8 {
            let used = self.cpu_use(WINDOW)?;
            seen.push(used);
            ensure!(used < wanted * 1.5, "wanted {wanted} CPUs, used {seen:?}");
            if (wanted * 0.9..wanted * 1.1).contains(&used) {
                return Ok(());
            }
        }
        anyhow::bail!("wanted {wanted} CPUs, used {seen:?}")
    }
}

/// Skips the test if the kernel lacks this file in a cgroup of the controller.
fn controller_is_there(container: &Container, controller: &str, file: &str) -> Result {
    let cgroup = container.cgroup(controller)?;
    let parent = cgroup.parent().and_then(Path::parent).context("a hierarchy")?;
    if container.is_v2() {
        let controllers = fs::read_to_string(parent.join("cgroup.controllers"))?;
        if !controllers.split_whitespace().any(|name| name == controller) {
            return skip(format!("the v2 hierarchy has no {controller} controller"));
        }
    } else {
        let probe = parent.join(format!("tare-conformance-probe-{}", container.id));
        fs::create_dir(&probe)?;
        let there = probe.join(file).exists();
        fs::remove_dir(&probe)?;
        if !there {
            return skip(format!("this kernel has no {file}"));
        }
    }
    Ok(())
}

const LITTLE: u64 = 32 << 20;

/// A program that needs more memory than its limit is killed before it has that memory. The exit status and the cgroup
/// show it (for events see `events::want_of_memory`).
fn memory_ends_who_exceeds_it() -> Result {
    let little = || json!({ "memory": { "limit": LITTLE, "swap": LITTLE } });
    for driver in drivers() {
        let words = ["echo", "up", ",", "alloc", "200"];
        let limited = Limited::start(Bundle::new(words), little(), driver, MEMORY_PEAK)?;
        limited.container.wait_status("stopped")?;
        equal("output", limited.container.output()?.as_str(), "up\n")?;
        // systemd removes a scope after its last process has ended.
        if driver == Driver::Cgroupfs {
            let peak = limited.number(MEMORY_PEAK, "")?;
            ensure!((LITTLE / 2..=LITTLE).contains(&peak), "{peak} bytes were used");
            equal("kills", limited.number(MEMORY_KILLS, "oom_kill")?, 1)?;
        }
        limited.container.command(["delete"])?.success()?;
        limited.container.nothing_left()?;
    }
    let container = Bundle::new(["echo", "up", ",", "alloc", "200"]).set("/linux/resources", little()).build()?;
    let output = container.run()?;
    equal("exit code", output.code()?, 137)?;
    equal("output", &*output.stdout, "up\n")
}

/// With `memory.oom.group` the OOM killer kills all processes of the cgroup.
fn memory_ends_all_when_told_to() -> Result {
    if machine::get().layout != Layout::Unified {
        return skip("v1 has no memory.oom.group");
    }
    let resources = json!({ "memory": { "limit": LITTLE, "swap": LITTLE }, "unified": { "memory.oom.group": "1" } });
    for driver in drivers() {
        // The process that exceeds the limit is not the first one.
        let limited = Limited::start(Bundle::new(["fork", "3", ",", "pause"]), resources.clone(), driver, MEMORY_PEAK)?;
        limited.container.wait_output("forked: 3")?;
        equal("exit code", limited.container.exec([], ["alloc", "200"])?.code()?, 137)?;
        limited.container.wait_status("stopped")?;
        eventually("the end of all", || Ok(limited.container.processes().is_empty()))?;
    }
    Ok(())
}

/// If the limit is too low even for the runtime's own process, the message says so. systemd has removed its scope by
/// then, with the numbers that would show it.
fn memory_too_little_to_begin() -> Result {
    for driver in drivers() {
        let limited = Limited::build(Bundle::new(["true"]), json!({ "memory": { "limit": 4096 } }), driver)?;
        limited.needs(MEMORY_PEAK)?;
        let output = limited.create()?;
        match driver {
            Driver::Cgroupfs => output.fails_with("memory limit too low?")?,
            Driver::Systemd => output.failure()?,
        };
        limited.container.nothing_left()?;
    }
    Ok(())
}

/// A fork bomb stops at the limit, and its processes end with the container.
fn pids_stop_a_bomb() -> Result {
    const LIMIT: u64 = 40;
    for driver in drivers() {
        let resources = json!({ "pids": { "limit": LIMIT } });
        let limited = Limited::start(Bundle::new(["bomb", "9"]), resources, driver, PIDS)?;
        eventually("refusals", || Ok(limited.number(PIDS_REFUSED, "max")? > 0))?;
        eventually("the limit", || Ok(limited.number(PIDS, "")? == LIMIT))?;
        equal("status", limited.container.status()?, "running")?;
        limited.container.stop()?;
        limited.container.command(["delete"])?.success()?;
        limited.container.nothing_left()?;
    }
    Ok(())
}

/// Processes of exec count, too.
fn pids_count_what_exec_adds() -> Result {
    for driver in drivers() {
        let resources = json!({ "pids": { "limit": 4 } });
        let limited = Limited::start(Bundle::new(["fork", "8", ",", "pause"]), resources, driver, PIDS)?;
        limited.container.wait_output("forked: 3 then EAGAIN")?;
        limited.container.exec([], ["true"])?.fails_with("resource temporarily unavailable")?;
        equal("processes", limited.number(PIDS, "")?, 4)?;
    }
    Ok(())
}

/// A container that uses as much CPU time as it may: `quota` of 100,000 microseconds.
fn at_work(driver: Driver, quota: i64) -> Result<Limited> {
    let resources = json!({ "cpu": { "quota": quota, "period": 100_000 } });
    let limited = Limited::start(Bundle::new(["work"]), resources, driver, CPU_TIME)?;
    limited.container.wait_output("works")?;
    Ok(limited)
}

/// A quota is kept within a tenth.
fn cpu_quota_holds() -> Result {
    for driver in drivers() {
        at_work(driver, 20_000)?.uses(0.2)?;
    }
    Ok(())
}

/// A new quota is in force at once after an update.
fn cpu_quota_holds_after_an_update() -> Result {
    for driver in drivers() {
        let limited = at_work(driver, 10_000)?;
        limited.container.command(["update", "--cpu-quota", "30000"])?.success()?;
        limited.uses(0.3)?;
    }
    Ok(())
}

/// Two containers that use the same CPU share it by their weights.
fn cpu_shares_are_shares() -> Result {
    for driver in drivers() {
        let start = |shares: u64| {
            let resources = json!({ "cpu": { "shares": shares } });
            let limited = Limited::start(Bundle::new(["work", "first"]), resources, driver, CPU_TIME)?;
            limited.container.wait_output("works")?;
            anyhow::Ok(limited)
        };
        let (more, less) = (start(4096)?, start(1024)?);
        let wanted = more.number(CPU_WEIGHT, "")? as f64 / less.number(CPU_WEIGHT, "")? as f64;
        let mut seen = Vec::new();
        let done = (0..5).any(|_| {
            let before = (more.cpu_time(), less.cpu_time());
            std::thread::sleep(Duration::from_millis(1500));
            let used = |limited: &Limited, before: Result<f64>| Some(limited.cpu_time().ok()? - before.ok()?);
            let ratio = used(&more, before.0).zip(used(&less, before.1)).map_or(0.0, |(more, less)| more / less);
            seen.push(ratio);
            (wanted * 0.8..wanted * 1.25).contains(&ratio)
        });
        ensure!(done, "wanted one to {wanted}, saw {seen:?}");
    }
    Ok(())
}

/// A container runs on the CPUs of `cpus` only, also after an update.
fn cpu_set_is_where_it_runs() -> Result {
    const CPUSET: Figure = (("cpuset", "cpuset.cpus"), ("cpuset", "cpuset.cpus"));
    if std::thread::available_parallelism()?.get() < 2 {
        return skip("this machine has one CPU");
    }
    for driver in drivers() {
        let limited =
            Limited::start(Bundle::new(["affinity", ",", "pause"]), json!({ "cpu": { "cpus": "1" } }), driver, CPUSET)?;
        limited.container.wait_output("affinity: 1")?;
        limited.container.exec([], ["affinity"])?.says("affinity", "1")?;
        limited.container.command(["update", "--cpuset-cpus", "0"])?.success()?;
        let status = fs::read_to_string(format!("/proc/{}/status", limited.container.pid()?))?;
        ensure!(status.lines().any(|line| line == "Cpus_allowed_list:\t0"), "{status}");
        limited.container.exec([], ["affinity"])?.says("affinity", "0")?;
    }
    Ok(())
}

/// A paused container uses no CPU time.
fn paused_uses_no_cpu() -> Result {
    for driver in drivers() {
        let limited = Limited::start(Bundle::new(["work"]), json!({}), driver, CPU_TIME)?;
        limited.container.wait_output("works")?;
        limited.container.command(["pause"])?.success()?;
        let used = limited.cpu_use(Duration::from_millis(500))?;
        ensure!(used < 0.001, "a paused container used {used} CPUs");
        limited.container.command(["resume"])?.success()?;
        let used = limited.cpu_time()?;
        eventually("work", || Ok(limited.cpu_time()? > used))?;
    }
    Ok(())
}

/// The milliseconds that `count` transfers of `size` bytes take with these limits.
fn transfer_time(disk: &Disk, driver: Driver, verb: &str, count: u64, size: u64, block_io: Value) -> Result<u64> {
    const IO: Figure = (("blkio", "blkio.throttle.read_bps_device"), ("io", "io.stat"));
    let device = json!({ "type": "b", "major": disk.major, "minor": disk.minor });
    let with = |list: &[(&str, Value)]| {
        let mut object = device.clone();
        list.iter().for_each(|(key, value)| object[*key] = value.clone());
        object
    };
    let allowed = with(&[("allow", json!(true)), ("access", json!("rw"))]);
    let resources = json!({ "devices": [{ "allow": false, "access": "rwm" }, allowed], "blockIO": block_io });
    let bundle = Bundle::new([verb, "/dev/disk", &count.to_string(), &size.to_string()])
        .push("/linux/devices", with(&[("path", json!("/dev/disk")), ("fileMode", json!(0o600))]));
    let limited = Limited::start(bundle, resources, driver, IO)?;
    eventually("a time", || Ok(limited.container.output()?.contains(": ")))?;
    let output = limited.container.output()?;
    let time = output.trim().strip_prefix("milliseconds: ").with_context(|| output.clone())?;
    Ok(time.parse()?)
}

/// `count` transfers of `size` bytes take the time that follows from the rate, of bytes or of operations, and much less
/// without a rate.
fn io_holds(field: &str, verb: &str, count: u64, size: u64, amount: u64) -> Result {
    let disk = Disk::new()?;
    for driver in drivers() {
        let without = transfer_time(&disk, driver, verb, count, size, json!({}))?;
        let wanted = (without * 4).max(1500);
        if wanted > 8000 {
            return skip(format!("a disk that needs {without} ms for {count} transfers is too slow to be slowed down"));
        }
        let limit = json!({ field: [{ "major": disk.major, "minor": disk.minor, "rate": amount * 1000 / wanted }] });
        let with = transfer_time(&disk, driver, verb, count, size, limit)?;
        ensure!(with > wanted * 9 / 10, "wanted {wanted} ms, took {with}, without a limit {without}");
    }
    Ok(())
}

/// `throttleReadBpsDevice` is enforced.
fn read_bytes_hold() -> Result {
    io_holds("throttleReadBpsDevice", "read", 128, 64 << 10, 128 << 16)
}

/// `throttleWriteBpsDevice` is enforced.
fn write_bytes_hold() -> Result {
    io_holds("throttleWriteBpsDevice", "overwrite", 128, 64 << 10, 128 << 16)
}

/// `throttleReadIOPSDevice` is enforced.
fn read_operations_hold() -> Result {
    io_holds("throttleReadIOPSDevice", "read", 100, 4096, 100)
}

/// `throttleWriteIOPSDevice` is enforced.
fn write_operations_hold() -> Result {
    io_holds("throttleWriteIOPSDevice", "overwrite", 100, 4096, 100)
}

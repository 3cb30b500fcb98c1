//! Tests with real cgroups in this machine's hierarchies. Without root they are skipped.

use std::os::fd::AsFd;
use std::process::{Child, Command};

use nix::sys::signal::Signal;
use nix::unistd::{Pid, geteuid};

use super::dir;
use crate::cgroup::plan::tests::plan;
use crate::cgroup::{Cgroup, Layout, Mode, Owner};
use crate::spec::Extras;

const OWNER: Owner<'_> = Owner { token: "test", shares_pids: false };

/// A process that sleeps. When the test is over, it is killed and reaped.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Sleeper {
        Sleeper(Command::new("sleep").arg("60").spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cgroup below the test's own. Without the permission, prints the reason and returns `None`.
fn own(name: &str, json: &str, extras: &Extras) -> Option<anyhow::Result<Cgroup>> {
    if !geteuid().is_root() {
        println!("skipped: needs root");
        return None;
    }
    let layout = Layout::read().unwrap();
    if layout.mode() == Mode::None {
        println!("skipped: no cgroups here");
        return None;
    }
    let path = format!("tare-test-{}/{name}", std::process::id());
    let plan = match plan(&layout, Some(&path), json, extras) {
        Ok(plan) => plan,
        Err(error) => return Some(Err(error)),
    };
    // No process waits for the end of the creation.
    let let_go = |cgroup: &Cgroup| drop((cgroup.claim.take(), cgroup.leaf.take()));
    let mut made = Cgroup::create(&plan, OWNER).inspect(let_go);
    // A child that another test starts has a copy of the lock until execve(2).
    while made.as_ref().is_err_and(|error| error.to_string().ends_with("another container is about to be in it")) {
        std::thread::yield_now();
        made = Cgroup::create(&plan, OWNER).inspect(let_go);
    }
    Some(made)
}

fn gone(cgroup: &Cgroup) -> bool {
    cgroup.host_dirs().iter().all(|place| !place.dir.exists())
}

/// Removes the directory that the tests share, after the last test.
fn tidy(cgroup: &Cgroup) {
    for place in cgroup.host_dirs() {
        let _ = dir::rmdir(place.dir.parent().unwrap());
    }
}

#[test]
fn a_life() {
    let Some(cgroup) = own("life", "{}", &Extras::default()) else {
        return;
    };
    let cgroup = cgroup.unwrap();
    let mut sleeper = Sleeper::start();
    cgroup.attach(sleeper.pid()).unwrap();
    assert_eq!(cgroup.pids().unwrap(), [sleeper.pid()]);
    assert!(!cgroup.is_empty().unwrap());
    let again = own("life", "{}", &Extras::default()).unwrap().unwrap_err();
    assert_eq!(again.to_string(), "linux.cgroupsPath: container's cgroup is not empty: 1 process(es) found");

    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());

    let json = serde_json::to_string(&cgroup).unwrap();
    let cgroup: Cgroup = serde_json::from_str(&json).unwrap();
    cgroup.freeze().unwrap();
    cgroup.kill_all(Signal::SIGKILL).unwrap();
    assert!(!sleeper.0.wait().unwrap().success());
    assert!(cgroup.is_empty().unwrap());
    assert_eq!(cgroup.oom_kills(), 0);
    cgroup.remove().unwrap();
    assert!(gone(&cgroup));
    // All of this also holds after the cgroup was removed.
    cgroup.remove().unwrap();
    assert_eq!(cgroup.pids().unwrap(), []);
    assert!(!cgroup.is_frozen().unwrap());
    assert!(cgroup.is_empty().unwrap());
    cgroup.kill_all(Signal::SIGKILL).unwrap();
    tidy(&cgroup);
}

#[test]
fn sub_cgroups_are_counted_killed_and_removed() {
    let Some(cgroup) = own("nested", "{}", &Extras::default()) else {
        return;
    };
    let cgroup = cgroup.unwrap();
    let place = cgroup.path_for_v1("devices").or(cgroup.path_for_v2()).unwrap().to_owned();
    std::fs::create_dir_all(place.join("a/b")).unwrap();
    let sleeper = Sleeper::start();
    std::fs::write(place.join("a/b/cgroup.procs"), sleeper.pid().to_string()).unwrap();
    assert_eq!(cgroup.pids().unwrap(), [sleeper.pid()]);
    cgroup.kill_all(Signal::SIGTERM).unwrap();
    drop(sleeper);
    cgroup.remove().unwrap();
    assert!(gone(&cgroup));
    tidy(&cgroup);
}

#[test]
fn removal_waits_for_the_dying() {
    let Some(cgroup) = own("dying", "{}", &Extras::default()) else {
        return;
    };
    let cgroup = cgroup.unwrap();
    let sleeper = Sleeper::start();
    cgroup.attach(sleeper.pid()).unwrap();
    let reaper = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(sleeper);
    });
    cgroup.remove().unwrap();
    reaper.join().unwrap();
    assert!(gone(&cgroup));
    tidy(&cgroup);
}

#[test]
fn a_refused_limit_leaves_nothing() {
    let json = r#"{"blockIO": {"leafWeight": 500}, "memory": {"limit": 10000000}}"#;
    let layout = Layout::read().unwrap();
    if layout.mode() == Mode::Unified {
        return println!("skipped: needs v1");
    }
    let Some(refused) = own("refused", json, &Extras::default()) else {
        return;
    };
    assert_eq!(
        refused.unwrap_err().to_string(),
        "linux.resources.blockIO.leafWeight: blkio.leaf_weight: no such file or directory"
    );
    let dir = format!("tare-test-{}/refused", std::process::id());
    assert!(layout.v1().iter().all(|it| !it.mount.join(&it.own).join(&dir).exists()));
}

#[test]
fn v1_limits_and_devices() {
    let layout = Layout::read().unwrap();
    if layout.mode() == Mode::Unified {
        return println!("skipped: needs v1");
    }
    let json = r#"{
        "memory": {"limit": 33554432, "swap": 67108864, "swappiness": 10, "kernel": 4096},
        "cpu": {"shares": 512, "quota": 20000, "period": 50000, "burst": 1000, "cpus": "0"},
        "devices": [{"allow": false, "access": "rwm"},
                    {"allow": true, "type": "b", "major": 254, "access": "r"}]
    }"#;
    let extras = Extras { limits: vec![("linux.resources.pids.limit", 7)], ..Extras::default() };
    let Some(cgroup) = own("limits", json, &extras) else {
        return;
    };
    let cgroup = cgroup.unwrap();
    for (controller, file, wanted) in [
        ("memory", "memory.limit_in_bytes", "33554432"),
        ("memory", "memory.memsw.limit_in_bytes", "67108864"),
        ("memory", "memory.swappiness", "10"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "20000"),
        ("cpu", "cpu.cfs_period_us", "50000"),
        ("cpu", "cpu.cfs_burst_us", "1000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("pids", "pids.max", "7"),
    ] {
        let path = cgroup.path_for_v1(controller).unwrap().join(file);
        assert_eq!(std::fs::read_to_string(path).unwrap().trim(), wanted, "{file}");
    }
    // Both limits go up, then both go down. The limit that would pass the other is written second.
    for (limit, swap) in [(134217728, 268435456_u64), (16777216, 33554432)] {
        let json = format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#);
        let plan = plan(&layout, Some("elsewhere"), &json, &Extras::default()).unwrap();
        drop(cgroup.update(&plan).unwrap());
        let file = cgroup.path_for_v1("memory").unwrap().join("memory.memsw.limit_in_bytes");
        assert_eq!(std::fs::read_to_string(file).unwrap().trim(), swap.to_string());
    }
    let list = cgroup.path_for_v1("devices").unwrap().join("devices.list");
    let list = std::fs::read_to_string(list).unwrap();
    assert_eq!(list.lines().next(), Some("b 254:* r"));
    assert_eq!(list.lines().count(), 12);
    cgroup.remove().unwrap();
    tidy(&cgroup);
}

#[test]
fn an_empty_one_is_taken_over_with_its_program() {
    let Some(first) = own("again", "{}", &Extras::default()) else {
        return;
    };
    drop(first.unwrap());
    for (json, programs) in [("{}", 1), (r#"{"devices": [{"allow": true, "access": "rwm"}]}"#, 0), ("{}", 1)] {
        let cgroup = own("again", json, &Extras::default()).unwrap().unwrap();
        if let (Mode::Unified, Some(leaf)) =
            (cgroup.mode(), cgroup.entrance().unwrap().and_then(|entrance| entrance.v2))
        {
            let found = crate::sys::bpf::device_programs(leaf.as_fd()).unwrap();
            assert_eq!(found.len(), programs, "{json}");
        }
    }
    let cgroup = own("again", "{}", &Extras::default()).unwrap().unwrap();
    cgroup.freeze().unwrap();
    let frozen = own("again", "{}", &Extras::default()).unwrap().unwrap_err();
    assert_eq!(frozen.to_string(), "linux.cgroupsPath: container's cgroup unexpectedly frozen");
    cgroup.thaw().unwrap();
    cgroup.remove().unwrap();
    tidy(&cgroup);
}

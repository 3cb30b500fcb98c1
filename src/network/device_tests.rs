//! Tests of `device.rs` with network namespaces of their own.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use super::*;

/// A process in a network namespace of its own. `here` is the network namespace of the test.
struct Peer(Child);

impl Peer {
    fn new() -> Peer {
        Peer::with("--net")
    }

    fn with(namespaces: &str) -> Peer {
        let mut command = Command::new("unshare");
        command.args(namespaces.split(' ')).args(["sh", "-c", "echo; exec sleep 100"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        Peer(child)
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// The output of a command in the network namespace of the peer.
    fn ip(&self, arguments: &str) -> String {
        let net = format!("--net=/proc/{}/ns/net", self.0.id());
        run(Command::new("nsenter").arg(net).arg("ip").args(arguments.split(' ')))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn ip(arguments: &str) -> String {
    run(Command::new("ip").args(arguments.split(' ')))
}

fn pairs(devices: &[(&str, &str)]) -> Vec<(String, String)> {
    devices.iter().map(|(outside, inside)| ((*outside).to_owned(), (*inside).to_owned())).collect()
}

/// Runs a test on a thread in a new network namespace, which plays the host's.
fn on_a_host(test: fn()) {
    let ip_there = Command::new("ip").arg("-V").output().is_ok_and(|output| output.status.success());
    if !nix::unistd::geteuid().is_root() || !ip_there {
        return println!("skipped: needs root and iproute2");
    }
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let own = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let before = own();
        test();
        assert_eq!(own(), before, "the thread is back");
    });
    thread.join().unwrap();
}

fn address_of(device: &str, from: impl Fn(&str) -> String) -> String {
    from(&format!("-o link show {device}")).split("link/ether ").nth(1).unwrap()[..17].to_owned()
}

#[test]
fn a_device_keeps_its_addresses_and_comes_up() {
    on_a_host(|| {
        ip("link add eth7 mtu 1400 type veth peer name peer");
        ip("addr add 10.1.0.1/24 broadcast + dev eth7 label eth7:one");
        ip("addr add 10.1.0.2/24 dev eth7 metric 77 noprefixroute");
        ip("addr add 10.2.0.1 peer 10.2.0.9 dev eth7");
        ip("addr add 10.3.0.1/24 scope link dev eth7");
        ip("addr add 10.4.0.1/24 dev eth7 valid_lft 1000 preferred_lft 1000");
        ip("addr add fd00::1/64 dev eth7 nodad");
        ip("addr add 10.9.0.1/24 dev peer");
        ip("link set eth7 up");
        let hardware = address_of("eth7", ip);
        let inside = Peer::new();
        inside.ip("link add eth7 type veth peer name peer");
        move_in(&pairs(&[("eth7", "net0")]), inside.pid()).unwrap();

        assert!(!ip("-o link").contains("eth7"));
        let link = inside.ip("-o link show net0");
        assert!(link.contains("mtu 1400") && link.contains(",UP") && link.contains(&hardware), "{link}");
        let list = inside.ip("-o addr show dev net0");
        for kept in ["10.1.0.1/24 brd 10.1.0.255 scope global net0", "10.2.0.1 peer 10.2.0.9/32", "fd00::1/64"] {
            assert!(list.contains(kept), "{kept}: {list}");
        }
        assert!(list.contains("10.1.0.2/24 metric 77 scope global secondary noprefixroute net0"), "{list}");
        assert!(!list.contains("10.3.0.1") && !list.contains("10.4.0.1") && !list.contains("10.9.0.1"), "{list}");
    });
}

#[test]
fn a_taken_index_or_a_pattern_changes_nothing() {
    on_a_host(|| {
        ip("link add eth7 index 4711 type veth peer name peer");
        ip("addr add 10.1.0.1/24 dev eth7");
        let inside = Peer::new();
        inside.ip("link add eth0 index 4711 type veth peer name other");
        inside.ip("addr add 10.8.0.1/24 dev eth0");
        move_in(&pairs(&[("eth7", "eth%d")]), inside.pid()).unwrap();
        let list = inside.ip("-4 -o addr");
        assert!(list.contains("10.1.0.1/24 scope global eth1"), "{list}");
        assert!(inside.ip("-o link show eth1").contains(",UP"));
        assert!(!inside.ip("-o link show eth0").contains(",UP"), "not the one with its old index");
    });
}

#[test]
fn a_failure_brings_all_back() {
    on_a_host(|| {
        ip("link add eth7 type veth peer name peer7");
        ip("link add eth8 type veth peer name peer8");
        ip("addr add 10.1.0.1/24 dev eth7");
        ip("link set eth7 up");
        let inside = Peer::new();
        let error = move_in(&pairs(&[("eth7", "net0"), ("eth8", "net1"), ("eth9", "net2")]), inside.pid()).unwrap_err();
        assert_eq!(format!("{error:#}"), "linux.netDevices.eth9: find the device: no such device");
        let list = ip("-o addr show dev eth7");
        assert!(list.contains("10.1.0.1/24"), "{list}");
        assert!(ip("-o link show eth7").contains(",UP"));
        assert!(!ip("-o link show eth8").contains(",UP"));
        assert!(!inside.ip("-o link").contains("net"));
    });
}

#[test]
fn a_later_failure_brings_all_back_from_the_dead() {
    on_a_host(|| {
        ip("link add eth7 type veth peer name peer7");
        ip("addr add 10.1.0.1/24 dev eth7");
        let inside = Peer::new();
        let mut moved = move_in(&pairs(&[("eth7", "net0")]), inside.pid()).unwrap();
        drop(inside);
        moved.go_back();
        let list = ip("-o addr show dev eth7");
        assert!(list.contains("10.1.0.1/24"), "{list}");
        moved.go_back();
        assert_eq!(ip("-o addr show dev eth7"), list);
    });
}

#[test]
fn a_taken_name_is_refused_and_the_device_not_lost() {
    on_a_host(|| {
        ip("link add eth7 type veth peer name peer7");
        ip("addr add fd00::7/64 dev eth7 nodad");
        let inside = Peer::new();
        inside.ip("link add net0 type veth peer name net1");
        let error = move_in(&pairs(&[("eth7", "net0")]), inside.pid()).unwrap_err();
        let text = "linux.netDevices.eth7: move it into the container as \"net0\": file exists";
        assert_eq!(format!("{error:#}"), text);
        assert!(ip("-o addr show dev eth7").contains("fd00::7/64"));
        assert!(!inside.ip("-o link").contains("eth7"));
    });
}

#[test]
fn what_cannot_move_is_refused() {
    on_a_host(|| {
        let inside = Peer::new();
        let error = format!("{:#}", move_in(&pairs(&[("lo", "lo1")]), inside.pid()).unwrap_err());
        assert!(error.starts_with("linux.netDevices.lo: move it into the container as \"lo1\": invalid"), "{error}");
        let error = format!("{:#}", move_in(&pairs(&[("lo", "lo")]), 0).unwrap_err());
        assert_eq!(error, "linux.netDevices: /proc/0/ns/net: no such file or directory");
        move_in(&[], 0).unwrap();
    });
}

#[test]
fn ones_own_namespace_is_refused() {
    on_a_host(|| {
        let error = move_in(&pairs(&[("lo", "net0")]), nix::unistd::gettid().as_raw()).unwrap_err();
        assert_eq!(format!("{error:#}"), "linux.netDevices: the container is in the runtime's own network namespace");
    });
}

#[test]
fn a_namespace_of_another_user_namespace_is_no_other() {
    on_a_host(|| {
        ip("link add eth7 type veth peer name peer7");
        ip("addr add 10.1.0.1/24 dev eth7");
        let inside = Peer::with("--user --net");
        move_in(&pairs(&[("eth7", "eth7")]), inside.pid()).unwrap();
        assert!(inside.ip("-4 -o addr").contains("10.1.0.1/24 scope global eth7"));
    });
}

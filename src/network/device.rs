//! `linux.netDevices`: moves network devices of the host into a container.
//!
//! When a device changes its network namespace, the kernel keeps its MTU and its hardware address, and its index if
//! that is free. Everything else is lost. The specification demands that the runtime restores permanent addresses of
//! global scope and brings the device up. Routes and bridge membership stay lost.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

use super::netlink::{Answer, Netlink, Query, i32_at, u32_at};
use crate::sys::{self, Call, Errno};

/// The size of `struct ifinfomsg`: family, kind of device, index, flags, mask of flags.
const LINK: usize = 16;
/// The size of `struct ifaddrmsg`: family, length of the prefix, flags, scope, index of the device.
const ADDRESS: usize = 8;
/// `IFLA_NEW_IFINDEX`: the new index, in the notification about a device that leaves the namespace.
const NEW_INDEX: u16 = 49;

/// Moves network devices from the caller's network namespace into that of a process. Each has a name outside and a name
/// inside.
///
/// A name inside may contain `%d`, which the kernel replaces by a number. After a failure the devices that were moved
/// are moved back, with their names, addresses and state.
pub fn move_in(devices: &[(String, String)], pid: i32) -> Result<Moved> {
    let mut moved = Moved::default();
    if devices.is_empty() {
        return Ok(moved);
    }
    let (here, there) = moved.places.insert(places(pid).context("linux.netDevices")?);
    for (outside, inside) in devices {
        let result = Device::find(here, outside).and_then(|mut device| {
            let result = device.enter(here, there, inside);
            moved.devices.push(device);
            result
        });
        if let Err(error) = result {
            moved.go_back();
            return Err(error.context(format!("linux.netDevices.{outside}")));
        }
    }
    Ok(moved)
}

/// Moved devices. Virtual devices die with their network namespace, so this keeps the namespace alive until they can be
/// moved back.
#[derive(Debug, Default)]
pub struct Moved {
    places: Option<(NetNamespace, NetNamespace)>,
    devices: Vec<Device>,
}

impl Moved {
    /// Moves all devices back. Failures are ignored: the error to report is the one that made this necessary.
    pub fn go_back(&mut self) {
        let Some((here, there)) = &mut self.places else { return };
        for device in self.devices.iter_mut().rev() {
            device.go_back(here, there);
        }
    }
}

/// A network namespace, with a connection for requests and one for notifications.
#[derive(Debug)]
struct NetNamespace {
    namespace: File,
    requests: Netlink,
    news: Netlink,
}

impl NetNamespace {
    /// The network namespace of the calling thread.
    fn around(namespace: File) -> Result<NetNamespace> {
        let requests = Netlink::open().named("netlink")?;
        let news = Netlink::listen().named("netlink")?;
        Ok(NetNamespace { namespace, requests, news })
    }
}

/// The caller's network namespace and that of a process. The thread enters the second one and returns, because a socket
/// belongs to the namespace in which it was opened.
fn places(pid: i32) -> Result<(NetNamespace, NetNamespace)> {
    let open = |path: String| File::open(&path).named(path);
    let enter = |namespace: &File| setns(namespace, CloneFlags::CLONE_NEWNET).named("setns");
    let here = NetNamespace::around(open("/proc/thread-self/ns/net".to_owned())?)?;
    let namespace = open(format!("/proc/{pid}/ns/net"))?;
    if identity(&namespace)? == identity(&here.namespace)? {
        bail!("the container is in the runtime's own network namespace");
    }
    enter(&namespace)?;
    let there = NetNamespace::around(namespace);
    enter(&here.namespace)?;
    Ok((here, there?))
}

/// Device and inode, which are equal for two files of the same namespace.
fn identity(namespace: &File) -> Result<(u64, u64)> {
    let stat = namespace.metadata().map_err(sys::io)?;
    Ok((stat.dev(), stat.ino()))
}

/// A network device, with its original state.
#[derive(Debug)]
struct Device {
    name: String,
    up: bool,
    addresses: Vec<Address>,
    /// The index in the namespace where the device is now.
    index: i32,
    inside: bool,
}

impl Device {
    fn find(place: &mut NetNamespace, name: &str) -> Result<Device> {
        let request = Query::new(libc::RTM_GETLINK, &link(0, 0)).attribute(libc::IFLA_IFNAME, &terminated(name));
        const FIND: &str = "find the device";
        let answers = place.requests.ask(&request).named(FIND)?;
        let answer = answers.iter().find(|it| it.kind == libc::RTM_NEWLINK).ok_or(Errno::ENODEV).named(FIND)?;
        let index = i32_at(&answer.body, 4).ok_or(Errno::EPROTO).named(FIND)?;
        let real = answer.attribute(LINK, libc::IFLA_IFNAME).unwrap_or_default();
        Ok(Device {
            name: String::from_utf8_lossy(real).trim_end_matches('\0').to_owned(),
            up: u32_at(&answer.body, 8).unwrap_or(0) & libc::IFF_UP as u32 != 0,
            addresses: addresses(place, index).named("read its addresses")?,
            index,
            inside: false,
        })
    }

    /// Moves the device into the container and brings it up.
    fn enter(&mut self, here: &mut NetNamespace, there: &mut NetNamespace, name: &str) -> Result<()> {
        let result = self.change_place(here, there, name);
        result.named(format_args!("move it into the container as \"{name}\""))?;
        for address in &self.addresses {
            let added = address.add(there, self.index);
            added.named(format_args!("add the address {}", address.shown()))?;
        }
        self.set_up(there).named("set it up")
    }

    /// Moves the device back. Failures are ignored.
    fn go_back(&mut self, here: &mut NetNamespace, there: &mut NetNamespace) {
        if !self.inside {
            return;
        }
        let name = self.name.clone();
        let _ = self.change_place(there, here, &name);
        for address in &self.addresses {
            let _ = address.add(here, self.index);
        }
        if self.up {
            let _ = self.set_up(here);
        }
    }

    /// Moves and renames the device in one request. The kernel moves first: if the new name is in use, the request fails,
    /// but the device has moved, under its old name. The notification shows whether it has, and the new index.
    fn change_place(&mut self, from: &mut NetNamespace, to: &mut NetNamespace, name: &str) -> nix::Result<()> {
        let namespace = to.namespace.as_raw_fd().to_ne_bytes();
        let request = Query::new(libc::RTM_NEWLINK, &link(self.index, 0))
            .attribute(libc::IFLA_NET_NS_FD, &namespace)
            .attribute(libc::IFLA_IFNAME, &terminated(name));
        let result = from.requests.ask(&request).map(drop);
        let farewell = from.news.heard().iter().rev().find_map(|news| farewell(news, self.index));
        if farewell.is_some() || result.is_ok() {
            self.inside = !self.inside;
        }
        self.index = farewell.unwrap_or(self.index);
        result
    }

    fn set_up(&self, place: &mut NetNamespace) -> nix::Result<()> {
        place.requests.ask(&Query::new(libc::RTM_NEWLINK, &link(self.index, libc::IFF_UP as u32))).map(drop)
    }
}

/// An address of a device, as the kernel lists it.
#[derive(Debug)]
struct Address {
    family: u8,
    prefix: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// The address in this message, if it belongs to the device and must be restored.
    fn read(message: &Answer, device: i32) -> Option<Address> {
        let &[family, prefix, flags, scope] = message.body.get(..4)? else { return None };
        let ours = message.kind == libc::RTM_NEWADDR && i32_at(&message.body, 4) == Some(device);
        let long = message.attribute(ADDRESS, libc::IFA_FLAGS).and_then(|value| u32_at(value, 0));
        let permanent = long.unwrap_or(u32::from(flags)) & libc::IFA_F_PERMANENT != 0;
        if !ours || !permanent || scope != libc::RT_SCOPE_UNIVERSE {
            return None;
        }
        // The label contains the device's old name.
        let kept = message.attributes(ADDRESS).filter(|(kind, _)| *kind != libc::IFA_LABEL);
        Some(Address { family, prefix, attributes: kept.map(|(kind, value)| (kind, value.to_vec())).collect() })
    }

    fn add(&self, place: &mut NetNamespace, device: i32) -> nix::Result<()> {
        let mut fixed = vec![self.family, self.prefix, 0, libc::RT_SCOPE_UNIVERSE];
        fixed.extend_from_slice(&device.to_ne_bytes());
        let request = Query::new(libc::RTM_NEWADDR, &fixed);
        let add = |request: Query, (kind, value): &(u16, Vec<u8>)| request.attribute(*kind, value);
        place.requests.put(&self.attributes.iter().fold(request, add))
    }

    /// The form for messages: `10.0.0.1/24`.
    fn shown(&self) -> String {
        let value =
            |wanted| self.attributes.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value.as_slice());
        let bytes = value(libc::IFA_LOCAL).or(value(libc::IFA_ADDRESS)).unwrap_or_default();
        let v4 = || <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
        let v6 = || <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string());
        format!("{}/{}", v4().or_else(|_| v6()).unwrap_or_default(), self.prefix)
    }
}

/// The permanent addresses of global scope of a device.
fn addresses(place: &mut NetNamespace, device: i32) -> nix::Result<Vec<Address>> {
    let list = place.requests.list(&Query::new(libc::RTM_GETADDR, &[0; ADDRESS]))?;
    Ok(list.iter().filter_map(|message| Address::read(message, device)).collect())
}

/// The new index of a device, if this notification says that it has left for another namespace.
fn farewell(news: &Answer, device: i32) -> Option<i32> {
    let ours = news.kind == libc::RTM_DELLINK && i32_at(&news.body, 4) == Some(device);
    news.attribute(LINK, NEW_INDEX).filter(|_| ours).and_then(|value| i32_at(value, 0))
}

/// `struct ifinfomsg` for a device, with flags to set.
fn link(index: i32, flags: u32) -> [u8; LINK] {
    let mut bytes = [0; LINK];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;

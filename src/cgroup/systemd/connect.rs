//! The places where a service manager can be reached.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::connection::Connection;

/// The system bus, if the environment does not name another one (D-Bus specification, "Well-known Message Bus
/// Instances").
const SYSTEM: &str = "unix:path=/var/run/dbus/system_bus_socket";
/// systemd's own socket, over which root reaches the host's manager without a bus.
const PRIVATE: &str = "/run/systemd/private";

/// Connects to the system bus.
pub fn system_bus() -> Result<Connection> {
    let address = variable("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|| SYSTEM.into());
    at(&address, nix::unistd::geteuid().as_raw())
}

/// Connects to the host's manager without a bus.
pub fn directly() -> Result<Connection> {
    Connection::open(OsStr::new(PRIVATE), 0)
}

/// Connects to the bus of the caller's session. For root of a user namespace it is the bus of the user that created the
/// namespace.
pub fn own_bus() -> Result<Connection> {
    let uid = nix::unistd::geteuid().as_raw();
    let other = outside(uid).filter(|_| uid == 0 && !crate::sys::namespace::first_process_is_here());
    let uid = other.unwrap_or(uid);
    if let Some(addresses) = variable("DBUS_SESSION_BUS_ADDRESS") {
        return at(&addresses, uid);
    }
    let directory = variable("XDG_RUNTIME_DIR")
        .ok_or_else(|| anyhow!("neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR says where the user's bus is"))?;
    let socket = bus_in(&directory);
    Connection::open(socket.as_os_str(), uid).with_context(|| socket.display().to_string())
}

/// The socket in a runtime directory.
fn bus_in(directory: &str) -> PathBuf {
    Path::new(".").join(directory).join("bus")
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Connects to the first address of the list where that is possible.
fn at(addresses: &str, uid: u32) -> Result<Connection> {
    let mut failed = anyhow!("there is no address");
    for address in addresses.split(';').filter(|address| !address.is_empty()) {
        match socket_name(address).and_then(|name| Connection::open(&name, uid)) {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = error.context(address.to_owned()),
        }
    }
    Err(failed)
}

/// The socket of an address (D-Bus specification, "Server Addresses"), in Go's form.
fn socket_name(address: &str) -> Result<OsString> {
    let (transport, pairs) = address.split_once(':').ok_or_else(|| anyhow!("the address has no transport"))?;
    if transport != "unix" {
        bail!("only the transport \"unix\" is supported");
    }
    for pair in pairs.split(',') {
        let (key, value) = pair.split_once('=').ok_or_else(|| anyhow!("{pair:?} is not a key with a value"))?;
        let value = unescaped(value).ok_or_else(|| anyhow!("{key}: a \"%\" without two hexadecimal digits"))?;
        match key {
            // Joined with ".", so that a path that begins with "@" remains a path.
            "path" => return Ok(Path::new(".").join(value).into()),
            "abstract" => return Ok([OsStr::new("@"), &value].into_iter().collect()),
            "runtime" => {
                let dir = variable("XDG_RUNTIME_DIR").context("runtime: there is no XDG_RUNTIME_DIR")?;
                return Ok(bus_in(&dir).into());
            }
            _ => {}
        }
    }
    bail!("the address has no path")
}

/// Replaces `%xx` by the byte.
fn unescaped(text: &str) -> Option<OsString> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
        bytes.extend(rest.as_bytes());
    }
    Some(OsString::from_vec(bytes))
}

/// The uid outside the caller's user namespace.
fn outside(uid: u32) -> Option<u32> {
    let map = std::fs::read_to_string("/proc/self/uid_map").ok()?;
    map.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map_while(|field| field.parse::<u32>().ok());
        let (inside, outside, count) = (fields.next()?, fields.next()?, fields.next()?);
        uid.checked_sub(inside).filter(|offset| *offset < count).and_then(|offset| outside.checked_add(offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_addresses() {
        for (address, wanted) in [
            ("unix:path=/run/bus", "/run/bus"),
            ("unix:guid=0f,path=/run/with%20blank%2c", "/run/with blank,"),
            ("unix:abstract=/tmp/bus", "@/tmp/bus"),
            ("unix:path=@here", "./@here"),
        ] {
            assert_eq!(socket_name(address).unwrap(), wanted, "{address}");
        }
        for (address, wanted) in [
            ("tcp:host=localhost", "only the transport \"unix\" is supported"),
            ("/run/bus", "the address has no transport"),
            ("unix:tmpdir=/tmp", "the address has no path"),
            ("unix:/run/bus", "\"/run/bus\" is not a key with a value"),
            ("unix:path=%4", "path: a \"%\" without two hexadecimal digits"),
            ("unix:path=%+4", "path: a \"%\" without two hexadecimal digits"),
        ] {
            assert_eq!(socket_name(address).unwrap_err().to_string(), wanted, "{address}");
        }
    }
}

//! Connections to a service manager.

use anyhow::{Result, anyhow};
use zbus::Connection;
use zbus::connection::Builder;

use super::answer::{PATIENCE, late, plain};
use super::private::Private;

/// Connects, with the time limit of an answer.
pub async fn open(builder: Builder<'_>) -> Result<Connection> {
    let runtime = zruntime::Runtime::current().map_err(crate::sys::io)?;
    match runtime.timeout(PATIENCE, builder.method_timeout(PATIENCE).build()).await {
        Ok(connection) => connection.map_err(plain),
        Err(_) => Err(late()),
    }
}

/// Connects to the host's manager without a bus.
pub async fn directly() -> Result<Connection> {
    let private = Private::open(PATIENCE).map_err(crate::sys::io)?;
    let guid = private.guid.clone();
    open(Builder::authenticated_socket(private, guid).p2p()).await
}

/// The bus of the caller's session. For root of a user namespace it is the bus of the user that created the namespace.
pub fn own_bus() -> Result<Builder<'static>> {
    let given = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|address| !address.is_empty());
    let address = match given {
        Some(address) => address,
        None => {
            let runtime = std::env::var("XDG_RUNTIME_DIR").ok().filter(|dir| !dir.is_empty());
            let dir = runtime.ok_or_else(|| {
                anyhow!("neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR says where the user's bus is")
            })?;
            format!("unix:path={dir}/bus")
        }
    };
    let builder = Builder::address(address.as_str());
    let uid = nix::unistd::geteuid().as_raw();
    Ok(match outside(uid).filter(|_| uid == 0 && !crate::sys::namespace::first_process_is_here()) {
        Some(uid) => builder.user_id(uid),
        None => builder,
    })
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

//! The loopback device.

use super::{Fault, O_CLOEXEC, Try, calls, close};

/// Bring `lo` up with `SIOCSIFFLAGS` and `IFF_UP | IFF_RUNNING`. If AF_INET sockets (`RestrictAddressFamilies=`) or the
/// ioctl are forbidden, use netlink.
pub fn loopback_up() -> Try<()> {
    loopback_up_by_request().or_else(|_| loopback_up_by_netlink())
}

fn loopback_up_by_request() -> Try<()> {
    const AF_INET_DGRAM_CLOEXEC: (usize, usize) = (2, 2 | O_CLOEXEC as usize);
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u8 = 0x1;
    const IFF_RUNNING: u8 = 0x40;
    let socket = call!(SOCKET, AF_INET_DGRAM_CLOEXEC.0, AF_INET_DGRAM_CLOEXEC.1, 0)?;
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = IFF_UP | IFF_RUNNING;
    let result = done!(IOCTL, socket, SIOCSIFFLAGS, request.as_ptr());
    close(socket as i32);
    result
}

/// Send `RTM_NEWLINK` with `IFF_UP` for interface 1, which is `lo` in every network namespace.
#[inline(never)]
fn loopback_up_by_netlink() -> Try<()> {
    const AF_NETLINK_RAW_CLOEXEC: (usize, usize) = (16, 3 | O_CLOEXEC as usize);
    const NETLINK_ROUTE: usize = 0;
    // struct nlmsghdr: length, type RTM_NEWLINK with the flags REQUEST and ACK, sequence, port; struct ifinfomsg: family
    // and type, index, flags, the flags that change.
    const REQUEST: [u32; 8] = [32, 16 | 5 << 16, 1, 0, 0, 1, 1, 1];
    let socket = call!(SOCKET, AF_NETLINK_RAW_CLOEXEC.0, AF_NETLINK_RAW_CLOEXEC.1, NETLINK_ROUTE)? as i32;
    // The answer is a struct nlmsghdr followed by the negative errno, 0 for success.
    let mut answer = [0i32; 20];
    let sent = call!(WRITE, socket, REQUEST.as_ptr(), size_of_val(&REQUEST));
    let heard = sent.and_then(|_| call!(READ, socket, answer.as_mut_ptr(), size_of_val(&answer)));
    close(socket);
    match heard {
        Ok(_) if answer[4] != 0 => Err(Fault { step: calls::WRITE, errno: -answer[4], detail: 0 }),
        other => other.map(|_| ()),
    }
}

//! The socket to the runtime.

use super::super::op::{Message, why};
use super::{Fault, Try, read};

/// Send one [`Message`], which has a fixed size.
pub fn send(fd: i32, message: &Message) -> Try<()> {
    // If the runtime has exited, SIGPIPE ends this process, as it should.
    done!(WRITE, fd, message as *const Message, size_of::<Message>())
}

/// Send a message together with a descriptor (`SCM_RIGHTS`, unix(7)).
pub fn send_descriptor(socket: i32, message: &Message, fd: i32) -> Try<()> {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    #[repr(C)]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        fd: i32,
    }
    // struct msghdr: name and its size, buffers and their number, control data and its size, flags.
    let control = Control { length: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, fd };
    let buffer = [message as *const Message as usize, size_of::<Message>()];
    let header = [0, 0, buffer.as_ptr() as usize, 1, &control as *const Control as usize, size_of::<Control>(), 0];
    done!(SENDMSG, socket, header.as_ptr(), 0)
}

/// Wait for one byte from the runtime.
pub fn hear(channel: i32) -> Try<()> {
    match read(channel, &mut [0u8])? {
        0 => Err(Fault::because(why::ORPHAN, 0)),
        _ => Ok(()),
    }
}

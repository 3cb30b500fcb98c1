//! systemd's own socket, over which root reaches the host's manager without a bus.
//!
//! zbus can connect to it but cannot read from it: systemd sends its well-known name as the sender, and zbus accepts
//! only unique names, which begin with a colon. So this module replaces the name in each message that it reads.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;
use zruntime::{AsyncIo, Shared, SharedRuntime};

const PATH: &str = "/run/systemd/private";
/// The sender in the header of a message: number and type of the field, length, text.
const SENDER: &[u8] = b"\x07\x01s\0\x18\0\0\0org.freedesktop.systemd1\0";
/// The offset of the text in it.
const NAME: usize = 8;

/// An authenticated connection, and the name of the peer.
pub(super) struct Private {
    stream: Arc<Stream>,
    /// The GUID of the server (D-Bus specification, "Authentication").
    pub guid: String,
}

type Stream = AsyncIo<UnixStream, Shared>;

impl Private {
    /// Connects as root. systemd requires no other authentication.
    pub fn open(patience: Duration) -> Result<Private> {
        let mut stream = UnixStream::connect(PATH)?;
        stream.set_read_timeout(Some(patience))?;
        // The user id 0 as hexadecimal text, and BEGIN in the same write. If systemd reads a message together with
        // BEGIN, it does not process the message until more data arrives.
        stream.write_all(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n")?;
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\r\n") {
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line);
        let guid = line.trim_end().strip_prefix("OK ").ok_or(ErrorKind::PermissionDenied)?.to_owned();
        stream.set_read_timeout(None)?;
        let stream = Arc::new(AsyncIo::new(&SharedRuntime::current()?, stream)?);
        Ok(Private { stream, guid })
    }
}

impl Socket for Private {
    type ReadHalf = Half;
    type WriteHalf = Half;

    fn split(self) -> Split<Half, Half> {
        Split::new(Half(Arc::clone(&self.stream)), Half(self.stream))
    }
}

#[derive(Debug)]
pub(super) struct Half(Arc<Stream>);

#[async_trait]
impl ReadHalf for Half {
    /// Reads a whole part. zbus first asks for the beginning of a message and then for the rest, which contains the
    /// sender.
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
        let mut count = 0;
        while count < buffer.len() {
            match self.0.read_with(|mut stream| stream.read(&mut buffer[count..])).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                more => count += more,
            }
        }
        sign(buffer);
        Ok((count, Vec::new()))
    }
}

#[async_trait]
impl WriteHalf for Half {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> Result<usize> {
        self.0.write_with(|mut stream| stream.write(buffer)).await
    }

    async fn close(&mut self) -> Result<()> {
        self.0.get_ref().shutdown(Shutdown::Both)
    }
}

/// Replaces the name of the sender with one of the same length that zbus accepts.
fn sign(message: &mut [u8]) {
    if let Some(at) = message.windows(SENDER.len()).position(|window| window == SENDER) {
        message[at + NAME] = b':';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sender_is_changed() {
        let mut message = [b"org.freedesktop.systemd1\0".as_slice(), SENDER, b"org.freedesktop.systemd1"].concat();
        sign(&mut message);
        let wanted =
            b"org.freedesktop.systemd1\0\x07\x01s\0\x18\0\0\0:rg.freedesktop.systemd1\0org.freedesktop.systemd1";
        assert_eq!(message, wanted);
    }
}

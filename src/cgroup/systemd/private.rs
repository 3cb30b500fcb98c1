//! systemd's own socket, over which root reaches the host's manager where there is no bus.
//!
//! zbus could open it, but not read from it: systemd signs with its well-known name there, and zbus takes only unique
//! names for a signature, which begin with a colon. So what is read gets one.

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
/// The header field that says who sends: its number, its type, its length, the text.
const SENDER: &[u8] = b"\x07\x01s\0\x18\0\0\0org.freedesktop.systemd1\0";
/// Where the text begins.
const NAME: usize = 8;

/// A connection that may be used, and the name of the other end.
pub(super) struct Private {
    stream: Arc<Stream>,
    /// What the D-Bus specification calls the GUID of a server.
    pub guid: String,
}

type Stream = AsyncIo<UnixStream, Shared>;

impl Private {
    /// Connects as root, which is all that is asked of a caller.
    pub fn open(patience: Duration) -> Result<Private> {
        let mut stream = UnixStream::connect(PATH)?;
        stream.set_read_timeout(Some(patience))?;
        // The user id as hexadecimal text, and the end of it in one go: what systemd reads together with that line later
        // it puts aside, and looks at only when more arrives.
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
    /// All of it: what zbus asks for is a message's beginning, then the rest, which has the signature in it.
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

/// Makes the sender's name one that zbus takes, of the same length.
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

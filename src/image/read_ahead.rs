//! A reader whose source is read by a thread of its own: one processor decompresses while the other writes files.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use crate::sys;

const CHUNK: usize = 256 << 10;
/// The chunks that wait for the reader.
const AHEAD: usize = 8;

/// The reading end. After an error it reports the end of the stream.
pub struct ReadAhead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// The way back for chunks that have been read.
    empty: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl ReadAhead {
    /// Starts the thread. It ends at the end of the source, at an error, or soon after this reader is dropped.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(source: impl Read + Send + 'static) -> io::Result<ReadAhead> {
        let (full, chunks) = sync_channel(AHEAD);
        let (empty, used) = channel();
        sys::process::thread(move || fill(source, &full, &used))?;
        Ok(ReadAhead { chunks, empty, current: Vec::new(), at: 0 })
    }
}

fn fill(mut source: impl Read, full: &SyncSender<io::Result<Vec<u8>>>, used: &Receiver<Vec<u8>>) {
    loop {
        let mut chunk = used.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let (read, end) = read_full(&mut source, &mut chunk);
        chunk.truncate(read);
        // Without a reader nobody needs the rest.
        if !chunk.is_empty() && full.send(Ok(chunk)).is_err() {
            return;
        }
        match end {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => return drop(full.send(Err(error))),
        }
    }
}

/// Reads until the buffer is full. Returns the count, and whether the end is reached.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> (usize, io::Result<bool>) {
    let mut count = 0;
    while count < buffer.len() {
        match source.read(&mut buffer[count..]) {
            Ok(0) => return (count, Ok(true)),
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (count, Err(error)),
        }
    }
    (count, Ok(false))
}

impl BufRead for ReadAhead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.current.len() {
            self.at = 0;
            let _ = self.empty.send(std::mem::take(&mut self.current));
            // The sender is gone at the end.
            if let Ok(chunk) = self.chunks.recv() {
                self.current = chunk?;
            }
        }
        Ok(&self.current[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for ReadAhead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte less each time, and an error in the end.
    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("broken"));
            }
            let count = self.0.min(into.len());
            into[..count].fill(7);
            self.0 -= count;
            Ok(count)
        }
    }

    #[test]
    fn all_bytes_in_order() {
        let bytes: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
        let mut read = Vec::new();
        ReadAhead::new(io::Cursor::new(bytes.clone())).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn an_error_comes_after_what_was_read() {
        let mut reader = ReadAhead::new(Failing(CHUNK + 5)).unwrap();
        let mut read = Vec::new();
        let error = reader.read_to_end(&mut read).unwrap_err();
        assert_eq!((read.len(), error.to_string().as_str()), (CHUNK + 5, "broken"));
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn the_thread_ends_with_the_reader() {
        struct Told(Sender<()>);
        impl Read for Told {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                Ok(into.len())
            }
        }
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (told, ended) = channel();
        drop(ReadAhead::new(Told(told)).unwrap());
        ended.recv().unwrap();
    }
}

//! Writing without a buffer.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::uio::writev;

/// Writes all parts, in one call if the kernel takes them all. After a write that the caller's RLIMIT_FSIZE cut off,
/// the next one fails with EFBIG.
///
/// # Errors
/// The error of `writev(2)`, except EINTR.
pub fn write_all(file: BorrowedFd<'_>, mut parts: &mut [IoSlice<'_>]) -> nix::Result<()> {
    // Takes away empty parts at the start.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match super::again(|| writev(file, parts))? {
            0 => return Err(Errno::ENOSPC),
            written => IoSlice::advance_slices(&mut parts, written),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn more_than_a_pipe_holds() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let (one, other) = (vec![b'a'; 100_000], vec![b'b'; 3]);
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            std::fs::File::from(read).read_to_end(&mut text).unwrap();
            text
        });
        write_all(write.as_fd(), &mut [&[][..], &one, &other].map(IoSlice::new)).unwrap();
        write_all(write.as_fd(), &mut [IoSlice::new(b"")]).unwrap();
        drop(write);
        assert_eq!(reader.join().unwrap(), [one, other].concat());
    }
}

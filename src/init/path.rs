//! Paths and numbers as text, without an allocator.

use core::ffi::CStr;

use super::op::why;
use super::sys::{self, Fault, Try};

/// A text of less than `SIZE` bytes, which can be shortened.
pub struct TextBuffer<const SIZE: usize> {
    bytes: [u8; SIZE],
    len: usize,
}

/// Any path: `PATH_MAX`.
pub type PathBuffer = TextBuffer<4096>;
/// A path or a name of usual length. Each page of the stack that `init` uses counts against the container's memory limit.
pub type ShortBuffer = TextBuffer<256>;

impl<const SIZE: usize> TextBuffer<SIZE> {
    /// Copy a path.
    pub fn new(path: &[u8]) -> Try<TextBuffer<SIZE>> {
        let mut buffer = TextBuffer { bytes: [0; SIZE], len: 0 };
        buffer.append(path)?;
        Ok(buffer)
    }

    /// Append bytes, without adding a slash.
    pub fn append(&mut self, bytes: &[u8]) -> Try<()> {
        let end = self.len + bytes.len();
        if end >= self.bytes.len() {
            return Err(Fault::because(why::TOO_LONG, sys::ENAMETOOLONG));
        }
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// The path, followed by a NUL.
    pub fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    /// Remove the last component. False if only `/` is left.
    pub fn pop(&mut self) -> bool {
        let cut = self.bytes[..self.len].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let had = self.len > 1;
        let keep = cut.max(1);
        self.bytes[keep..].fill(0);
        self.len = keep;
        had
    }
}

/// The last component; `None` if the path ends in a slash.
pub fn last_part(path: &CStr) -> Option<&[u8]> {
    path.to_bytes().rsplit(|byte| *byte == b'/').next().filter(|part| !part.is_empty())
}

/// A mode as four octal digits, followed by a NUL.
pub fn octal(mode: u32) -> [u8; 5] {
    let mut text = [0u8; 5];
    for (at, digit) in text.iter_mut().take(4).enumerate() {
        *digit = b'0' + (mode >> (9 - 3 * at) & 7) as u8;
    }
    text
}

/// The path `self/fd/N`.
pub fn in_proc(fd: i32) -> Try<PathBuffer> {
    let mut path = PathBuffer::new(b"self/fd/")?;
    let mut digits = [0u8; 10];
    let (mut at, mut rest) = (digits.len(), fd);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    path.append(&digits[at..])?;
    Ok(path)
}

/// Parse a decimal number. The text must have digits only.
pub fn decimal(text: &CStr) -> usize {
    text.to_bytes().iter().fold(0, |sum, digit| sum * 10 + (digit.wrapping_sub(b'0')) as usize)
}

/// The target of a symbolic link: of `name` in a directory or, if the name is empty, of the link itself.
#[inline(never)]
pub fn read_link(directory: i32, name: &CStr) -> Try<PathBuffer> {
    let mut text = PathBuffer::new(b"")?;
    text.len = sys::readlinkat(directory, name, &mut text.bytes[..4095])?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathBuffer {
        PathBuffer::new(text.as_bytes()).map_err(|fault| fault.errno).unwrap()
    }

    #[test]
    fn a_path_is_cut_from_its_end() {
        let mut it = path("/a/bc/d");
        for (wanted, had) in [("/a/bc", true), ("/a", true), ("/", true), ("/", false)] {
            assert_eq!(it.pop(), had, "{wanted}");
            assert_eq!(it.as_cstr().to_str(), Ok(wanted));
        }
        it.append(b"x/y").map_err(|fault| fault.errno).unwrap();
        assert_eq!(it.as_cstr().to_str(), Ok("/x/y"));
    }

    #[test]
    fn a_path_holds_one_byte_less_than_path_max() {
        let mut it = path(&"x".repeat(4095));
        assert_eq!(it.as_cstr().count_bytes(), 4095);
        assert_eq!(it.append(b"y").map_err(|fault| fault.step), Err(why::TOO_LONG));
        assert!(PathBuffer::new(&[b'x'; 4096]).is_err());
    }

    #[test]
    fn the_last_part_is_behind_the_last_slash() {
        for (path, wanted) in [(c"/a/b", Some(&b"b"[..])), (c"b", Some(b"b")), (c"/", None), (c"a/", None), (c"", None)]
        {
            assert_eq!(last_part(path), wanted, "{path:?}");
        }
    }

    #[test]
    fn numbers_are_written_and_read() {
        for (mode, wanted) in [(0, b"0000\0"), (0o755, b"0755\0"), (0o1777, b"1777\0"), (0o7654, b"7654\0")] {
            assert_eq!(octal(mode), *wanted);
        }
        for fd in [0, 7, 10, 1023, i32::MAX] {
            let wanted = format!("self/fd/{fd}");
            assert_eq!(in_proc(fd).map_err(|fault| fault.errno).unwrap().as_cstr().to_str(), Ok(&*wanted));
        }
        for (text, wanted) in [(c"0", 0), (c"4096", 4096), (c"", 0)] {
            assert_eq!(decimal(text), wanted);
        }
    }
}

//! `/etc/passwd` of the container.

use core::ffi::CStr;

use super::files::Fd;
use super::sys;

/// The home directory of this uid in the container's `/etc/passwd`, or `/`.
pub fn home(uid: u32) -> &'static CStr {
    let buffer = sys::lasting();
    buffer[..5].copy_from_slice(b"HOME=");
    let found = passwd(uid, &mut buffer[5..511]).unwrap_or(0);
    if found == 0 {
        buffer[5..7].copy_from_slice(b"/\0");
    }
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"HOME=/")
}

/// Write the home directory of this uid's first entry to `home`, followed by a NUL. Returns the length.
fn passwd(uid: u32, home: &mut [u8]) -> Option<usize> {
    const OPEN: u64 = sys::O_RDONLY | sys::O_CLOEXEC | sys::O_NONBLOCK;
    // The container controls the file, so its size is not trusted.
    const MOST: usize = 1 << 20;
    let file = Fd(sys::open(c"/etc/passwd", OPEN).ok()?);
    if !sys::fstat(file.0).ok()?.is_file() {
        return None;
    }
    let mut search = Search::new(uid, home);
    let mut chunk = [0u8; 1024];
    let mut seen = 0;
    while seen < MOST {
        let filled = sys::read(file.0, &mut chunk).ok()?;
        if filled == 0 {
            break;
        }
        if let Some(length) = search.feed(&chunk[..filled]) {
            return Some(length);
        }
        seen += filled;
    }
    // The last line may lack its newline.
    search.feed(b"\n")
}

/// Searches passwd(5) for the home directory of a uid: `name:password:uid:gid:comment:home:shell`.
pub struct Search<'a> {
    uid: u32,
    home: &'a mut [u8],
    /// The index of the current field.
    field: usize,
    /// The uid read so far; `None` if the field is no number.
    number: Option<u32>,
    /// The number of bytes of the home directory read so far.
    length: usize,
}

impl<'a> Search<'a> {
    /// Search for this uid, and write its home directory to this buffer.
    pub fn new(uid: u32, home: &'a mut [u8]) -> Self {
        Search { uid, home, field: 0, number: Some(0), length: 0 }
    }

    /// Read the next bytes of the file. When the entry is complete, its home directory is in the buffer, followed by a
    /// NUL, and its length is returned. An entry is skipped if its home directory is empty or does not fit.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let fits = self.length < self.home.len();
                    if self.field >= 5 && self.number == Some(self.uid) && self.length > 0 && fits {
                        self.home[self.length] = 0;
                        return Some(self.length);
                    }
                    (self.field, self.number, self.length) = (0, Some(0), 0);
                }
                b':' => self.field += 1,
                digit if self.field == 2 => {
                    let digit = u32::from(*digit).wrapping_sub(u32::from(b'0'));
                    let more = |number: u32| number.checked_mul(10)?.checked_add(digit);
                    self.number = self.number.filter(|_| digit < 10).and_then(more);
                }
                byte if self.field == 5 => {
                    if let Some(place) = self.home.get_mut(self.length) {
                        *place = *byte;
                        self.length += 1;
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Search;

    fn home(uid: u32, passwd: &str, room: usize) -> Option<String> {
        let mut whole = vec![1u8; room];
        let length = Search::new(uid, &mut whole).feed(format!("{passwd}\n").as_bytes());
        // The result is the same wherever the file is cut into pieces.
        for size in 1..=passwd.len() + 1 {
            let mut buffer = vec![1u8; room];
            let mut search = Search::new(uid, &mut buffer);
            let found = format!("{passwd}\n").as_bytes().chunks(size).find_map(|piece| search.feed(piece));
            assert_eq!(found, length, "in pieces of {size}");
        }
        assert!(length.is_none_or(|length| whole[length] == 0));
        length.map(|length| String::from_utf8_lossy(&whole[..length]).into_owned())
    }

    #[test]
    fn the_first_entry_of_the_uid_counts() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\na:x:7:7::/home/a:\nb:x:7:7::/home/b:\nc:x:8:8::/home/c";
        for (uid, wanted) in [(0, Some("/root")), (7, Some("/home/a")), (8, Some("/home/c")), (9, None)] {
            assert_eq!(home(uid, passwd, 64).as_deref(), wanted, "{uid}");
        }
    }

    #[test]
    fn broken_lines_are_no_entries() {
        for line in [
            "",
            "a",
            "a:x:7",
            "a:x:7:7:",
            "a:x:7:7::",
            "a:x:-7:7::/x:",
            "a:x:7x:7::/x:",
            "a:x:4294967303:7::/x:",
            "a:x:77777777777777777777:7::/x:",
        ] {
            assert_eq!(home(7, line, 64), None, "{line}");
        }
        assert_eq!(home(0, "a:x::7::/x:", 64).as_deref(), Some("/x"), "no digits are 0");
    }

    #[test]
    fn a_home_that_does_not_fit_is_none() {
        assert_eq!(home(7, "a:x:7:7::/1234:", 6).as_deref(), Some("/1234"));
        assert_eq!(home(7, "a:x:7:7::/1234:", 5), None);
        assert_eq!(home(7, "a:x:7:7::/1234:", 0), None);
    }
}

//! POSIX extended regular expressions (regcomp(3)).

use std::ffi::CString;
use std::mem::MaybeUninit;

use anyhow::{Result, anyhow, bail};

/// A compiled expression.
pub struct Regex(libc::regex_t);

impl Regex {
    /// Compiles an extended regular expression.
    ///
    /// # Errors
    /// The message of regcomp(3).
    pub fn new(pattern: &str) -> Result<Regex> {
        let text = CString::new(pattern).map_err(|_| anyhow!("invalid regular expression {pattern:?}"))?;
        let mut compiled = MaybeUninit::uninit();
        // SAFETY: regcomp(3) reads a C string and fills the structure.
        let code = unsafe { libc::regcomp(compiled.as_mut_ptr(), text.as_ptr(), libc::REG_EXTENDED | libc::REG_NOSUB) };
        if code == 0 {
            // SAFETY: regcomp(3) has succeeded, and so filled the structure.
            return Ok(Regex(unsafe { compiled.assume_init() }));
        }
        let mut buffer = [0u8; 128];
        // SAFETY: regcomp(3) has just failed on this structure; the buffer has this size.
        unsafe { libc::regerror(code, compiled.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
        let words = String::from_utf8_lossy(&buffer);
        bail!("invalid regular expression {pattern:?}: {}", words.trim_end_matches('\0').to_lowercase());
    }

    /// Whether the expression matches anywhere in a text.
    pub fn matches(&self, text: &str) -> bool {
        let Ok(text) = CString::new(text) else { return false };
        // SAFETY: regcomp(3) compiled the expression; no matches are requested, so the null pointer is not used.
        unsafe { libc::regexec(&self.0, text.as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: regcomp(3) compiled the expression, and it is freed only here.
        unsafe { libc::regfree(&mut self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_ones() {
        let it = Regex::new("^web-(1|22)$").unwrap();
        assert!(it.matches("web-22") && !it.matches("web-3") && !it.matches("a-web-1"));
        assert!(Regex::new("b+").unwrap().matches("abc"));
        assert!(Regex::new("(").err().unwrap().to_string().starts_with("invalid regular expression \"(\": "));
    }
}

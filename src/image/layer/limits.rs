//! ImageLimits for what an image may unpack.

use anyhow::{Result, bail};

/// The most that an image may have, in all of its layers. A small file can hold a large layer: a gzip file of a gigabyte
/// unpacks to a terabyte of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, directories, links and whiteouts.
    pub members: u64,
}

impl Default for ImageLimits {
    fn default() -> ImageLimits {
        ImageLimits { bytes: 256 << 30, members: 16 << 20 }
    }
}

/// The rest of the limits.
#[derive(Debug)]
pub struct Budget {
    limits: ImageLimits,
    left: ImageLimits,
}

impl Budget {
    /// All of it.
    pub fn new(limits: ImageLimits) -> Budget {
        Budget { limits, left: limits }
    }

    /// The bytes that are left.
    pub fn left_bytes(&self) -> u64 {
        self.left.bytes
    }

    /// Takes a member.
    ///
    /// # Errors
    /// There are too many.
    pub fn member(&mut self) -> Result<()> {
        let Some(left) = self.left.members.checked_sub(1) else {
            bail!("the image has more than {} files (--max-files allows more)", self.limits.members)
        };
        self.left.members = left;
        Ok(())
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// There are too many.
    pub fn bytes(&mut self, count: u64) -> Result<()> {
        let Some(left) = self.left.bytes.checked_sub(count) else {
            bail!("the image unpacks to more than {} bytes (--max-size allows more)", self.limits.bytes)
        };
        self.left.bytes = left;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_for_the_sum() {
        let mut budget = Budget::new(ImageLimits { bytes: 10, members: 2 });
        budget.bytes(4).unwrap();
        budget.bytes(6).unwrap();
        budget.bytes(0).unwrap();
        assert!(budget.bytes(1).unwrap_err().to_string().contains("--max-size"));
        budget.member().unwrap();
        budget.member().unwrap();
        assert!(budget.member().unwrap_err().to_string().contains("more than 2 files"));
    }
}

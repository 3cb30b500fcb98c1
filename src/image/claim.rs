//! The container that has a bundle of `run --image`. The store may have bundles of containers of several state
//! directories (`--root`), and each command knows one of these only.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::sys::Call;

/// The file in the bundle with the path of the directory that has the container's state.
const CONTAINER: &str = "container";

/// Writes down the directory of the container that gets this bundle.
///
/// # Errors
/// The error of writing.
pub fn claim(bundle: &Path, state: &Path) -> Result<()> {
    let state = std::path::absolute(state).named(state.display())?;
    let file = bundle.join(CONTAINER);
    fs::write(&file, state.as_os_str().as_bytes()).named(format_args!("write {}", file.display()))
}

/// The directory of the container that has this bundle. `None` if that container is gone, or was never made.
///
/// # Errors
/// The error of reading.
pub fn claimant(bundle: &Path) -> Result<Option<PathBuf>> {
    let file = bundle.join(CONTAINER);
    let text = match fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.named(format_args!("read {}", file.display()))?,
    };
    let state = PathBuf::from(OsStr::from_bytes(&text));
    match state.symlink_metadata() {
        Ok(_) => Ok(Some(state)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).named(format_args!("stat {}", state.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_ends_with_the_container() {
        let top = tempfile::tempdir().unwrap();
        let (bundle, state) = (top.path().join("bundle"), top.path().join("state"));
        fs::create_dir(&bundle).unwrap();
        assert_eq!(claimant(&bundle).unwrap(), None);
        claim(&bundle, &state).unwrap();
        assert_eq!(claimant(&bundle).unwrap(), None);
        fs::create_dir(&state).unwrap();
        assert_eq!(claimant(&bundle).unwrap(), Some(state));
    }
}

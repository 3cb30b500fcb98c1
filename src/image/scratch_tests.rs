//! Layers made by hand, for tests.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, mknod};

use super::union::{OPAQUE, Union};
use crate::sys::xattr;

/// Layers made by hand, removed in the end.
pub struct Layers(pub PathBuf);

impl Layers {
    /// `None` for an ordinary user, who cannot make whiteouts everywhere.
    pub fn new(name: &str) -> Option<Layers> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root makes whiteouts");
            return None;
        }
        let path = std::env::temp_dir().join(format!("tare-layers-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Some(Layers(path))
    }

    pub fn dir(&self, path: &str) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn file(&self, path: &str) {
        self.dir(Path::new(path).parent().unwrap().to_str().unwrap());
        fs::write(self.0.join(path), path).unwrap();
    }

    pub fn whiteout(&self, path: &str) {
        self.dir(Path::new(path).parent().unwrap().to_str().unwrap());
        mknod(&self.0.join(path), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
    }

    pub fn opaque(&self, path: &str) {
        xattr::set(&self.dir(path), OPAQUE[1], b"y").unwrap();
    }

    pub fn open(&self, path: &str) -> OwnedFd {
        File::open(self.dir(path)).unwrap().into()
    }

    pub fn union(&self, layers: &[&str]) -> Union {
        Union::new(layers.iter().map(|name| self.open(name)).collect())
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        let parent = File::open(std::env::temp_dir()).unwrap();
        let name = CString::new(self.0.file_name().unwrap().to_str().unwrap()).unwrap();
        crate::sys::remove::tree(parent.as_fd(), &name).unwrap();
    }
}

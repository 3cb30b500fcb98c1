//! The directory of one container.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde_json::value::RawValue;

use super::names::{CRIU_ROOT, FIFO, MISSING, NEW_RECORD, NOTIFY, RECORD, REMOVED, TAKEN};
use super::record::Record;
use super::text::{self, COMPLETE, DIGIT, STARTED};
use crate::spec::Config;
use crate::sys::{self, Call, CallError, Errno, lock};

/// Most records fit into one read(2) of this many bytes.
const USUAL_SIZE: usize = 16 << 10;
/// A record holds a config, and no config is so large.
const LARGEST: u64 = 256 << 20;

/// The directory of one container, held open, because its name may belong to another container by now.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    file: File,
    /// Whether this process holds the lock.
    locked: Cell<bool>,
    /// The record that this process has written last.
    written: RefCell<Option<File>>,
}

/// The record of a container, locked: no other command changes the record or removes the container.
#[derive(Debug)]
pub struct Locked {
    pub record: Record,
    _file: File,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Directory {
    pub(super) fn new(path: PathBuf, file: File) -> Directory {
        Directory { path, file, locked: Cell::new(false), written: RefCell::new(None) }
    }

    /// The path that the directory was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the container's socket for the service manager.
    pub fn notify(&self) -> PathBuf {
        self.path.join(NOTIFY)
    }

    /// Create the directory of that socket.
    ///
    /// # Errors
    /// The error of mkdir(2).
    pub fn make_notify(&self) -> Result<()> {
        let all = Mode::from_bits_truncate(0o777);
        mkdirat(self, NOTIFY, all).named(format_args!("mkdir {}", self.notify().display()))
    }

    /// Create a mount point for a root. [`Directory::remove`] removes it.
    ///
    /// # Errors
    /// The error of mkdir(2).
    pub fn make_mount_point(&self) -> Result<PathBuf> {
        let path = self.path.join(CRIU_ROOT);
        let made = std::fs::create_dir(&path).and_then(|()| path.canonicalize());
        made.named(path.display())
    }

    /// Take the lock. `create` holds it until the container is complete.
    ///
    /// # Errors
    /// The holder does not release the lock in time.
    pub fn lock(&self) -> Result<()> {
        if !self.locked.get() {
            lock::exclusive(&self.file, &self.path.to_string_lossy())?;
            self.locked.set(true);
        }
        Ok(())
    }

    /// Note in the record that the container is complete, and whether it waits at the gate; release the lock.
    ///
    /// # Errors
    /// The error of flock(2).
    pub fn complete(&self, gated: bool) -> Result<()> {
        if let Some(record) = self.written.take() {
            // If this fails, or if an `update` has replaced the record in the meantime, the other commands ask for the
            // lock.
            let _ = pwrite(&record, &[text::digit(if gated { COMPLETE } else { STARTED })], DIGIT);
        }
        lock::release(&self.file, &self.path.to_string_lossy())?;
        self.locked.set(false);
        Ok(())
    }

    /// Note in the record that the gate is open. If this fails, the other commands look for the gate.
    pub fn note_start(&self) {
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(record) = openat(self, RECORD, flags, Mode::empty()) else { return };
        // The record may be an older version's, which has another text.
        let mut start = [0; DIGIT as usize];
        if pread(&record, &mut start, 0).is_ok() && text::has_digit(&start) {
            let _ = pwrite(&record, &[text::digit(STARTED)], DIGIT);
        }
    }

    /// Whether a `create` of this container is running.
    ///
    /// # Errors
    /// The error of flock(2).
    pub fn being_created(&self) -> Result<bool> {
        if self.locked.get() { Ok(true) } else { lock::is_held(&self.file, &self.path.to_string_lossy()) }
    }

    /// Whether the name still leads to this directory.
    fn is_named(&self) -> Result<bool> {
        let held = self.file.metadata().map_err(sys::io)?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(CallError::new(format_args!("stat {}", self.path.display()), error).into()),
        }
    }

    /// Read the record; `None` before the first one is written.
    ///
    /// # Errors
    /// The record cannot be read, or another program or a newer version has written it.
    pub fn load(&self) -> Result<Option<Record>> {
        while let Some(file) = self.open_record()? {
            let Some(mut record) = self.parse(&file)? else { return Ok(None) };
            if self.settle(&mut record, &file)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Note in a record without a process whether `create` is running.
    ///
    /// When there is a process, `create` replaces the record and then releases the lock. False if it has done both
    /// since the record was read from `file`: then the record must be read again.
    fn settle(&self, record: &mut Record, file: &File) -> Result<bool> {
        if record.pid != 0 {
            return Ok(true);
        }
        record.creating = self.being_created()?;
        Ok(record.creating || self.is_current(file)?)
    }

    /// Whether this open file is still the record.
    fn is_current(&self, file: &File) -> Result<bool> {
        let held = file.metadata().map_err(sys::io)?;
        match fstatat(self, RECORD, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((held.dev(), held.ino()) == (named.st_dev, named.st_ino)),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => bail!(CallError::new(format_args!("stat {}", self.path.join(RECORD).display()), errno)),
        }
    }

    /// Lock the record: no other command changes it or removes the container. `None` if there is no record.
    ///
    /// # Errors
    /// The errors of [`Directory::load`]; the holder does not release the lock in time.
    pub fn lock_record(&self) -> Result<Option<Locked>> {
        while let Some(file) = self.open_record()? {
            lock::exclusive(&file, &self.path.join(RECORD).to_string_lossy())?;
            // `save` replaces the file, so the locked file may be an old one.
            if !self.is_current(&file)? {
                continue;
            }
            let Some(mut record) = self.parse(&file)? else { return Ok(None) };
            if self.settle(&mut record, &file)? {
                return Ok(Some(Locked { record, _file: file }));
            }
        }
        Ok(None)
    }

    /// The config given to `create`, with the limits of later updates.
    ///
    /// # Errors
    /// The errors of [`Directory::load`].
    pub fn load_config(&self) -> Result<Config> {
        crate::spec::parse(self.config()?.get().as_bytes())
    }

    /// The JSON text of [`Directory::load_config`].
    ///
    /// # Errors
    /// The errors of [`Directory::load`].
    pub fn config(&self) -> Result<Box<RawValue>> {
        let file = self.open_record()?.ok_or_else(|| anyhow!(MISSING))?;
        text::config(&self.read(&file)?).map_err(|why| self.foreign(&why))
    }

    fn open_record(&self) -> Result<Option<File>> {
        // With O_NONBLOCK, because open(2) of a FIFO would wait for a writer.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        match sys::again(|| openat(self, RECORD, flags, Mode::empty())) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => bail!(CallError::new(format_args!("open {}", self.path.join(RECORD).display()), errno)),
        }
    }

    fn read(&self, file: &File) -> Result<Vec<u8>> {
        // `File::read_to_end` would ask for the size and the position first.
        let mut bytes = Vec::with_capacity(USUAL_SIZE);
        let read = |limit: u64, bytes: &mut Vec<u8>| {
            let read = file.take(limit).read_to_end(bytes);
            read.named(format_args!("read {}", self.path.join(RECORD).display()))
        };
        read(USUAL_SIZE as u64, &mut bytes)?;
        // A record that is empty or large may be something else, even a device without an end.
        if bytes.is_empty() || bytes.len() == USUAL_SIZE {
            let kind = file.metadata().map_err(sys::io)?;
            if !kind.is_file() || kind.len() > LARGEST {
                bail!("{}: no regular file, or too large for a record", self.path.join(RECORD).display());
            }
            read(LARGEST, &mut bytes)?;
        }
        Ok(bytes)
    }

    fn parse(&self, file: &File) -> Result<Option<Record>> {
        let mut bytes = self.read(file)?;
        // The file is empty if `create` was killed before it wrote the first record.
        if bytes.is_empty() {
            return Ok(None);
        }
        text::record(&mut bytes).map(Some).map_err(|why| self.foreign(&why))
    }

    fn foreign(&self, why: &str) -> anyhow::Error {
        let path = self.path.join(RECORD);
        anyhow!(
            "{}: not a record of this program: another one or a newer version has written it: {why}",
            path.display()
        )
    }

    /// Write the first record. No command reads it before it is complete, and until then there is nothing else on the
    /// host that the record would have to mention.
    ///
    /// # Errors
    /// There is a record: the directory belongs to another container by now. The directory was removed. The error of
    /// open(2) or write(2).
    pub fn save_first(&self, record: &Record, config: &[u8]) -> Result<()> {
        let Err(error) = self.write(RECORD, OFlag::O_EXCL, record, config) else { return Ok(()) };
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EEXIST) => bail!(TAKEN),
            Some(Errno::ENOENT) => bail!(REMOVED),
            _ => {}
        }
        // The directory has no other file, and this process holds the lock.
        let _ = self.remove();
        bail!(CallError::new(format_args!("write {}", self.path.join(RECORD).display()), error))
    }

    /// Replace the record atomically. It belongs to the owner of the directory: root may change the container of a
    /// user, who must be able to read the record afterwards.
    ///
    /// # Errors
    /// The error of open(2), write(2), chown(2) or rename(2).
    pub fn save(&self, record: &Record, config: &[u8]) -> Result<()> {
        let written = self.write(NEW_RECORD, OFlag::O_TRUNC, record, config).and_then(|()| self.keep_owner());
        let renamed = written.and_then(|()| Ok(renameat(self, NEW_RECORD, self, RECORD)?));
        renamed.named(format_args!("write {}", self.path.join(RECORD).display()))
    }

    /// Give the new record to the owner of the directory. The process that holds the lock has made the directory.
    fn keep_owner(&self) -> std::io::Result<()> {
        let written = self.written.borrow();
        let Some(new) = written.as_ref().filter(|_| !self.locked.get()) else { return Ok(()) };
        let (directory, file) = (self.file.metadata()?, new.metadata()?);
        if (directory.uid(), directory.gid()) == (file.uid(), file.gid()) {
            return Ok(());
        }
        fchown(new, Some(directory.uid()), Some(directory.gid()))
    }

    fn write(&self, name: &str, how: OFlag, record: &Record, config: &[u8]) -> std::io::Result<()> {
        let first_line = text::before_config(record)?;
        // The parts are not put together first: a config with many mounts is large.
        let mut parts = [&first_line, config, text::AFTER_CONFIG].map(IoSlice::new);
        let flags = how | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC;
        let own = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = File::from(sys::again(|| openat(self, name, flags, own))?);
        sys::write_all(file.as_fd(), &mut parts)?;
        self.written.replace(Some(file));
        Ok(())
    }

    /// Remove the directory and this program's files in it. If the name leads to another directory, this one has been
    /// removed already.
    ///
    /// # Errors
    /// Files of another program, which stay; the error of unlink(2) or rmdir(2).
    pub fn remove(&self) -> Result<()> {
        self.lock()?;
        if !self.is_named()? {
            return Ok(());
        }
        // Most containers have only this file.
        self.unlink(RECORD)?;
        if let Err(error) = std::fs::remove_dir(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            for name in [FIFO, NEW_RECORD, "notify/notify.sock"] {
                self.unlink(name)?;
            }
            for name in [NOTIFY, CRIU_ROOT] {
                self.removed(name, unlinkat(self, name, UnlinkatFlags::RemoveDir))?;
            }
            std::fs::remove_dir(&self.path).named(format_args!("remove {}", self.path.display()))?;
        }
        Ok(())
    }

    fn unlink(&self, name: &str) -> Result<()> {
        self.removed(name, unlinkat(self, name, UnlinkatFlags::NoRemoveDir))
    }

    fn removed(&self, name: &str, result: Result<(), Errno>) -> Result<()> {
        match result {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => bail!(CallError::new(format_args!("remove {}", self.path.join(name).display()), errno)),
        }
    }
}

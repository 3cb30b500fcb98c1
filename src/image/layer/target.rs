//! The directory of a layer in the making.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, dup, unlinkat};

use super::attributes::FileAttributes;
use super::member::Shown;
use super::notes::Notes;
use super::owners::MappedIds;
use crate::image::union::{self, Merged, Union, Visible};
use crate::sys::{Call, Errno, again, reason, remove, xattr};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// The open directories that are kept, for the members that follow.
const KEPT_OPEN: usize = 64;

/// A directory in which a member is made.
pub struct LayerDirectory {
    pub directory: OwnedFd,
    /// Its names from the root, after links.
    pub names: Vec<Vec<u8>>,
}

/// The layer, on top of those below.
pub struct LayerTarget {
    root: OwnedFd,
    /// The layers below, with this one as the topmost.
    union: Union,
    /// The number of this layer.
    layer: usize,
    pub ids: MappedIds,
    pub notes: Notes,
    /// The attributes of the directories. They are set in the end, because each change in a directory sets its time.
    directories: BTreeMap<Vec<Vec<u8>>, FileAttributes>,
    parents: HashMap<Vec<u8>, Rc<LayerDirectory>>,
}

impl LayerTarget {
    /// A layer in an empty directory, on top of other layers, of which the base is the first.
    ///
    /// # Errors
    /// The root of the layer below cannot be read.
    pub fn new(root: OwnedFd, below: &[OwnedFd], ids: MappedIds) -> Result<LayerTarget> {
        let copy = |file: &OwnedFd| dup(file).named("dup");
        let mut layers = below.iter().map(copy).collect::<Result<Vec<_>>>()?;
        let attributes = match below.last() {
            Some(top) => FileAttributes::of_file(&nix::sys::stat::fstat(top).named("fstat")?, top.as_fd(), &ids)?,
            None => FileAttributes::implied(&ids),
        };
        layers.push(copy(&root)?);
        Ok(LayerTarget {
            root,
            union: Union::new(layers),
            layer: below.len(),
            ids,
            notes: Notes::default(),
            directories: BTreeMap::from([(Vec::new(), attributes)]),
            parents: HashMap::new(),
        })
    }

    /// The directory with these names, which is made if it is missing. Links on the way are followed in the merged view,
    /// as they are in a container that has it as its root.
    ///
    /// # Errors
    /// A part of the path is a file; the kernel's errors.
    pub fn parent(&mut self, names: &[&[u8]]) -> Result<Rc<LayerDirectory>> {
        let key = names.join(&b'/');
        if let Some(parent) = self.parents.get(&key) {
            return Ok(parent.clone());
        }
        let names: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
        let parent = Rc::new(match self.open(&names) {
            Ok(directory) => LayerDirectory { directory, names },
            // The directory is missing in this layer, or a link is on the way to it.
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR) => self.walk(&names)?,
            Err(errno) => return Err(errno).named("open a directory of the layer"),
        });
        if self.parents.len() >= KEPT_OPEN {
            self.parents.clear();
        }
        self.parents.insert(key, parent.clone());
        Ok(parent)
    }

    /// Opens a directory of this layer, without links.
    fn open(&self, names: &[Vec<u8>]) -> nix::Result<OwnedFd> {
        if names.is_empty() {
            return again(|| openat(&self.root, c".", DIRECTORY, Mode::empty()));
        }
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        let path = names.join(&b'/');
        again(|| openat2(&self.root, path.as_slice(), OpenHow::new().flags(DIRECTORY).resolve(resolve)))
    }

    /// Finds the names of a directory, after links, and makes what is missing of it.
    fn walk(&mut self, names: &[Vec<u8>]) -> Result<LayerDirectory> {
        let path = names.join(&b'/');
        let end = self.union.walk(&path)?;
        if end.entry.is_some_and(|entry| entry.place.is_none()) {
            bail!("{}: {}", Shown(&path), reason(Errno::ENOTDIR));
        }
        if end.rest.iter().any(|name| name == b"..") {
            bail!("{}: a link leads through a directory that does not exist", Shown(&path));
        }
        let names: Vec<Vec<u8>> = end.names.into_iter().map(CString::into_bytes).chain(end.rest).collect();
        self.make_all(&names)?;
        let directory = self.open(&names).named("open a directory of the layer")?;
        Ok(LayerDirectory { directory, names })
    }

    /// The merged directory with these names, which exists.
    fn place(&self, names: &[Vec<u8>]) -> Result<Merged> {
        let mut place = self.union.root().clone();
        for name in names {
            place = place.enter(name)?.with_context(|| format!("{} is gone", Shown(name)))?;
        }
        Ok(place)
    }

    /// Makes the directories on a way that this layer does not have: those that exist below with the attributes that
    /// they have there, the others with those that are usual.
    fn make_all(&mut self, names: &[Vec<u8>]) -> Result<()> {
        let mut place = Some(self.union.root().clone());
        for depth in 1..=names.len() {
            let name = &names[depth - 1];
            let entry = place.map_or(Ok(None), |place| place.get(name))?;
            let attributes = match &entry {
                Some(Visible { place: Some(place), .. }) if place.part(self.layer).is_some() => None,
                Some(Visible { place: None, .. }) => bail!("{} is not a directory", Shown(name)),
                Some(entry) => Some(FileAttributes::of_file(&entry.stat, entry.file.as_fd(), &self.ids)?),
                None => Some(FileAttributes::implied(&self.ids)),
            };
            if let Some(attributes) = attributes {
                self.make(&names[..depth], attributes)?;
            }
            place = entry.and_then(|entry| entry.place);
        }
        Ok(())
    }

    fn make(&mut self, names: &[Vec<u8>], attributes: FileAttributes) -> Result<()> {
        let Some((name, above)) = names.split_last() else { return Ok(()) };
        let above = self.open(above).named("open a directory of the layer")?;
        match mkdirat(&above, name.as_slice(), Mode::S_IRWXU) {
            // A whiteout of this layer: the directory replaces the deleted entry, and shows nothing of it.
            Err(Errno::EEXIST) => {
                unlinkat(&above, name.as_slice(), UnlinkatFlags::NoRemoveDir)
                    .and_then(|()| mkdirat(&above, name.as_slice(), Mode::S_IRWXU))
                    .named(format_args!("mkdir {}", Shown(name)))?;
                self.make_opaque(self.open(names).named("open a directory of the layer")?.as_fd())?;
            }
            made => made.named(format_args!("mkdir {}", Shown(name)))?,
        }
        self.directories.insert(names.to_vec(), attributes);
        Ok(())
    }

    /// Remembers the attributes of a directory.
    pub fn set_directory(&mut self, names: Vec<Vec<u8>>, attributes: FileAttributes) {
        self.directories.insert(names, attributes);
    }

    /// Makes the content of the layers below invisible in a directory.
    ///
    /// # Errors
    /// The attribute cannot be set.
    pub fn make_opaque(&self, directory: BorrowedFd<'_>) -> Result<()> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        // Only the host's root may set overlayfs's own attribute. In a user namespace overlayfs reads the other one.
        match xattr::set(&path, union::OPAQUE[0], b"y") {
            Err(Errno::EPERM) => xattr::set(&path, union::OPAQUE[1], b"y"),
            other => other,
        }
        .named("mark a directory as opaque")
    }

    /// The merged view of the layers below in a directory of this layer; `None` where nothing of them is visible.
    ///
    /// # Errors
    /// The kernel's errors.
    pub fn below(&self, names: &[Vec<u8>]) -> Result<Option<Merged>> {
        Ok(self.place(names)?.below(self.layer))
    }

    /// An entry of the merged view by its path. Links in the path are followed, a link at its end is not.
    ///
    /// # Errors
    /// The kernel's errors.
    pub fn find(&mut self, names: &[&[u8]]) -> Result<Option<(Rc<LayerDirectory>, CString, Visible)>> {
        let Some((name, above)) = names.split_last() else { return Ok(None) };
        let parent = self.parent(above)?;
        let entry = self.place(&parent.names)?.get(name)?;
        let name = CString::new(*name)?;
        Ok(entry.map(|entry| (parent, name, entry)))
    }

    /// Whether an entry is in this layer.
    pub fn is_own(&self, entry: &Visible) -> bool {
        entry.layer == self.layer
    }

    /// Removes an entry of this layer, with all that is in it.
    ///
    /// # Errors
    /// The kernel's errors.
    pub fn remove(&mut self, parent: &LayerDirectory, name: &CString) -> Result<()> {
        remove::tree(parent.directory.as_fd(), name).named(format_args!("remove {}", Shown(name.to_bytes())))?;
        let gone: Vec<Vec<u8>> = parent.names.iter().cloned().chain([name.to_bytes().to_vec()]).collect();
        let below = self.directories.range(gone.clone()..).take_while(|(names, _)| names.starts_with(&gone));
        for names in below.map(|(names, _)| names.clone()).collect::<Vec<_>>() {
            self.directories.remove(&names);
        }
        // Ways that have led through the entry lead elsewhere now.
        self.parents.clear();
        Ok(())
    }

    /// Sets the attributes of all directories.
    ///
    /// # Errors
    /// The kernel's errors.
    pub fn finish(mut self) -> Result<Notes> {
        self.parents.clear();
        // The names in a directory come after the directory's own.
        for (names, attributes) in std::mem::take(&mut self.directories).into_iter().rev() {
            let path = names.join(&b'/');
            let directory = self.open(&names).named(format_args!("open {}", Shown(&path)))?;
            attributes.set_open(directory.as_fd(), &path, &mut self.notes).with_context(|| Shown(&path).to_string())?;
        }
        Ok(self.notes)
    }
}

//! The layers of a root file system on the host: the directories of the writable layer, and the overlay for a user
//! namespace, in which `init` could not mount it.

use std::ffi::CString;
use std::fs::{DirBuilder, File, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::aside::{THERE, aside, own_mounts, own_tmpfs};
use super::id_map;
use crate::host::Host;
use crate::plan::{RootUnion, Writable, escaped};
use crate::spec::{Field, refuse};
use crate::state::{Layered, Record};
use crate::sys::mount::{Depth, Follow, Making, attach, open_tree};
use crate::sys::{self, Call, Errno, reason};

/// The exit status of a copy of this process that could not enter the user namespace. No errno is as large.
const NOT_ENTERED: u8 = u8::MAX;

/// Checks that each layer is a directory, and that overlayfs takes the writable layer.
pub fn check(union: Option<&RootUnion>) -> Result<()> {
    let Some(RootUnion { layers, field, writable, fuse, .. }) = union else { return Ok(()) };
    for (index, layer) in layers.iter().enumerate() {
        match std::fs::metadata(layer) {
            // In its user namespace `init` may have the right.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            Err(error) => {
                return Err(error).named(format_args!("{}: stat {}", field.element(index), layer.display()));
            }
            Ok(found) if !found.is_dir() => refuse!(field.element(index), "{} is not a directory", layer.display()),
            Ok(_) => {}
        }
    }
    writable.as_ref().map_or(Ok(()), |it| check_writable(it, fuse.as_deref()))
}

fn check_writable(it: &Writable, fuse: Option<&Path>) -> Result<()> {
    let Writable { field, upper, missing, .. } = it;
    if !missing.contains(upper) && !std::fs::metadata(upper).is_ok_and(|found| found.is_dir()) {
        refuse!(field.clone(), "{} is not a directory", upper.display());
    }
    if fuse.is_none() && sys::mount::is_on_overlay(upper) {
        refuse!(
            field.clone(),
            "{} is on an overlay, which takes no writable layer of another one: name a directory on another file \
             system, such as a tmpfs, or install fuse-overlayfs for root",
            upper.display()
        );
    }
    Ok(())
}

/// The part of the record that names the directories before they exist.
pub fn intended(union: &RootUnion) -> Layered {
    let RootUnion { layers, writable, .. } = union;
    let made = writable.as_ref().map(|it| {
        let ends = |path: &&PathBuf| !it.kept.contains(path);
        it.missing.iter().filter(ends).rev().cloned().collect()
    });
    Layered {
        layers: layers.clone(),
        upper: writable.as_ref().map(|it| it.upper.clone()),
        made: made.unwrap_or_default(),
        maps: writable.as_ref().and_then(|it| it.maps.clone()),
    }
}

/// Makes the missing directories of the writable layer. If another process has made one of them meanwhile, it stays.
pub fn make(union: &RootUnion, record: &mut Record) -> Result<()> {
    let Some(Writable { field, upper, missing, .. }) = &union.writable else { return Ok(()) };
    for (index, path) in missing.iter().enumerate() {
        let mode = if path == upper { 0o755 } else { 0o700 };
        let made = DirBuilder::new().mode(mode).create(path);
        if made.is_err() {
            let own = &missing[..index];
            if let Some(it) = &mut record.union {
                it.made.retain(|path| own.contains(path));
            }
        }
        made.named(format_args!("{field}: mkdir {}", path.display()))?;
    }
    Ok(())
}

/// Removes the directories that end with the container.
///
/// # Errors
/// A directory that cannot be removed; the others may be removed.
pub fn remove(record: &Record) -> Result<()> {
    let Some(Layered { made, maps, .. }) = &record.union else { return Ok(()) };
    for path in made {
        match remove_tree(path) {
            Err(Errno::EACCES | Errno::EPERM) if maps.is_some() => {}
            other => {
                other.named(format_args!("remove {}", path.display()))?;
                continue;
            }
        }
        // The container's ids own files there, or its mode closes a directory to the caller.
        let Some(maps) = maps else { continue };
        let caller = Host::read().caller;
        let work = || match id_map::enter_user_namespace(&caller, maps).map(|()| empty_tree(path)) {
            Ok(Ok(())) => 0,
            Ok(Err(errno)) => errno as i32 as u8,
            Err(_) => NOT_ENTERED,
        };
        match sys::process::in_a_copy(work).named("fork")? {
            Some(0) => remove_tree(path).named(format_args!("remove {}", path.display()))?,
            Some(errno) if errno != NOT_ENTERED => {
                let errno = Errno::from_raw(i32::from(errno));
                return Err(errno).named(format_args!("remove {} in the user namespace", path.display()));
            }
            _ => bail!("remove {}: the user namespace of the container cannot be made again", path.display()),
        }
    }
    Ok(())
}

/// Removes a directory with all that is in it, if it exists.
fn remove_tree(path: &Path) -> nix::Result<()> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::EINVAL) };
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
    match directory(above) {
        Ok(above) => sys::remove::tree(above.as_fd(), &name),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(errno(&error)),
    }
}

/// Removes all that is in a directory. The directory above belongs to the caller, so only the caller can remove it.
fn empty_tree(path: &Path) -> nix::Result<()> {
    let opened = directory(path).map_err(|error| errno(&error))?;
    for (name, _) in sys::directory::entries(path)? {
        let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
        sys::remove::tree(opened.as_fd(), &name)?;
    }
    Ok(())
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

fn directory(path: &Path) -> std::io::Result<File> {
    File::options().read(true).custom_flags(libc::O_DIRECTORY | libc::O_PATH).open(path)
}

/// Mounts the overlay of a union, attached nowhere. A mount namespace of its own has the id-mapped layers, because before
/// Linux 6.15 overlayfs takes no directory of a detached mount.
pub fn mount(union: &RootUnion) -> Result<OwnedFd> {
    let RootUnion { layers, field, writable, id_map, .. } = union;
    if let Some(it) = writable.as_ref().filter(|it| it.is_new()) {
        adopt(&it.upper, layers)?;
    }
    if let Some(program) = &union.fuse {
        return aside(field, || by_fuse(union, program));
    }
    let namespace = id_map.as_ref().map(id_map::namespace_of).transpose()?;
    let mapped = |path: &Path| -> Result<OwnedFd> {
        let tree = open_tree(path, Depth::Mount, Follow::Links).named(format_args!("open_tree {}", path.display()))?;
        if let (Some(namespace), Some(map)) = (&namespace, id_map) {
            id_map::map_to(&tree, namespace, map).with_context(|| format!("map the owners of {}", path.display()))?;
        }
        Ok(tree)
    };
    let trees = |paths: &[PathBuf]| {
        let open = |(index, path): (usize, &PathBuf)| mapped(path).with_context(|| field.element(index).to_string());
        paths.iter().enumerate().map(open).collect::<Result<Vec<OwnedFd>>>()
    };
    aside(field, || {
        let cloned = if id_map.is_some() { Some(trees(layers)?) } else { None };
        let above = match writable.as_ref().filter(|_| id_map.is_some()) {
            Some(it) => Some(mapped(it.upper.parent().unwrap_or(Path::new("/")))?),
            None => None,
        };
        let bound = if id_map.is_none() { Some(trees(layers)?) } else { None };
        own_tmpfs(field)?;
        let places = match cloned {
            Some(cloned) => bind(&cloned, field)?,
            None => layers.clone(),
        };
        let (upper, work) = writable_places(writable.as_ref(), above, &places, field)?;
        if let Some(made) = by_descriptor(union, &places, &upper, &work)? {
            return Ok(made);
        }
        if let Some(bound) = bound {
            bind(&bound, field)?;
        }
        by_name(union, &upper, &work)
    })
}

/// Binds each tree at its number on the tmpfs.
fn bind(trees: &[OwnedFd], field: &Field) -> Result<Vec<PathBuf>> {
    let bind = |(index, tree): (usize, &OwnedFd)| {
        let place = PathBuf::from(format!("{THERE}/{index}"));
        bind_at(tree, &place).with_context(|| field.element(index).to_string())?;
        Ok(place)
    };
    trees.iter().enumerate().map(bind).collect()
}

fn bind_at(tree: &OwnedFd, place: &Path) -> Result<()> {
    std::fs::create_dir(place).named("mkdir")?;
    let place = CString::new(place.as_os_str().as_bytes())?;
    attach(tree, &place).named("move_mount")
}

/// The upper and the work directory as overlayfs gets them. `above` is an id-mapped copy of the directory that has both.
fn writable_places(
    writable: Option<&Writable>,
    above: Option<OwnedFd>,
    layers: &[PathBuf],
    field: &Field,
) -> Result<(PathBuf, PathBuf)> {
    let there = Path::new(THERE).join("writable");
    match (writable, above) {
        (Some(it), Some(above)) => {
            bind_at(&above, &there).with_context(|| it.field.to_string())?;
            let inside = |path: &Path| there.join(path.file_name().unwrap_or_default());
            Ok((inside(&it.upper), inside(&it.work)))
        }
        (Some(it), None) => Ok((it.upper.clone(), it.work.clone())),
        (None, _) => {
            let (upper, work) = (there.join("upper"), there.join("work"));
            for path in [&there, &upper, &work] {
                std::fs::create_dir(path).named(format_args!("{field}: mkdir"))?;
            }
            adopt(&upper, layers)?;
            Ok((upper, work))
        }
    }
}

/// Gives the upper directory the owner and the mode of the highest layer: overlayfs shows it as the root.
fn adopt(upper: &Path, layers: &[PathBuf]) -> Result<()> {
    let Some(highest) = layers.last() else { return Ok(()) };
    let found = std::fs::metadata(highest).named(format_args!("stat {}", highest.display()))?;
    let changed = chown(upper, Some(found.uid()), Some(found.gid()))
        .and_then(|()| std::fs::set_permissions(upper, Permissions::from_mode(found.mode() & 0o7777)));
    changed.named(format_args!("give {} the owner and mode of {}", upper.display(), highest.display()))
}

/// Mounts with descriptors. `None` if the kernel does not take them (before Linux 6.13).
fn by_descriptor(union: &RootUnion, layers: &[PathBuf], upper: &Path, work: &Path) -> Result<Option<OwnedFd>> {
    let field = &union.field;
    let open = |path: &Path| File::open(path).named(format_args!("{field}: open {}", path.display()));
    let making = match Making::begin(c"overlay") {
        Err(Errno::ENOSYS) => return Ok(None),
        other => other.map_err(|errno| refused(field, errno))?,
    };
    making.set(c"source", Some(c"overlay")).named(format_args!("{field}: fsconfig"))?;
    for (index, layer) in layers.iter().enumerate().rev() {
        match making.set_file(c"lowerdir+", open(layer)?.as_fd()) {
            Err(Errno::EINVAL | Errno::EBADF) if index + 1 == layers.len() => return Ok(None),
            other => other.named(format_args!("{}: fsconfig", field.element(index)))?,
        }
    }
    if union.id_map.is_some() {
        own_ids(work, field)?;
    }
    for (key, path) in [(c"upperdir", upper), (c"workdir", work)] {
        making.set_file(key, open(path)?.as_fd()).named(format_args!("{field}: fsconfig {}", path.display()))?;
    }
    for (key, value) in &union.options {
        let (name, value) = (CString::new(*key)?, value.as_deref().map(CString::new).transpose()?);
        making.set(&name, value.as_deref()).named(format_args!("{field}: fsconfig {key}"))?;
    }
    making.finish().map(Some).map_err(|errno| refused(field, errno))
}

/// Has fuse-overlayfs(1) mount the union in a mount namespace of its own, and detaches the mount there: the daemon ends when
/// the container has left its root.
fn by_fuse(union: &RootUnion, program: &Path) -> Result<OwnedFd> {
    let RootUnion { layers, field, writable, place, .. } = union;
    own_mounts(field)?;
    let lower: Vec<String> = layers.iter().rev().map(|layer| escaped(layer)).collect();
    let mut options = format!("allow_other,default_permissions,suid,dev,lowerdir={}", lower.join(":"));
    if let Some(Writable { upper, work, .. }) = writable {
        options += &format!(",upperdir={},workdir={}", escaped(upper), escaped(work));
    }
    let name = program.display();
    let output = sys::process::output(Command::new(program).arg("-o").arg(options).arg(place));
    let output = output.named(format_args!("{field}: {name}"))?;
    if !output.status.success() {
        bail!("{field}: {name}: {}", String::from_utf8_lossy(&output.stderr).trim().replace('\n', ": "));
    }
    let mounted = open_tree(place, Depth::Mount, Follow::Links).named(format_args!("{field}: open_tree"))?;
    nix::mount::umount2(place, nix::mount::MntFlags::MNT_DETACH).named(format_args!("{field}: umount"))?;
    Ok(mounted)
}

/// Takes the ids of the owner of the work directory for new files, in this thread. overlayfs makes files as the user that
/// mounts it, and on an id-mapped mount only the ids of the mapping can make files.
fn own_ids(work: &Path, field: &Field) -> Result<()> {
    let owner = std::fs::metadata(work).named(format_args!("{field}: stat {}", work.display()))?;
    sys::process::make_files_as(owner.uid(), owner.gid()).named(format_args!("{field}: setfsuid"))
}

/// Mounts with mount(2), where each layer is bound at its number.
fn by_name(union: &RootUnion, upper: &Path, work: &Path) -> Result<OwnedFd> {
    let field = &union.field;
    let data = union.data(upper, work);
    let place = Path::new(THERE).join("root");
    std::fs::create_dir(&place).named(format_args!("{field}: mkdir"))?;
    if union.id_map.is_some() {
        own_ids(work, field)?;
    }
    // The numbers are relative to it.
    std::env::set_current_dir(THERE).named(format_args!("{field}: chdir"))?;
    let overlay = Some("overlay");
    nix::mount::mount(overlay, &place, overlay, nix::mount::MsFlags::empty(), Some(data.as_str()))
        .map_err(|errno| refused(field, errno))?;
    open_tree(&place, Depth::Mount, Follow::Links).named(format_args!("{field}: open_tree"))
}

fn refused(field: &Field, errno: Errno) -> anyhow::Error {
    anyhow!("{field}: mount an overlay: {}{}", reason(errno), hint(errno))
}

/// The likely reason why the kernel mounts no overlay, and the remedy.
pub fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENODEV => {
            " (this kernel has no overlayfs: load the module overlay, or unpack the layers into one directory)"
        }
        Errno::EPERM => " (this kernel mounts no overlay in a user namespace: that needs Linux 5.11, or root)",
        Errno::EINVAL => {
            " (the file system of the writable layer does not fit: name one that keeps extended attributes and file \
             types, such as ext4, xfs, btrfs or tmpfs)"
        }
        _ => "",
    }
}

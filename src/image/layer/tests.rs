//! Tests of whole layers: handmade tar files, unpacked to real directories. They need root.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::sys::xattr;

/// A directory for layers, which goes away with the value.
struct Scratch(PathBuf);

impl Scratch {
    /// `None` for an ordinary user.
    fn new(name: &str) -> Option<Scratch> {
        if !nix::unistd::Uid::effective().is_root() {
            eprintln!("skipped: it needs root");
            return None;
        }
        let path = std::env::temp_dir().join(format!("tare-layer-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Some(Scratch(path))
    }

    fn layer(&self, number: usize) -> PathBuf {
        self.0.join(number.to_string())
    }

    /// Unpacks the tar files as layers 0, 1 and so on.
    fn unpack(&self, tars: &[Tar]) -> Result<Vec<String>> {
        self.unpack_within(tars, ImageLimits::default())
    }

    fn unpack_within(&self, tars: &[Tar], limits: ImageLimits) -> Result<Vec<String>> {
        let (ids, mut budget, mut notes) = (MappedIds::here()?, Budget::new(limits), Vec::new());
        let open = |number| OwnedFd::from(File::open(self.layer(number)).unwrap());
        for (number, tar) in tars.iter().enumerate() {
            fs::create_dir(self.layer(number)).unwrap();
            let below: Vec<OwnedFd> = (0..number).map(open).collect();
            notes.extend(unpack(tar.0.as_slice(), open(number), &below, &ids, &mut budget)?.lines());
        }
        Ok(notes)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tar file.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn put(mut self, name: &str, kind: u8, link: &str, mode: u32, data: &[u8]) -> Tar {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.as_mut_bytes()[156] = kind;
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_uid(if mode & 0o2 == 0 { 0 } else { 7 });
        header.set_gid(0);
        header.set_mtime(1000);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, data: &str) -> Tar {
        self.put(name, b'0', "", 0o644, data.as_bytes())
    }

    fn dir(self, name: &str, mode: u32) -> Tar {
        self.put(name, b'5', "", mode, b"")
    }

    fn link(self, name: &str, target: &str) -> Tar {
        self.put(name, b'2', target, 0o777, b"")
    }

    fn hard(self, name: &str, target: &str) -> Tar {
        self.put(name, b'1', target, 0o644, b"")
    }

    fn xattr(mut self, name: &str, value: &str) -> Tar {
        let rest = format!(" SCHILY.xattr.{name}={value}\n");
        let mut length = rest.len() + 2;
        length += usize::from(length > 99);
        self = self.put("pax", b'x', "", 0o644, format!("{length}{rest}").as_bytes());
        self
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn is_whiteout(path: impl AsRef<Path>) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_char_device() && it.rdev() == 0)
}

fn is_opaque(path: impl AsRef<Path>) -> bool {
    xattr::get(path.as_ref(), c"trusted.overlay.opaque").unwrap().as_deref() == Some(b"y")
}

#[test]
fn files_with_their_attributes() {
    let Some(here) = Scratch::new("attributes") else { return };
    let tar = Tar::default()
        .dir("./", 0o701)
        .dir("tmp", 0o1777)
        .file("tmp/a", "text")
        .put("tmp/suid", b'0', "", 0o4755, b"")
        .put("tmp/odd", b'0', "", 0o6666, b"")
        .link("tmp/l", "/etc/passwd")
        .put("tmp/null", b'3', "", 0o666, b"")
        .put("tmp/fifo", b'6', "", 0o4602, b"")
        .hard("tmp/b", "tmp/a")
        .xattr("user.note", "x\ny")
        .dir("noted", 0o755);
    assert_eq!(here.unpack(&[tar]).unwrap(), Vec::<String>::new());
    let root = here.layer(0);
    let stat = |name: &str| fs::symlink_metadata(root.join(name)).unwrap();
    assert_eq!((stat("").mode() & 0o7777, stat("").mtime()), (0o701, 1000));
    assert_eq!((stat("tmp").mode() & 0o7777, stat("tmp").uid(), stat("tmp").mtime()), (0o1777, 7, 1000));
    assert_eq!((read(root.join("tmp/a")).as_str(), stat("tmp/a").mtime()), ("text", 1000));
    assert_eq!(
        (stat("tmp/suid").mode() & 0o7777, stat("tmp/odd").mode() & 0o7777, stat("tmp/odd").uid()),
        (0o4755, 0o6666, 7)
    );
    assert_eq!((fs::read_link(root.join("tmp/l")).unwrap(), stat("tmp/l").mtime()), ("/etc/passwd".into(), 1000));
    assert_eq!((stat("tmp/null").rdev(), stat("tmp/null").mode() & 0o7777), (nix::libc::makedev(1, 3), 0o666));
    assert!(stat("tmp/fifo").file_type().is_fifo());
    // A change of the owner clears the bits for set-id programs, so the mode comes after it.
    assert_eq!((stat("tmp/fifo").mode() & 0o7777, stat("tmp/fifo").uid()), (0o4602, 7));
    assert_eq!(stat("tmp/a").ino(), stat("tmp/b").ino());
    assert_eq!(xattr::get(&root.join("noted"), c"user.note").unwrap().as_deref(), Some(&b"x\ny"[..]));
}

#[test]
fn parents_that_the_layer_does_not_describe() {
    let Some(here) = Scratch::new("parents") else { return };
    let base = Tar::default().dir("a", 0o1777).dir("a/b", 0o700).link("usr-lib", "a/b");
    let upper = Tar::default().file("a/b/new", "1").file("usr-lib/c/d", "2").file("none/e", "3");
    here.unpack(&[base, upper]).unwrap();
    let root = here.layer(1);
    let mode = |name: &str| fs::metadata(root.join(name)).unwrap().mode() & 0o7777;
    // The parents have the attributes that they have below, and links are followed there.
    assert_eq!((mode("a"), mode("a/b"), mode("none"), mode("a/b/c")), (0o1777, 0o700, 0o755, 0o755));
    assert_eq!(fs::metadata(root.join("a")).unwrap().uid(), 7);
    assert_eq!(fs::metadata(root.join("a")).unwrap().mtime(), 1000);
    assert_eq!((read(root.join("a/b/new")), read(root.join("a/b/c/d"))), ("1".to_owned(), "2".to_owned()));
    assert!(!root.join("usr-lib").exists());
}

#[test]
fn whiteouts_and_opaque_directories() {
    let Some(here) = Scratch::new("whiteouts") else { return };
    let base = Tar::default()
        .file("gone", "")
        .dir("dir", 0o755)
        .file("dir/x", "")
        .dir("other", 0o755)
        .dir("again", 0o755)
        .dir("kept", 0o755)
        .file("first", "")
        .file(".wh.nothing", "");
    let upper = Tar::default()
        .file(".wh.gone", "")
        .file("dir/.wh..wh..opq", "")
        .file("dir/new", "")
        .file(".wh.other", "")
        .file(".wh.missing", "")
        // A whiteout is for the layers below, before or after an entry of its own layer.
        .file(".wh.again", "")
        .dir("again", 0o755)
        .dir("kept", 0o755)
        .file(".wh.kept", "")
        .file("first", "new")
        .file(".wh.first", "")
        .file(".wh..wh.plnk/1", "")
        .file(".wh..wh.aufs", "");
    let top = Tar::default().file("other/x", "").file(".wh.gone", "");
    here.unpack(&[base, upper, top]).unwrap();
    let root = here.layer(1);
    assert!(is_whiteout(root.join("gone")) && is_whiteout(root.join("other")) && !root.join("missing").exists());
    assert!(!here.layer(0).join("nothing").exists() && !here.layer(0).join(".wh.nothing").exists());
    assert!(is_opaque(root.join("dir")) && root.join("dir/new").exists());
    assert!(is_opaque(root.join("again")) && is_opaque(root.join("kept")));
    assert_eq!(read(root.join("first")), "new");
    // The file is deleted already, so nothing is hidden again; and the whiteout in between hides the old directory.
    assert!(!here.layer(2).join("gone").exists() && here.layer(2).join("other/x").exists());
    assert!(!is_opaque(here.layer(2).join("other")));
}

#[test]
fn hard_links_across_layers() {
    let Some(here) = Scratch::new("links") else { return };
    let base =
        Tar::default().dir("d", 0o755).xattr("user.note", "1").put("d/a", b'0', "", 0o4646, b"text").link("l", "d");
    let upper = Tar::default().hard("b", "l/a").hard("c", "d/a").hard("c", "c").hard("sym", "l");
    here.unpack(&[base, upper]).unwrap();
    let root = here.layer(1);
    let stat = |name: &str| fs::symlink_metadata(root.join(name)).unwrap();
    assert_eq!((read(root.join("b")).as_str(), stat("b").nlink(), stat("b").ino()), ("text", 3, stat("d/a").ino()));
    assert_eq!((stat("b").mode() & 0o7777, stat("b").uid(), stat("b").mtime()), (0o4646, 7, 1000));
    assert_eq!(xattr::get(&root.join("c"), c"user.note").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(fs::read_link(root.join("sym")).unwrap(), PathBuf::from("d"));
}

#[test]
fn later_members_replace_earlier_ones() {
    let Some(here) = Scratch::new("replace") else { return };
    let base = Tar::default().dir("d", 0o755).file("d/below", "");
    let upper = Tar::default()
        .dir("d", 0o755)
        .file("d/x", "")
        .file("d", "file now")
        .dir("d", 0o750)
        .file("a", "1")
        .file("a", "22")
        .link("a", "x")
        .dir("a", 0o700)
        .file("a/b", "")
        .dir("a", 0o711);
    here.unpack(&[base, upper]).unwrap();
    let root = here.layer(1);
    let mode = |name: &str| fs::symlink_metadata(root.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("d"), mode("a")), (0o750, 0o711));
    assert!(is_opaque(root.join("d")) && !root.join("d/x").exists() && root.join("a/b").exists());
}

#[test]
fn nothing_leaves_the_layer() {
    let Some(here) = Scratch::new("hostile") else { return };
    let outside = here.0.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o755)).unwrap();
    let out = outside.to_str().unwrap();
    symlink(&outside, here.0.join("9")).unwrap();
    let bad = [
        (Tar::default().file("../outside/a", ""), "leads out of the root"),
        (Tar::default().file("a/../../outside/a", ""), "leads out of the root"),
        (Tar::default().file("d/.wh...", ""), "whiteout of no file"),
        (Tar::default().file("d/.wh..", ""), "whiteout of no file"),
        (Tar::default().hard("a", "../outside/kept"), "leads out of the root"),
        (Tar::default().hard("a", &format!("{out}/kept")), "missing"),
        (Tar::default().link("l", out).hard("a", "l/kept"), "missing"),
        (Tar::default().hard("a", ""), "missing"),
        (Tar::default().dir("d", 0o755).hard("a", "d"), "is a directory"),
        (Tar::default().file("a", "").file("a/b", ""), "not a directory"),
        (Tar::default().link("x", "y").link("y", "x").file("x/a", ""), "too many levels of symbolic links"),
        (Tar::default().link("x", "none/../..").file("x/a", ""), "does not exist"),
        (Tar::default().put("", b'2', "x", 0o777, b""), "the root is not a directory"),
        (Tar::default().put("q", b'4', "", 0o600, b"").put("q/a", b'0', "", 0o600, b""), "not a directory"),
    ];
    fs::write(outside.join("kept"), "").unwrap();
    for (tar, part) in bad {
        let error = here.unpack(&[tar]).expect_err(part);
        assert!(format!("{error:#}").contains(part), "{error:#}, not {part}");
        fs::remove_dir_all(here.layer(0)).unwrap();
    }
    // These stay inside.
    let tar = Tar::default()
        .file("/etc/absolute", "1")
        .link("up", "../../../..")
        .file("up/at-root", "2")
        .link("abs", out)
        .file("abs/b", "3")
        .link("last", &format!("{out}/kept"))
        .file("last", "4")
        .xattr("trusted.overlay.redirect", "/etc")
        .dir("redirected", 0o755)
        .xattr("user.overlay.opaque", "y")
        .dir("opaque", 0o755);
    let notes = here.unpack(&[tar]).unwrap();
    let root = here.layer(0);
    assert_eq!((read(root.join("etc/absolute")), read(root.join("at-root"))), ("1".to_owned(), "2".to_owned()));
    assert_eq!(read(root.join(out.trim_start_matches('/')).join("b")), "3");
    assert_eq!(read(root.join("last")), "4");
    assert_eq!(xattr::all(&root.join("redirected")).unwrap(), []);
    assert_eq!(notes, ["\"redirected\" and 1 more loses an attribute of overlayfs"]);
    let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((left, read(outside.join("kept")).as_str()), (vec!["kept".into()], ""));
}

#[test]
fn limits_end_the_work() {
    let Some(here) = Scratch::new("limits") else { return };
    let tar = || Tar::default().file("a", "12345").file("b", "12345");
    for (bytes, members, part) in [(9, 9, "--max-size"), (99, 1, "--max-files")] {
        let error = here.unpack_within(&[tar()], ImageLimits { bytes, members }).unwrap_err();
        assert!(format!("{error:#}").contains(part), "{error:#}");
        fs::remove_dir_all(here.layer(0)).unwrap();
    }
    here.unpack_within(&[tar()], ImageLimits { bytes: 10, members: 2 }).unwrap();
}

/// Deeper than any path: each member leads on through a link.
#[test]
fn ten_thousand_levels() {
    let Some(here) = Scratch::new("deep") else { return };
    let steps = "d/".repeat(45);
    let mut tar = Tar::default();
    for number in 0..220 {
        let link = format!("l{number}");
        let before = if number == 0 { String::new() } else { format!("l{}/", number - 1) };
        tar = tar.file(&format!("{before}{steps}x"), "").link(&link, &format!("{before}{steps}"));
    }
    let outcome = here.unpack(&[tar]);
    // The kernel refuses a path of more than 4,096 bytes, and so does the reader.
    let error = format!("{:#}", outcome.unwrap_err());
    assert!(error.contains("file name too long") || error.contains("too many levels"), "{error}");
    crate::sys::remove::tree(std::os::fd::AsFd::as_fd(&File::open(&here.0).unwrap()), c"0").unwrap();
}

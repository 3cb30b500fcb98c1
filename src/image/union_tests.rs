use std::os::unix::fs::symlink;

use super::super::scratch_tests::Layers;
use super::*;

fn layer(entry: &Result<Option<Visible>>) -> Option<usize> {
    entry.as_ref().unwrap().as_ref().map(|entry| entry.layer)
}

fn names(place: &Merged) -> Vec<String> {
    place.list().unwrap().into_iter().map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn whiteouts_opaque_directories_and_other_types_hide() {
    let Some(layers) = Layers::new("hide") else { return };
    for path in ["0/a/one", "0/a/two", "0/gone/x", "0/opaque/x", "0/file/x", "0/again/x"] {
        layers.file(path);
    }
    layers.whiteout("1/a/one");
    layers.whiteout("1/gone");
    layers.opaque("1/opaque");
    layers.file("1/opaque/y");
    layers.file("1/file");
    layers.whiteout("1/again");
    layers.file("2/a/three");
    layers.file("2/again/y");
    layers.file("2/file/y");
    let union = layers.union(&["0", "1", "2"]);
    for (path, wanted) in [
        ("a", Some(2)),
        ("/a//./two", Some(0)),
        ("a/one", None),
        ("a/three", Some(2)),
        ("gone", None),
        ("gone/x", None),
        ("opaque/x", None),
        ("opaque/y", Some(1)),
        ("again/x", None),
        ("again/y", Some(2)),
        ("file/y", Some(2)),
        ("file/x", None),
        ("opaque/y/z", None),
        ("", Some(2)),
    ] {
        assert_eq!(layer(&union.lookup(path.as_bytes())), wanted, "{path}");
    }
    assert_eq!(names(union.root()), ["a", "again", "file", "opaque"]);
    let a = union.root().enter(b"a").unwrap().unwrap();
    assert_eq!(names(&a), ["three", "two"]);
    assert_eq!(a.parts().map(|(layer, _)| layer).collect::<Vec<_>>(), [2, 1, 0]);
    assert!(a.part(1).is_some() && union.root().enter(b"opaque").unwrap().unwrap().part(0).is_none());
    assert!(union.lookup(b"a/../a").is_err() && union.root().get(b"a/two").is_err());
}

#[test]
fn links_stay_inside_and_end() {
    let Some(layers) = Layers::new("links") else { return };
    layers.file("0/etc/passwd");
    layers.dir("1/links");
    symlink("/etc", layers.0.join("1/links/absolute")).unwrap();
    symlink("../../../../../etc/passwd", layers.0.join("1/links/up")).unwrap();
    symlink("links/absolute/../links/up", layers.0.join("1/far")).unwrap();
    symlink("/loop", layers.0.join("1/loop")).unwrap();
    let union = layers.union(&["0", "1"]);
    for (path, wanted) in [
        ("links/absolute/passwd", Some(0)),
        ("links/up", Some(0)),
        ("/far", Some(0)),
        ("far/..", None),
        ("..", Some(1)),
        ("links/absolute/..", Some(1)),
        ("links/none", None),
    ] {
        assert_eq!(layer(&union.resolve(path.as_bytes())), wanted, "{path}");
    }
    assert_eq!(layer(&union.lookup(b"links/absolute/passwd")), None);
    let error = union.resolve(b"loop/x").unwrap_err().to_string();
    assert_eq!(error, "loop/x: too many levels of symbolic links");
    assert_eq!(union.read(b"far", 20).unwrap().unwrap(), b"0/etc/passwd");
    assert_eq!(union.read(b"far", 5).unwrap_err().to_string(), "far: longer than 5 bytes");
    assert_eq!(union.read(b"etc", 5).unwrap_err().to_string(), "etc: not a regular file");
    assert!(union.read(b"none", 5).unwrap().is_none());
    nix::unistd::mkfifo(&layers.0.join("1/fifo"), Mode::S_IRWXU).unwrap();
    assert_eq!(union.read(b"fifo", 5).unwrap_err().to_string(), "fifo: not a regular file");
}

/// A path that is deeper than the limit of descriptors, and back to its beginning.
#[test]
fn a_deep_path() {
    let Some(layers) = Layers::new("deep") else { return };
    let mut place: OwnedFd = File::open(layers.dir("0")).unwrap().into();
    for _ in 0..3000 {
        nix::sys::stat::mkdirat(&place, c"d", Mode::S_IRWXU).unwrap();
        place = openat(&place, c"d", DIRECTORY, Mode::empty()).unwrap();
    }
    let union = layers.union(&["0"]);
    assert_eq!(layer(&union.lookup(&b"d/".repeat(3000))), Some(0));
    assert_eq!(layer(&union.lookup(&b"d/".repeat(3001))), None);
    let back = [b"d/".repeat(3000), b"../".repeat(2999)].concat();
    let entry = union.resolve(&back).unwrap().unwrap();
    assert_eq!(entry.stat.st_ino, union.lookup(b"d").unwrap().unwrap().stat.st_ino);
}

#[test]
fn names_for_messages() {
    assert_eq!(display(b"a\nb\x1b\xff\xc3\xa9").to_string(), "a\\nb\\u{1b}\u{fffd}\u{e9}");
}

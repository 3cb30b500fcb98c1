use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::{mknod, utimes};
use nix::sys::time::TimeVal;

use super::super::scratch_tests::Layers;
use super::super::shift::Range;
use super::*;
use crate::sys::xattr;

/// The members as another reader of tar files sees them.
fn members(bytes: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(bytes);
    let mut lines = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        let records: Vec<String> = match entry.pax_extensions().unwrap() {
            Some(records) => records.map(|record| record.unwrap().key().unwrap().to_owned()).collect(),
            None => Vec::new(),
        };
        let header = entry.header();
        let (letter, mode) = (header.as_bytes()[156] as char, header.mode().unwrap());
        let owner = format!("{}:{}", header.uid().unwrap(), header.gid().unwrap());
        let mut line = format!("{letter} {path} {mode:o} {owner} {}", entry.size());
        if let Some(link) = link.filter(|link| !link.is_empty()) {
            line += &format!(" -> {link}");
        }
        if !records.is_empty() {
            line += &format!(" {}", records.join(","));
        }
        lines.push(line);
    }
    lines
}

fn written(layers: &Layers, shift: &Shift) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    write(layers.open("u").as_fd(), false, shift, &mut out)?;
    Ok(out)
}

fn still(layers: &Layers) {
    for path in ["u/dir", "u/dir/file", "u/dir/link", "u/dir/sym", "u/dir/dev", "u/opaque", "u/opaque/x"] {
        let time = TimeVal::new(1_000_000, 0);
        nix::sys::stat::lutimes(&layers.0.join(path), &time, &time).unwrap();
    }
}

#[test]
fn all_kinds_of_entries() {
    let Some(layers) = Layers::new("kinds") else { return };
    for path in ["u/dir/file", "u/opaque/x"] {
        layers.file(path);
    }
    let at = |path: &str| layers.0.join(path);
    fs::hard_link(at("u/dir/file"), at("u/dir/link")).unwrap();
    symlink("/any/where", at("u/dir/sym")).unwrap();
    mknod(&at("u/dir/dev"), SFlag::S_IFBLK, Mode::from_bits_truncate(0o640), nix::sys::stat::makedev(7, 300)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("u/dir/socket")).unwrap();
    layers.whiteout("u/dir/gone");
    layers.opaque("u/opaque");
    nix::unistd::chown(&at("u/dir/file"), Some(100_001.into()), Some(100_002.into())).unwrap();
    xattr::set(&at("u/dir/file"), c"user.kept", b"a=b\0").unwrap();
    xattr::set(&at("u/dir"), c"user.overlay.origin", b"x").unwrap();
    fs::set_permissions(at("u/dir/file"), std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    for path in ["u/dir", "u/opaque"] {
        fs::set_permissions(at(path), std::os::unix::fs::PermissionsExt::from_mode(0o1755)).unwrap();
    }
    fs::set_permissions(at("u/opaque/x"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    nix::unistd::mkfifo(&at("u/fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    nix::sys::stat::utimensat(
        layers.open("u"),
        "fifo",
        &nix::sys::time::TimeSpec::new(5, 0),
        &nix::sys::time::TimeSpec::new(-5, 7),
        nix::sys::stat::UtimensatFlags::NoFollowSymlink,
    )
    .unwrap();
    still(&layers);
    let range = |container, host, size| Range { container, host, size };
    let shift = Shift::new(vec![range(0, 100_000, 10)], vec![range(0, 100_000, 10)]);
    let bytes = written(&layers, &shift).unwrap();
    let wanted = [
        "5 dir/ 1755 0:0 0",
        "4 dir/dev 640 0:0 0",
        "0 dir/file 4755 1:2 10 SCHILY.xattr.user.kept",
        "0 dir/.wh.gone 0 0:0 0",
        "1 dir/link 4755 1:2 0 -> dir/file",
        "2 dir/sym 777 0:0 0 -> /any/where",
        "6 fifo 600 0:0 0 mtime",
        "5 opaque/ 1755 0:0 0",
        "0 opaque/.wh..wh..opq 0 0:0 0",
        "0 opaque/x 600 0:0 10",
    ];
    assert_eq!(members(&bytes), wanted);
    assert_eq!(written(&layers, &shift).unwrap(), bytes);
    assert_eq!(bytes.len() % BLOCK, 0);
}

#[test]
fn names_that_need_a_record_or_are_refused() {
    let Some(layers) = Layers::new("names") else { return };
    let long = format!("u/{}/{}", "d".repeat(90), "f".repeat(90));
    layers.file(&long);
    let shift = Shift::default();
    utimes(&layers.0.join(&long), &TimeVal::new(1, 0), &TimeVal::new(1, 0)).unwrap();
    let lines = members(&written(&layers, &shift).unwrap());
    assert!(lines[1].starts_with(&format!("0 {} ", &long[2..])) && lines[1].ends_with(" path"), "{lines:?}");
    layers.file("u/x/.wh.y");
    let error = written(&layers, &shift).unwrap_err().to_string();
    assert_eq!(error, "/x/.wh.y: a layer cannot have a file whose name begins with .wh.");
    fs::remove_file(layers.0.join("u/x/.wh.y")).unwrap();
    xattr::set(&layers.0.join("u/x"), c"user.overlay.redirect", b"/old").unwrap();
    assert!(written(&layers, &shift).unwrap_err().to_string().starts_with("/x/: user.overlay.redirect: "));
}

/// Deeper than PATH_MAX and than the limit of descriptors.
#[test]
fn a_deep_tree() {
    let Some(layers) = Layers::new("deeptar") else { return };
    let mut place = layers.open("u");
    for _ in 0..3000 {
        nix::sys::stat::mkdirat(&place, c"d", Mode::S_IRWXU).unwrap();
        place = openat(&place, c"d", OFlag::O_RDONLY, Mode::empty()).unwrap();
    }
    let mut out = Vec::new();
    let facts = write(layers.open("u").as_fd(), true, &Shift::default(), &mut out).unwrap();
    assert_eq!(facts.members, 3001);
    assert!(facts.newest > 1_000_000_000);
}

//! Tests of the reader, with tar files of the crate `tar`, of GNU tar's forms, and with bad ones.

use super::super::member::Extent;
use super::*;

fn header(name: &str, kind: u8, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[156] = kind;
    header.set_mode(0o644);
    header.set_size(size);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_cksum();
    header
}

fn put(tar: &mut Vec<u8>, header: &Header, data: &[u8]) {
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    put(&mut tar, &header(name, b'0', data.len() as u64), data);
    tar
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let data: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    let mut tar = Vec::new();
    put(&mut tar, &header("pax", b'x', data.len() as u64), &data);
    tar
}

fn read(tar: &[u8]) -> Result<Vec<(Member, Vec<u8>)>> {
    let mut archive = Archive::new(tar);
    let mut found = Vec::new();
    while let Some(member) = archive.next()? {
        let mut data = Vec::new();
        archive.data().read_to_end(&mut data)?;
        found.push((member, data));
    }
    archive.finish()?;
    Ok(found)
}

#[test]
fn plain_members() {
    let mut tar = file("a", b"text");
    put(&mut tar, &header("d/", b'0', 0), b"");
    put(&mut tar, &header("link", b'1', 4), b"");
    tar.extend([0; 1024]);
    tar.extend(b"what follows is ignored");
    let found = read(&tar).unwrap();
    let (first, data) = &found[0];
    assert_eq!((first.path.as_slice(), first.size, data.as_slice()), (&b"a"[..], 4, &b"text"[..]));
    assert_eq!((first.mode, first.uid, first.gid, first.modified), (0o644, 1, 2, (3, 0)));
    assert_eq!(found[1].0.kind, MemberKind::Directory);
    assert_eq!((found[2].0.kind, found[2].0.size), (MemberKind::HardLink, 0));
    assert_eq!(read(b"").unwrap(), []);
    // umoci writes no padding after the last file.
    assert_eq!(read(&file("a", b"text")[..516]).unwrap()[0].1, b"text");
}

#[test]
fn data_that_is_not_read_is_skipped() {
    let tar = [file("a", &[1; 700]), file("b", b"")].concat();
    let mut archive = Archive::new(&tar[..]);
    assert_eq!(archive.next().unwrap().unwrap().path, b"a");
    assert_eq!(archive.next().unwrap().unwrap().path, b"b");
    assert!(archive.next().unwrap().is_none());
}

#[test]
fn pax_records_win() {
    let capability = b"\x01\x00\x00\x02\n\n\x00=\x00";
    let long = "n".repeat(300);
    let before = pax(&[
        ("path", long.as_bytes()),
        ("size", b"5"),
        ("uid", b"4000000000"),
        ("gid", b"7"),
        ("mtime", b"1.5"),
        ("SCHILY.xattr.security.capability", b"old"),
        ("SCHILY.xattr.security.capability", capability),
        ("comment", b"x"),
    ]);
    let mut tar = before;
    put(&mut tar, &header("short", b'0', 0), b"12345");
    let found = read(&tar).unwrap();
    let (member, data) = &found[0];
    assert_eq!((member.path.as_slice(), data.as_slice()), (long.as_bytes(), &b"12345"[..]));
    assert_eq!((member.uid, member.gid, member.modified), (4_000_000_000, 7, (1, 500_000_000)));
    assert_eq!(member.xattrs, [(b"security.capability".to_vec(), capability.to_vec())]);
}

#[test]
fn gnu_long_names() {
    let (name, target) = ("n".repeat(200), "t".repeat(200));
    let mut tar = Vec::new();
    put(&mut tar, &header("././@LongLink", b'L', 201), format!("{name}\0").as_bytes());
    put(&mut tar, &header("././@LongLink", b'K', 201), format!("{target}\0").as_bytes());
    put(&mut tar, &header("short", b'2', 0), b"");
    let found = read(&tar).unwrap();
    assert_eq!((found[0].0.path.as_slice(), found[0].0.link.as_slice()), (name.as_bytes(), target.as_bytes()));
}

#[test]
fn sparse_files() {
    let part = |offset, length| Extent { offset, length };
    // Version 0.1.
    let mut tar = pax(&[("GNU.sparse.size", b"1000"), ("GNU.sparse.name", b"real"), ("GNU.sparse.map", b"10,2,900,1")]);
    put(&mut tar, &header("made-up", b'0', 3), b"abc");
    // Version 1.0.
    tar.extend(pax(&[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"other"),
        ("GNU.sparse.realsize", b"1000"),
    ]));
    let mut data = b"1\n998\n2\n".to_vec();
    data.resize(512, 0);
    data.extend(b"de");
    put(&mut tar, &header("made-up", b'0', data.len() as u64), &data);
    // GNU's old form, as GNU tar writes it.
    let mut old = Header::new_gnu();
    old.as_mut_bytes()[..3].copy_from_slice(b"old");
    old.as_mut_bytes()[156] = b'S';
    old.set_mode(0);
    old.set_uid(0);
    old.set_gid(0);
    old.set_mtime(0);
    old.set_size(1);
    let gnu = old.as_gnu_mut().unwrap();
    gnu.sparse[0].set_offset(4);
    gnu.sparse[0].set_length(1);
    gnu.set_real_size(9);
    old.set_cksum();
    put(&mut tar, &old, b"f");
    let found = read(&tar).unwrap();
    let seen: Vec<_> = found
        .iter()
        .map(|(it, data)| (it.path.as_slice(), it.size, it.parts.clone().unwrap(), data.as_slice()))
        .collect();
    assert_eq!(
        seen,
        [
            (&b"real"[..], 1000, vec![part(10, 2), part(900, 1)], &b"abc"[..]),
            (b"other", 1000, vec![part(998, 2)], b"de"),
            (b"old", 9, vec![part(4, 1)], b"f"),
        ]
    );
}

#[test]
fn bad_files() {
    let huge = |kind| {
        let mut tar = Vec::new();
        put(&mut tar, &header("x", kind, 1 << 40), b"");
        tar
    };
    let twice = [pax(&[("path", b"a")]), pax(&[("path", b"b")]), file("c", b"")].concat();
    let mut damaged = file("a", b"");
    damaged[0] = b'b';
    let mut unknown = Vec::new();
    put(&mut unknown, &header("v", b'V', 0), b"");
    let mut global = Vec::new();
    let records = record("path", b"everywhere");
    put(&mut global, &header("g", b'g', records.len() as u64), &records);
    let mut bad_mode = header("a", b'0', 0);
    bad_mode.as_mut_bytes()[100..108].copy_from_slice(b"\x1b[31m\n12");
    bad_mode.set_cksum();
    let mut escapes = Vec::new();
    put(&mut escapes, &bad_mode, b"");
    for (tar, part) in [
        (huge(b'x'), "longer than"),
        (huge(b'L'), "longer than"),
        (huge(b'0'), "ends within a file"),
        (twice, "two headers"),
        (damaged, "checksum"),
        (unknown, "unknown type \"V\""),
        (global, "global pax header"),
        (pax(&[("path", b"a")]), "ends after a header"),
        (file("a", b"")[..100].to_vec(), "within a header"),
        ([pax(&[("uid", b"-1")]), file("a", b"")].concat(), "bad uid"),
        ([pax(&[("GNU.sparse.size", b"9")]), file("a", b"")].concat(), ""),
        ([pax(&[("GNU.sparse.map", b"0,5")]), file("a", b"1")].concat(), "sparse"),
        (b"no tar file".to_vec(), "within a header"),
        (escapes, "a header of the tar file has a bad mode"),
    ] {
        match read(&tar) {
            Err(error) => {
                let text = format!("{error:#}");
                assert!(text.contains(part) && !text.contains(char::is_control), "{text}, not {part}");
            }
            Ok(_) => assert_eq!(part, ""),
        }
    }
}

use std::fs;

use super::super::scratch_tests::Layers;
use super::*;

fn lines(layers: &Layers, upper: &str, below: &[&str]) -> Vec<String> {
    use std::os::fd::AsFd;
    let found = find(layers.open(upper).as_fd(), &layers.union(below)).unwrap();
    found.iter().map(|(change, path)| line(*change, path)).collect()
}

#[test]
fn lines_of_docker() {
    let Some(layers) = Layers::new("changes") else { return };
    for path in ["0/dir/file", "0/dir/gone", "0/etc/deep/er/file", "0/opaque/a", "0/opaque/c", "0/opaque/d/e", "0/file"]
    {
        layers.file(path);
    }
    layers.file("0/becomes/dir");
    layers.file("0/same/x");
    layers.whiteout("1/dir/earlier");
    for path in ["u/dir/file", "u/dir/new/below", "u/etc/deep/er/file2", "u/opaque/b", "u/becomes", "u/file/x"] {
        layers.file(path);
    }
    layers.file("u/dir-x");
    layers.whiteout("u/dir/gone");
    layers.whiteout("u/dir/earlier");
    layers.whiteout("u/opaque/c");
    layers.opaque("u/opaque");
    layers.dir("u/same");
    // The directories that hold changes and have the same properties are reported, too.
    for (path, seconds) in [("same", 1), ("etc", 2), ("etc/deep", 3)] {
        for side in ["0", "u"] {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            fs::File::open(layers.0.join(side).join(path)).unwrap().set_modified(time).unwrap();
        }
    }
    let wanted = [
        "C /becomes",
        "C /dir",
        "C /dir/file",
        "D /dir/gone",
        "A /dir/new",
        "A /dir/new/below",
        "A /dir-x",
        "C /etc",
        "C /etc/deep",
        "C /etc/deep/er",
        "A /etc/deep/er/file2",
        "C /file",
        "A /file/x",
        "C /opaque",
        "D /opaque/a",
        "A /opaque/b",
        "D /opaque/c",
        "D /opaque/d",
    ];
    assert_eq!(lines(&layers, "u", &["0", "1"]), wanted);
    assert!(lines(&layers, "empty", &["0"]).is_empty());
}

#[test]
fn a_name_forges_no_line() {
    assert_eq!(line(ChangeKind::Added, b"/a\nD /etc\x1b[2J\\\xff\x7f"), "A /a\\nD /etc\\033[2J\\\\\\377\\177");
    assert_eq!(line(ChangeKind::Deleted, "/\u{e9}\u{9b}".as_bytes()), "D /\u{e9}\\302\\233");
}

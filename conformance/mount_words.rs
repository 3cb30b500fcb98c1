//! Pairs of options in `mounts[].options`: each test compares the flags that are in force, not only what was accepted.
//!
//! The rules are those of mount(2), which runc follows. Of two options on one flag the last one counts. Recursive
//! options are applied after the others. Options on propagation are applied one after the other. `strictatime` wins
//! over `noatime`, and `noatime` over `relatime`. One `rbind` makes a bind mount recursive.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

tests![
    every_pair_on_a_bind_mount,
    every_pair_on_a_tmpfs,
    every_pair_where_the_source_is_shared,
    words_that_replace_the_flags_of_the_source,
    words_that_exclude_each_other,
    remount_of_what_is_no_mount,
    remount_after_a_bind,
    flags_of_the_superblock,
];

/// Options on the flags of one mount: the option, the flag as mountinfo shows it, and whether the option sets it. With
/// an `r` in front an option applies to all mounts below, too.
const FLAGS: [(&str, &str, bool); 18] = [
    ("ro", "ro", true),
    ("rw", "ro", false),
    ("nosuid", "nosuid", true),
    ("suid", "nosuid", false),
    ("nodev", "nodev", true),
    ("dev", "nodev", false),
    ("noexec", "noexec", true),
    ("exec", "noexec", false),
    ("nosymfollow", "nosymfollow", true),
    ("symfollow", "nosymfollow", false),
    ("nodiratime", "nodiratime", true),
    ("diratime", "nodiratime", false),
    ("noatime", "noatime", true),
    ("atime", "noatime", false),
    ("relatime", "relatime", true),
    ("norelatime", "relatime", false),
    ("strictatime", "strictatime", true),
    ("nostrictatime", "strictatime", false),
];
const PROPAGATION: [&str; 4] = ["private", "slave", "shared", "unbindable"];
const ATIME: [&str; 3] = ["strictatime", "noatime", "relatime"];

/// The flags and the propagation of one mount.
#[derive(Clone, Default)]
struct Mount {
    flags: BTreeSet<&'static str>,
    propagation: &'static str,
}

impl Mount {
    fn flag(&mut self, name: &'static str, set: bool) {
        if set {
            self.flags.insert(name);
        } else {
            self.flags.remove(name);
        }
    }

    /// Leaves one of the three access time flags: the first in the kernel's order, or the last one by default.
    fn settle(&mut self) {
        let chosen = ATIME.into_iter().find(|name| self.flags.contains(name)).unwrap_or("relatime");
        self.flags.retain(|flag| !ATIME.contains(flag));
        self.flags.insert(chosen);
    }

    fn propagate(&mut self, kind: &'static str) {
        self.propagation = match (kind, self.propagation) {
            // A slave without a master is private; an unbindable mount stays unbindable.
            ("slave", "unbindable") => "unbindable",
            ("slave" | "private", _) => "",
            (kind, _) => kind,
        };
    }

    /// The text that mountinfo has for it. mountinfo has no word for `strictatime`.
    fn shown(&self) -> String {
        let flags: Vec<&str> = self.flags.iter().copied().filter(|flag| *flag != "strictatime").collect();
        format!("{} {}", flags.join(","), self.propagation).trim().to_owned()
    }
}

/// The expected text of the mount and of the one below it. Options without an `r` do not change the one below.
fn expected(words: &[&str]) -> [String; 2] {
    let (mut top, mut below) = (Mount::default(), Mount::default());
    let mut tree = Vec::new();
    for word in words {
        let plain = word.strip_prefix('r').filter(|rest| FLAGS.iter().any(|(name, ..)| name == rest));
        for (name, flag, set) in FLAGS {
            if name == *word {
                top.flag(flag, set);
            } else if Some(name) == plain {
                tree.retain(|(known, _)| *known != flag);
                tree.push((flag, set));
            }
        }
        for kind in PROPAGATION {
            if word.trim_start_matches('r') == kind {
                top.propagate(kind);
                if word.starts_with('r') {
                    below.propagate(kind);
                }
            }
        }
    }
    for mount in [&mut top, &mut below] {
        mount.settle();
        if tree.iter().any(|(flag, _)| ATIME.contains(flag)) {
            mount.flags.retain(|flag| !ATIME.contains(flag));
        }
        tree.iter().for_each(|(flag, set)| mount.flag(flag, *set));
        mount.settle();
    }
    [top.shown(), below.shown()]
}

/// The text that mountinfo has.
fn seen(output: &Output, point: &str) -> Result<String> {
    let mut lines = output.success()?.stdout.lines();
    let line = lines.rfind(|line| line.split(' ').nth(4) == Some(point)).with_context(|| format!("no {point}"))?;
    let (left, _) = line.split_once(" - ").context("a separator")?;
    let mut flags: Vec<&str> = left.split(' ').nth(5).unwrap_or_default().split(',').filter(|it| *it != "rw").collect();
    flags.sort_unstable();
    let optional = left.split(' ').skip(6).filter_map(|field| field.split(':').next());
    let propagation: Vec<&str> = optional.filter(|field| *field != "master").collect();
    Ok(format!("{} {}", flags.join(","), propagation.join(" ")).trim().to_owned())
}

fn words(recursive: bool) -> Vec<String> {
    let plain = FLAGS.iter().map(|(name, ..)| (*name).to_owned());
    let tree = FLAGS.iter().filter(|_| recursive).map(|(name, ..)| format!("r{name}"));
    let propagation = PROPAGATION.iter().flat_map(|kind| [(*kind).to_owned(), format!("r{kind}")]);
    plain.chain(tree).chain(propagation).chain(["bind", "rbind"].map(str::to_owned)).collect()
}

/// A directory with a tmpfs and another tmpfs below it, in the suite's mount namespace.
struct Source(tempfile::TempDir);

impl Source {
    fn new(flags: MsFlags) -> Result<Source> {
        let source = Source(scratch()?);
        let none = None::<&str>;
        for path in [source.0.path().to_owned(), source.0.path().join("below")] {
            fs::create_dir_all(&path)?;
            mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
        }
        for path in [source.0.path().to_owned(), source.0.path().join("below")] {
            mount(none, &path, none, flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND, none)?;
        }
        Ok(source)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

fn bind(source: &Path, destination: String, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

/// Two options that runc and crun refuse together.
fn excluded(one: &str, other: &str) -> bool {
    [[one, other], [other, one]].contains(&["rnoatime", "rstrictatime"])
}

/// For each first option one container, with one mount for each second option.
fn every_pair(recursive: bool, entry: impl Fn(String, [&str; 2]) -> Value, points: &[&str]) -> Result {
    let words = words(recursive);
    for one in &words {
        let others: Vec<&String> = words.iter().filter(|other| !excluded(one, other)).collect();
        let mut bundle = Bundle::new(["mountinfo"]);
        for (index, other) in others.iter().enumerate() {
            bundle = bundle.mount(entry(format!("/mnt/{index}"), [one, other]));
        }
        let output = bundle.run()?;
        for (index, other) in others.iter().enumerate() {
            for (point, wanted) in points.iter().zip(expected(&[one, other])) {
                let seen = seen(&output, &format!("/mnt/{index}{point}")).with_context(|| format!("{one},{other}"))?;
                ensure!(seen == wanted, "{one},{other} on {point:?}: wanted {wanted:?}, saw {seen:?}");
            }
        }
    }
    Ok(())
}

/// `["rbind", A, B]` for all A and B.
fn every_pair_on_a_bind_mount() -> Result {
    let source = Source::new(MsFlags::empty())?;
    every_pair(true, |at, [one, other]| bind(source.0.path(), at, &["rbind", one, other]), &["", "/below"])
}

/// A tmpfs has no mounts below it, so the recursive options are left out.
fn every_pair_on_a_tmpfs() -> Result {
    let entry = |at, [one, other]: [&str; 2]| {
        let options: Vec<&str> = [one, other].into_iter().filter(|word| !word.ends_with("bind")).collect();
        json!({ "destination": at, "type": "tmpfs", "source": "tmpfs", "options": options })
    };
    every_pair(false, entry, &[""])
}

/// Mounts in the container do not propagate to the host. Options that make the mount shared give it a new peer group.
fn every_pair_where_the_source_is_shared() -> Result {
    let source = Source::new(MsFlags::empty())?;
    let (none, all) = (None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC);
    mount(none, source.0.path(), none, all, none)?;
    let pairs = PROPAGATION.iter().flat_map(|kind| [(*kind).to_owned(), format!("r{kind}")]).collect::<Vec<_>>();
    let mut bundle = Bundle::new(["mountinfo"]);
    let mut listed = Vec::new();
    for (one, other) in pairs.iter().flat_map(|one| pairs.iter().map(move |other| (one, other))) {
        bundle = bundle.mount(bind(source.0.path(), format!("/mnt/{}", listed.len()), &["rbind", one, other]));
        listed.push([one.as_str(), other.as_str()]);
    }
    let output = bundle.run()?;
    for (index, pair) in listed.iter().enumerate() {
        for (point, wanted) in ["", "/below"].iter().zip(expected(pair)) {
            let seen = seen(&output, &format!("/mnt/{index}{point}"))?;
            ensure!(seen == wanted, "{pair:?} on {point:?}: wanted {wanted:?}, saw {seen:?}");
        }
    }
    Ok(())
}

/// An option on a flag replaces all flags that the mount has from the source, as a remount does. Without such an option
/// the flags stay.
fn words_that_replace_the_flags_of_the_source() -> Result {
    let flags = [MsFlags::MS_RDONLY, MsFlags::MS_NOSUID, MsFlags::MS_NODEV, MsFlags::MS_NOEXEC, MsFlags::MS_NOATIME];
    let source = Source::new(flags.into_iter().collect())?;
    let all = "noatime,nodev,noexec,nosuid,ro";
    let cases: [(&[&str], &str); 9] = [
        (&[], all),
        (&["rprivate"], all),
        (&["rw"], "noatime"),
        (&["nosuid"], "noatime,nosuid"),
        (&["sync"], "noatime"),
        (&["lazytime"], "noatime"),
        (&["relatime"], "relatime"),
        (&["nodiratime"], "nodiratime,relatime"),
        (&["rnosymfollow"], "noatime,nodev,noexec,nosuid,nosymfollow,ro"),
    ];
    let mut bundle = Bundle::new(["mountinfo"]);
    for (index, (words, _)) in cases.iter().enumerate() {
        bundle = bundle.mount(bind(source.0.path(), format!("/mnt/{index}"), &[&["rbind"], *words].concat()));
    }
    let output = bundle.run()?;
    for (index, (words, wanted)) in cases.iter().enumerate() {
        equal(&format!("{words:?}"), seen(&output, &format!("/mnt/{index}"))?.as_str(), *wanted)?;
        if *words != ["rnosymfollow"] {
            equal(&format!("below {words:?}"), seen(&output, &format!("/mnt/{index}/below"))?.as_str(), all)?;
        }
    }
    Ok(())
}

/// `rnoatime` with `rstrictatime` is refused: the kernel takes one access time for a tree.
fn words_that_exclude_each_other() -> Result {
    let source = scratch()?;
    for words in [["rnoatime", "rstrictatime"], ["rstrictatime", "rnoatime"]] {
        let entry = bind(source.path(), "/mnt".to_owned(), &["rbind", words[0], words[1]]);
        Bundle::new(["true"]).mount(entry).refused("mounts[2].options")?;
    }
    Ok(())
}

/// `remount` of a path that is no mount point is refused: there are no flags to change.
fn remount_of_what_is_no_mount() -> Result {
    let source = scratch()?;
    for words in [&["remount"] as &[&str], &["bind", "remount"], &["remount", "ro"], &["bind", "ro", "remount"]] {
        let entry = bind(source.path(), "/mnt".to_owned(), words);
        Bundle::new(["true"]).dir("mnt").mount(entry).refused("mounts[2]").with_context(|| format!("{words:?}"))?;
    }
    Ok(())
}

/// `remount` replaces all flags of the mount at that path.
fn remount_after_a_bind() -> Result {
    let source = scratch()?;
    let cases: [(&[&str], &[&str], &str); 5] = [
        (&["bind"], &["ro"], "relatime,ro"),
        (&["bind", "ro"], &["nosuid"], "nosuid,relatime"),
        (&["bind", "nodev", "noexec"], &["ro", "nodev"], "nodev,relatime,ro"),
        (&["bind", "noatime"], &["nosuid"], "noatime,nosuid"),
        (&["bind", "ro"], &["rw"], "relatime"),
    ];
    let mut bundle = Bundle::new(["mountinfo"]);
    for (index, (first, then, _)) in cases.iter().enumerate() {
        let again = [&["bind", "remount"], *then].concat();
        bundle = bundle.mount(bind(source.path(), format!("/mnt/{index}"), first));
        bundle = bundle.mount(bind(source.path(), format!("/mnt/{index}"), &again));
    }
    let output = bundle.run()?;
    for (index, (first, then, wanted)) in cases.iter().enumerate() {
        equal(&format!("{first:?}, {then:?}"), seen(&output, &format!("/mnt/{index}"))?.as_str(), *wanted)?;
    }
    Ok(())
}

/// The superblock options that config.md lists are accepted on every file system type for which mount(2) accepts them.
fn flags_of_the_superblock() -> Result {
    let all = [
        "async",
        "sync",
        "dirsync",
        "lazytime",
        "nolazytime",
        "mand",
        "nomand",
        "iversion",
        "noiversion",
        "acl",
        "noacl",
        "silent",
        "loud",
    ];
    for kind in ["tmpfs", "proc", "mqueue", "devpts"] {
        let mut bundle = Bundle::new(["mountinfo"]);
        for word in all {
            let destination = if kind == "proc" { "/proc".to_owned() } else { format!("/mnt/{word}") };
            let entry = json!({ "destination": destination, "type": kind, "source": kind, "options": [word] });
            bundle = bundle.mount(entry);
        }
        let output = bundle.run().with_context(|| kind)?;
        output.success().with_context(|| kind)?;
        if kind == "tmpfs" {
            contains("mounts", &output.stdout, " /mnt/sync rw,relatime - tmpfs tmpfs rw,sync")?;
        }
    }
    Ok(())
}

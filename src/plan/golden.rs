//! Compiles each config of `bundles/` for the same imaginary host, and compares the plan with `plan.txt` or the error
//! with `error.txt` beside it. `TARE_BLESS=1 cargo test --lib golden` writes these files.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Caller, Facts, Options, Questions, compile, print};
use crate::cgroup::Layout;
use crate::cgroup::systemd::Manager;
use crate::fuzz::{HYBRID, UNIFIED};
use crate::spec;

/// The facts of a case follow from its name: `v1` is a host with v1 hierarchies, `rootless` has an unprivileged caller,
/// and `lsm` has AppArmor and SELinux.
fn facts(name: &str) -> Facts {
    let (mountinfo, cgroup) = if has(name, "v1") { HYBRID } else { UNIFIED };
    let lsm = has(name, "lsm");
    let facts = Facts { apparmor: lsm, selinux: lsm, ..Facts::reference(Layout::parse(mountinfo, cgroup)) };
    if !has(name, "rootless") {
        return facts;
    }
    let manager = Manager { user: true, root: PathBuf::from("user.slice/user-1000.slice/user@1000.service") };
    let caller = Caller { euid: 1000, egid: 1000, in_user_namespace: false };
    Facts { caller, manager: Some(manager), opens_trees: false, ..facts }
}

fn has(name: &str, word: &str) -> bool {
    name.split('-').any(|part| part == word)
}

fn options(name: &str) -> Options {
    Options {
        id: name.to_owned(),
        bundle: PathBuf::from("/bundle"),
        gate: true,
        program: "tare".to_owned(),
        systemd_cgroup: has(name, "systemd"),
        no_cgroup: has(name, "disabled"),
        rootless_cgroups: has(name, "rootless"),
        ..Options::default()
    }
}

/// The name of the golden file and its expected text.
fn outcome(name: &str, config: &[u8]) -> (&'static str, String) {
    let plan = spec::parse(config).and_then(|config| compile(&config, &facts(name), &options(name)));
    match plan {
        Ok(plan) => ("plan.txt", print(&plan)),
        Err(error) => ("error.txt", format!("{error:#}\n")),
    }
}

/// Compares one case with its golden file, or writes that file. Returns the difference, if any.
fn check(folder: &Path, name: &str, bless: bool) -> Option<String> {
    let config = fs::read(folder.join("config.json")).expect("each folder has a config.json");
    let (file, got) = outcome(name, &config);
    let other = if file == "plan.txt" { "error.txt" } else { "plan.txt" };
    if bless {
        let _ = fs::remove_file(folder.join(other));
        fs::write(folder.join(file), got).expect("a golden file can be written");
        return None;
    }
    if folder.join(other).exists() {
        return Some(format!("{name}: has {other}, and this comes out:\n{got}"));
    }
    match fs::read_to_string(folder.join(file)) {
        Ok(wanted) if wanted == got => None,
        Ok(wanted) => Some(format!("{name}/{file}:\n{}", difference(&wanted, &got))),
        Err(_) => Some(format!("{name}: has neither plan.txt nor error.txt; this comes out:\n{got}")),
    }
}

/// Removed lines with `-`, new lines with `+`, and the line before each run of changes.
fn difference(wanted: &str, got: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), got.lines().collect());
    // longest[i][j]: how many lines old[i..] and new[j..] have in common, in order.
    let mut longest = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let skip = longest[i + 1][j].max(longest[i][j + 1]);
            longest[i][j] = if old[i] == new[j] { longest[i + 1][j + 1] + 1 } else { skip };
        }
    }
    let (mut i, mut j, mut before, mut text) = (0, 0, None, String::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            before = Some(old[i]);
            (i, j) = (i + 1, j + 1);
            continue;
        }
        if let Some(line) = before.take() {
            text += &format!("    {line}\n");
        }
        if j == new.len() || i < old.len() && longest[i + 1][j] >= longest[i][j + 1] {
            text += &format!("  - {}\n", old[i]);
            i += 1;
        } else {
            text += &format!("  + {}\n", new[j]);
            j += 1;
        }
    }
    text
}

#[test]
fn bundles_have_their_plans() {
    let bundles = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles");
    let bless = std::env::var_os("TARE_BLESS").is_some_and(|value| value == "1");
    let entries = fs::read_dir(bundles).expect("bundles/ can be read").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= 20, "only {} cases", folders.len());
    let named = folders.iter().map(|folder| (folder, folder.file_name().unwrap_or_default().to_string_lossy()));
    let wrong: Vec<String> = named.filter_map(|(folder, name)| check(folder, &name, bless)).collect();
    let (bad, all) = (wrong.len(), folders.len());
    assert!(wrong.is_empty(), "{bad} of {all} (TARE_BLESS=1 takes them over):\n\n{}", wrong.join("\n"));
}

#[test]
fn refusals_are_one_line_and_name_their_place() {
    let bundles = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles");
    for entry in fs::read_dir(bundles).expect("bundles/ can be read").flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("error.txt")) else { continue };
        assert!(text.trim_end().lines().count() == 1 && text.contains(": "), "{:?}: {text}", entry.file_name());
    }
}

#[test]
fn differences_are_short() {
    assert_eq!(difference("a\nb\nc\n", "a\nx\nc\nd\n"), "    a\n  - b\n  + x\n    c\n  + d\n");
    assert_eq!(difference("a\n", "a\n"), "");
}

/// The facts with another value for each fact that the questions do not ask for.
fn otherwise(facts: &Facts, asked: Questions) -> Facts {
    let mut it = facts.clone();
    it.manager = it.manager.filter(|_| asked.manager);
    it.selinux ^= !asked.selinux;
    it.apparmor ^= !asked.apparmor;
    it.resctrl ^= !asked.resctrl;
    it.opens_trees ^= !asked.opens_trees;
    it.clones_into_cgroups ^= !asked.clones_into_cgroups;
    it.denies_setgroups ^= !asked.denies_setgroups;
    if !asked.proc_and_sysfs {
        it.proc_and_sysfs.push(PathBuf::from("/elsewhere/proc"));
    }
    if !asked.present {
        it.present.push(PathBuf::from("/bundle"));
        it.fuse_overlayfs = Some(PathBuf::from("/bin/fuse-overlayfs"));
    }
    if !asked.own_cgroup {
        it.cgroups = it.cgroups.without_own();
    }
    it
}

#[test]
fn facts_that_are_not_asked_for_change_no_plan() {
    let bundles = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles");
    for entry in fs::read_dir(bundles).expect("bundles/ can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read(entry.path().join("config.json")).expect("each folder has a config.json");
        let Ok(config) = spec::parse(&text) else { continue };
        let notify = Some(PathBuf::from("/run/notify"));
        for no_pivot in [false, true] {
            for options in [options(&name), Options { notify: notify.clone(), ..options(&name) }] {
                let options = Options { no_pivot, ..options };
                let asked = Questions::of_container(&config, &options);
                let plan = |facts: &Facts| match compile(&config, facts, &options) {
                    Ok(plan) => print(&plan),
                    Err(error) => format!("{error:#}"),
                };
                let facts = facts(&name);
                assert_eq!(plan(&facts), plan(&otherwise(&facts, asked)), "{name}: {asked:?}");
            }
        }
    }
}

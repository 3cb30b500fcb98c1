//! For any options of a mount, one in each line after the type, the planner does not panic, and of two words for the
//! same flag the last one wins.

use serde_json::{Value, json};

use super::invariants::{self, refusal};
use super::{config, memory, seeds};
use crate::init::op::{self, Attributes, Op};
use crate::plan::{Program, compile};
use crate::spec;

/// Bits of MOUNT_ATTR_* that a plan may set or clear.
const KNOWN: u64 = 0x20_00ff;

/// Words that set a flag, those that clear it, and its bit.
const FLAGS: &[(&str, &str, u64)] = &[
    ("ro", "rw", 1),
    ("nosuid", "suid", 2),
    ("nodev", "dev", 4),
    ("noexec", "exec", 8),
    ("nosymfollow", "symfollow", 0x20_0000),
];

pub fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let mut lines = text.split('\n');
    let kind = lines.next().unwrap_or_default();
    let options: Vec<&str> = lines.collect();
    let mount = json!({"destination": "/fuzzed", "type": kind, "source": "/source", "options": options});
    let parsed = spec::parse(&invariants::config(&[("/mounts", json!([mount]))]));
    let config = match parsed {
        Ok(config) => config,
        Err(error) => {
            refusal(&error);
            return false;
        }
    };
    for (facts, options_of_call) in config::calls() {
        match compile(&config, &facts, &options_of_call) {
            Err(error) => drop(refusal(&error)),
            Ok(plan) => {
                memory::check(&plan.program);
                flags(&plan.program, &options);
            }
        }
    }
    true
}

/// Whether the last word for a flag sets it; `None` without such a word.
fn last(options: &[&str], sets: &str, clears: &str) -> Option<bool> {
    options.iter().rev().find_map(|word| match *word {
        word if word == sets => Some(true),
        word if word == clears => Some(false),
        _ => None,
    })
}

fn flags(program: &Program, options: &[&str]) {
    use op::Mount as Do;
    let (mut set, mut cleared, mut tree_set, mut mounted) = (0, 0, 0, false);
    for op in program.ops() {
        let attributes = match op {
            Op::Mount(
                Do::FileSystem { target, attributes, .. }
                | Do::Bind { target, attributes, .. }
                | Do::Attach { target, attributes, .. }
                | Do::Remount { target, attributes, .. },
            ) if program.show(*target) == "/fuzzed" => attributes,
            Op::Mount(Do::Reattribute { attributes, .. }) => attributes,
            _ => continue,
        };
        mounted = true;
        let Attributes { set: sets, clear, tree_set: tree_sets, tree_clear, .. } = *attributes;
        assert_eq!((sets | clear | tree_sets | tree_clear) & !KNOWN, 0, "unknown flags in {attributes:?}");
        // The access time is a number: it is cleared as a whole before it is set.
        assert_eq!((sets & clear | tree_sets & tree_clear) & !0x70, 0, "set and cleared: {attributes:?}");
        assert!(sets & 0x30 != 0x30 && tree_sets & 0x30 != 0x30, "two access times: {attributes:?}");
        (set, cleared, tree_set) = (set | sets, cleared | clear, tree_set | tree_sets);
    }
    for (sets, clears, bit) in FLAGS {
        let recursive = last(options, &format!("r{sets}"), &format!("r{clears}"));
        assert!(!mounted || recursive != Some(true) || tree_set & bit != 0, "r{sets} is lost");
        match last(options, sets, clears) {
            Some(true) => assert!(!mounted || set & bit != 0, "{sets} is lost"),
            Some(false) => assert_eq!(set & bit, 0, "{clears} is lost"),
            None => assert_eq!(cleared & bit, 0, "{sets} is cleared"),
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mounts = seeds::values("/mounts").into_iter().filter_map(|list| list.as_array().cloned()).flatten();
    let text = |mount: Value| {
        let options = mount["options"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let lines: Vec<&str> = std::iter::once(mount["type"].as_str().unwrap_or("bind")).chain(options).collect();
        lines.join("\n").into_bytes()
    };
    let mut all: Vec<Vec<u8>> = mounts.map(text).collect();
    // All words that the runtime knows.
    for words in crate::tables::mount_option::OPTIONS.chunks(4) {
        for kind in ["bind", "tmpfs"] {
            let words: Vec<&str> = words.iter().map(|(word, ..)| *word).collect();
            all.push(format!("{kind}\n{}", words.join("\n")).into_bytes());
        }
    }
    // Both words for a flag.
    all.extend(FLAGS.iter().flat_map(|(sets, clears, _)| {
        [[sets, clears], [clears, sets]].map(|[first, last]| format!("tmpfs\n{first}\n{last}").into_bytes())
    }));
    all.sort();
    all.dedup();
    all
}

//! For any config.json, the loader, the planner and the printer do not panic. A refusal is one line that begins with
//! the place in the config.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::{Corpus, fuzz_target};
use tare::cgroup::Layout;
use tare::plan::{Caller, Facts, Options, compile, print};
use tare::spec;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(config) = spec::parse(data) else { return Corpus::Reject };
    for user in [0, 1000] {
        let mountinfo = "25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let caller = Caller { euid: user, egid: user, in_user_namespace: false };
        let facts = Facts { caller, ..Facts::reference(Layout::parse(mountinfo, "0::/\n")) };
        let options = Options {
            id: "fuzzed".to_owned(),
            bundle: PathBuf::from("/bundle"),
            gate: true,
            program: "tare".to_owned(),
            rootless_cgroups: user != 0,
            ..Options::default()
        };
        match compile(&config, &facts, &options) {
            Ok(plan) => drop(print(&plan)),
            Err(error) => assert!(format!("{error:#}").contains(": "), "no place in: {error:#}"),
        }
    }
    Corpus::Keep
});

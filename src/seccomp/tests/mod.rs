//! Tests of the compiler: an interpreter runs its programs, and the results must equal a direct reading of the profile.

mod interpreter;
mod libseccomp;
mod profiles;
mod random;
mod reading;

use oci_spec::runtime::{Arch, LinuxSeccomp};
use serde_json::{Value, json};

use interpreter::{Call, Step, assert_acceptable, decode, run};
use libseccomp::LibSeccomp;
use profiles::{NATIVES, all_profiles, engine_profile};
use random::Random;
use reading::Reading;

use super::names::{Abi, X32_BIT};
use super::{compile, unknown_names};
use crate::tables::seccomp::{FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV};

const X86_64: u32 = 0xc000_003e;
const KILL_THREAD: u32 = 0;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

fn from_json(profile: Value) -> LinuxSeccomp {
    serde_json::from_value(profile).unwrap()
}

fn abis(profile: &LinuxSeccomp, native: Arch) -> Vec<Abi> {
    super::names::listed(profile.architectures().as_deref().unwrap_or_default(), native).unwrap()
}

/// Compares program and profile for every number of every architecture, and for unknown architectures.
fn assert_agree(profile: &LinuxSeccomp, native: Arch, random: &mut Random, tries: usize) -> Vec<usize> {
    let filter = compile(profile, native).unwrap();
    let program = decode(&filter.program);
    assert_acceptable(&program);
    let reading = Reading::of(profile, &abis(profile, native));
    let archs = [X86_64, 0x4000_0003, 0x4000_0028, 0xc000_00b7, 0xc000_00f3, 0x8000_0016];
    let numbers =
        (0..600).chain([X32_BIT - 1]).chain(X32_BIT..X32_BIT + 600).chain([983_040, 983_045, u32::MAX - 1, u32::MAX]);
    let mut steps = Vec::new();
    for number in numbers {
        for arch in archs {
            for _ in 0..tries {
                let call = Call { arch, number, args: std::array::from_fn(|_| random.value()) };
                let (action, taken) = run(&program, &call);
                assert_eq!(action, reading.says(&call), "{call:x?} under {}", json!(profile));
                steps.push(taken);
            }
        }
    }
    steps
}

fn error(profile: Value) -> String {
    format!("{:#}", compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap_err())
}

fn program(profile: Value) -> Vec<Step> {
    decode(&compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap().program)
}

fn x86_64_call(program: &[Step], name: &str, first: u64) -> u32 {
    let number = Abi::X86_64.number(name).unwrap();
    run(program, &Call { arch: X86_64, number, args: [first, 0, 0, 0, 0, 0] }).0
}

#[test]
fn engines_profiles_mean_what_they_say() {
    for (engine, most) in [("docker", 450), ("podman", 450), ("containerd", 450)] {
        let Some(profile) = engine_profile(engine) else { continue };
        let started = std::time::Instant::now();
        let length = compile(&profile, Arch::ScmpArchX86_64).unwrap().program.len();
        let took = started.elapsed();
        assert!(length <= most, "{engine}: {length} instructions");
        let steps = assert_agree(&profile, Arch::ScmpArchX86_64, &mut Random(0x7a7e), 20);
        let mean = steps.iter().sum::<usize>() as f64 / steps.len() as f64;
        let longest = steps.iter().max().unwrap();
        println!("{engine}: {length} instructions in {took:?}; runs {longest} at most, {mean:.1} on average");
        println!("{engine}: unknown names {:?}", unknown_names(&profile));
    }
    for (native, profile) in all_profiles() {
        assert_agree(&profile, native, &mut Random(0x7a7e), 5);
    }
}

#[test]
fn random_profiles_mean_what_they_say() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let evaluated = (0..2000)
        .map(|_| {
            let native = random.pick(&NATIVES);
            let profile = random.profile(native);
            assert_agree(&profile, native, &mut random, 1).len()
        })
        .sum::<usize>();
    assert!(evaluated > 10_000_000, "only {evaluated} evaluations");
}

/// The program of libseccomp gives the same results, with exceptions: only tare handles calls that are newer than the
/// profile, and names that libseccomp is too old for are left out. A profile that libseccomp refuses is not compared.
#[test]
fn libseccomp_means_the_same() {
    let Some(mut libseccomp) = LibSeccomp::find() else { return };
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut simple = Random(0xdead_beef_0bad_cafe);
    let profiles = all_profiles().into_iter().chain((0..2000).map(|_| {
        let native = simple.pick(&NATIVES);
        (native, simple.simple_profile(native))
    }));
    let (mut compared, mut refused) = (0, 0);
    for (native, mut profile) in profiles {
        let abis = abis(&profile, native);
        let Ok(made) = libseccomp.make(&profile, &abis).inspect_err(|why| println!("{why}")) else {
            refused += 1;
            continue;
        };
        if profile.syscalls().as_ref().is_some_and(|rules| rules.iter().any(|rule| rule.names().len() > 300)) {
            println!("of {} instructions in {:.1} ms", made.program.len(), made.took);
        }
        leave_out(&mut profile, &made.unknown);
        let filter = compile(&profile, native).unwrap();
        compared += assert_same(&profile, &abis, &decode(&filter.program), &made.program, &mut random);
    }
    println!("{compared} calls compared, {refused} profiles refused");
    assert!(compared > 1_000_000, "only {compared} calls compared");
}

/// Removes names from a profile, and rules that have no other name.
fn leave_out(profile: &mut LinuxSeccomp, names: &[String]) {
    let mut rules = profile.syscalls().clone().unwrap_or_default();
    for rule in &mut rules {
        let kept: Vec<_> = rule.names().iter().filter(|name| !names.contains(name)).cloned().collect();
        rule.set_names(kept);
    }
    rules.retain(|rule| !rule.names().is_empty());
    profile.set_syscalls(Some(rules));
}

/// Compares two programs for every number up to the highest one that the profile names. Returns the number of compared
/// calls.
fn assert_same(profile: &LinuxSeccomp, abis: &[Abi], ours: &[Step], theirs: &[Step], random: &mut Random) -> usize {
    let mut compared = 0;
    for (abi, newest) in Reading::of(profile, abis).newest() {
        let first = if abi == Abi::X32 { X32_BIT } else { 0 };
        for number in first..=newest {
            for _ in 0..3 {
                let mut call = Call { arch: abi.audit_arch(), number, args: std::array::from_fn(|_| random.value()) };
                if abi == Abi::X86 && Some(number) == abi.number("ipc") {
                    // The upper half is a version, which libseccomp takes for a part of the call's number.
                    call.args[0] &= 0xffff;
                }
                let (ours, theirs) = (run(ours, &call).0, run(theirs, &call).0);
                if ours != theirs {
                    let rules = profile.syscalls().iter().flatten();
                    let named = |name: &String| abi.number(name) == Some(number);
                    let rules: Vec<_> = rules.filter(|rule| rule.names().iter().any(named)).collect();
                    panic!("{call:x?} gives {ours:x}, and with libseccomp {theirs:x}, by {}", json!(rules));
                }
                compared += 1;
            }
        }
    }
    compared
}

/// Few numbers with many rules each: the blocks are longer than a branch can reach.
#[test]
fn long_chains_of_rules_mean_what_they_say() {
    let mut random = Random(42);
    let names = ["socket", "clone", "ioctl", "read", "close"].map(String::from);
    for _ in 0..30 {
        let rules =
            (0..60).map(|_| random.rule(&names, &["ERRNO", "LOG", "TRAP"])).filter(|rule| rule["args"] != json!([]));
        let rules = rules.collect::<Vec<_>>();
        let profile = from_json(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
        assert_agree(&profile, Arch::ScmpArchX86_64, &mut random, 2);
    }
}

#[test]
fn what_allows_everything_has_a_filter_that_says_so() {
    let mut random = Random(1);
    let rules = json!([{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]);
    for rules in [json!(null), json!([]), rules] {
        let profile = from_json(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
        assert_agree(&profile, Arch::ScmpArchX86_64, &mut random, 1);
        assert_eq!(x86_64_call(&decode(&compile(&profile, Arch::ScmpArchX86_64).unwrap().program), "read", 0), ALLOW);
    }
}

#[test]
fn every_action_has_its_value() {
    let rule = |name, action| json!({"names": [name], "action": action});
    let mut rules = vec![
        rule("read", "SCMP_ACT_KILL"),
        rule("write", "SCMP_ACT_KILL_THREAD"),
        rule("open", "SCMP_ACT_KILL_PROCESS"),
        rule("close", "SCMP_ACT_TRAP"),
        rule("stat", "SCMP_ACT_ERRNO"),
        rule("fstat", "SCMP_ACT_TRACE"),
        rule("lstat", "SCMP_ACT_LOG"),
        rule("poll", "SCMP_ACT_ERRNO"),
    ];
    rules[7]["errnoRet"] = json!(38);
    let program = program(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    let says = |name| x86_64_call(&program, name, 0);
    assert_eq!(["read", "write", "open"].map(says), [0, 0, 0x8000_0000]);
    assert_eq!(["close", "stat", "fstat"].map(says), [0x0003_0000, ERRNO | 1, 0x7ff0_0001]);
    assert_eq!(["lstat", "poll", "mmap"].map(says), [0x7ffc_0000, ERRNO | 38, ALLOW]);
}

#[test]
fn a_rule_without_conditions_decides_and_the_first_one_that_holds_does() {
    let when = |value| json!([{"index": 0, "value": value, "op": "SCMP_CMP_GE"}]);
    let rules = json!([
        {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7, "args": when(0)},
        {"names": ["read"], "action": "SCMP_ACT_LOG"},
        {"names": ["read"], "action": "SCMP_ACT_TRAP"},
        {"names": ["write"], "action": "SCMP_ACT_LOG", "args": when(5)},
        {"names": ["write"], "action": "SCMP_ACT_TRAP", "args": when(3)},
    ]);
    let program = program(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    assert_eq!(x86_64_call(&program, "read", 1), 0x7ffc_0000);
    assert_eq!([5, 4, 2].map(|first| x86_64_call(&program, "write", first)), [0x7ffc_0000, 0x0003_0000, ALLOW]);
}

#[test]
fn calls_newer_than_the_profile_are_not_implemented_and_other_architectures_die() {
    let rules = json!([{"names": ["read", "openat"], "action": "SCMP_ACT_ALLOW"}]);
    let program = program(json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5, "syscalls": rules}));
    let says = |arch, number| run(&program, &Call { arch, number, args: [0; 6] }).0;
    assert_eq!([0, 1, 257, 258].map(|number| says(X86_64, number)), [ALLOW, ERRNO | 5, ALLOW, ERRNO | 38]);
    assert_eq!([X32_BIT, u32::MAX - 1, u32::MAX].map(|number| says(X86_64, number)), [0, 0, ERRNO | 38]);
    assert_eq!(says(0x4000_0003, 3), KILL_THREAD);
}

#[test]
fn numbers_are_the_kernels() {
    let all = [Abi::X86_64, Abi::X32, Abi::X86, Abi::Aarch64, Abi::Arm, Abi::Riscv64];
    let numbers = |name: &str| all.map(|abi| abi.number(name));
    let bit = |number| Some(X32_BIT | number);
    assert_eq!(numbers("ioctl"), [Some(16), bit(514), Some(54), Some(29), Some(54), Some(29)]);
    assert_eq!(numbers("openat"), [Some(257), bit(257), Some(295), Some(56), Some(322), Some(56)]);
    assert_eq!(numbers("newfstatat"), [Some(262), bit(262), None, Some(79), None, Some(79)]);
    assert_eq!(numbers("pwritev2"), [Some(328), bit(547), Some(379), Some(287), Some(393), Some(287)]);
    assert_eq!(numbers("set_tls"), [None, None, None, None, Some(983_045), None]);
    assert_eq!(numbers("map_shadow_stack")[..2], [Some(453), None]);
    assert_eq!(numbers("uselib"), [Some(134), None, Some(86), None, Some(86), None]);
    assert_eq!(numbers("clock_gettime64"), [None, None, Some(403), None, Some(403), None]);
    assert_eq!(numbers("pidfd_send_signal")[3..], [Some(424); 3]);
}

#[test]
fn flags_are_as_runc_has_them() {
    let flags = |flags: Value| {
        let mut profile = json!({"defaultAction": "SCMP_ACT_LOG"});
        if !flags.is_null() {
            profile["flags"] = flags;
        }
        compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap().flags
    };
    assert_eq!(flags(Value::Null), FLAG_SPEC_ALLOW);
    assert_eq!(flags(json!([])), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_TSYNC"])), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"])), FLAG_LOG | FLAG_SPEC_ALLOW);
}

#[test]
fn notify_brings_a_listener() {
    let filter = |flags: Value| {
        let rules = json!([{"names": ["mknod"], "action": "SCMP_ACT_NOTIFY"}]);
        let mut profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
        if !flags.is_null() {
            profile["flags"] = flags;
        }
        compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap()
    };
    let plain = filter(Value::Null);
    assert!(plain.listens());
    assert_eq!(x86_64_call(&decode(&plain.program), "mknod", 0), 0x7fc0_0000);
    assert_eq!(plain.flags, FLAG_SPEC_ALLOW | FLAG_NEW_LISTENER);
    assert_eq!(filter(json!(["SECCOMP_FILTER_FLAG_TSYNC"])).flags, FLAG_NEW_LISTENER);
    let killable = filter(json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]));
    assert_eq!(killable.flags, FLAG_WAIT_KILLABLE_RECV | FLAG_NEW_LISTENER);
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let allow = |rules: Value| error(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    let read = |rule: Value| {
        let mut rules = json!([{"names": ["read"], "action": "SCMP_ACT_ERRNO"}]);
        rules[0].as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        allow(rules)
    };
    assert_eq!(
        read(json!({"action": "SCMP_ACT_NOTIFY", "names": ["mknod", "write"]})),
        "linux.seccomp.syscalls[0].names[1]: SCMP_ACT_NOTIFY cannot be used for the write syscall"
    );
    assert_eq!(
        read(json!({"action": "SCMP_ACT_NOTIFY", "errnoRet": 1})),
        "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_NOTIFY does not take an errno"
    );
    assert_eq!(
        error(json!({"defaultAction": "SCMP_ACT_NOTIFY"})),
        "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action"
    );
    assert_eq!(
        read(json!({"args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]})),
        "linux.seccomp.syscalls[0].args[0].index: there is no argument 6, only 0 to 5"
    );
    let foreign = |arch: &str| json!({"defaultAction": "SCMP_ACT_LOG", "architectures": ["SCMP_ARCH_X86", arch]});
    assert_eq!(
        error(foreign("SCMP_ARCH_S390X")),
        "linux.seccomp.architectures[1]: SCMP_ARCH_S390X has another byte order than this host"
    );
    assert!(compile(&from_json(foreign("SCMP_ARCH_MIPSEL64")), Arch::ScmpArchX86_64).is_ok());
    assert_eq!(
        read(json!({"errnoRet": 4096})),
        "linux.seccomp.syscalls[0].errnoRet: 4096 is over the largest errno, 4095"
    );
    assert_eq!(
        error(json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1})),
        "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW does not take an errno"
    );
    assert_eq!(
        error(json!({"defaultAction": "SCMP_ACT_LOG", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]})),
        "linux.seccomp.flags[0]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is for SCMP_ACT_NOTIFY, which no rule asks for"
    );
}

#[test]
fn a_program_over_the_kernels_limit_is_refused() {
    let rule = |value: usize| {
        let args = json!([{"index": 1, "value": value, "op": "SCMP_CMP_EQ"}]);
        json!({"names": ["read"], "action": if value.is_multiple_of(2) { "SCMP_ACT_TRAP" } else { "SCMP_ACT_LOG" }, "args": args})
    };
    let error = |rules: Vec<Value>| error(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    let ends = "instructions is over the kernel's limit of 4096";
    for rules in [(0..600).map(rule).collect::<Vec<_>>(), (0..600).map(|value| rule(2 * value)).collect()] {
        let message = error(rules);
        assert!(message.starts_with("linux.seccomp: program of ") && message.ends_with(ends), "{message}");
    }
}

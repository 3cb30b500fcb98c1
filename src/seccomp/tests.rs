//! The compiler against a plain reading of the profile, by way of an interpreter for filters.

use std::collections::HashMap;
use std::path::Path;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};
use serde_json::{Value, json};

use super::names::{Abi, X32_BIT};
use super::{
    FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV, MAX_INSTRUCTIONS, compile, unknown_names,
};

const X86_64: u32 = 0xc000_003e;
const KILL_THREAD: u32 = 0;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// What a filter sees of a call.
#[derive(Clone, Copy, Debug)]
struct Call {
    arch: u32,
    number: u32,
    args: [u64; 6],
}

/// One decoded instruction: code, jt, jf, k.
type Step = (u16, usize, usize, u32);

fn decode(program: &[u64]) -> Vec<Step> {
    let step = |word: &u64| {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = word.to_ne_bytes();
        (u16::from_ne_bytes([c0, c1]), jt.into(), jf.into(), u32::from_ne_bytes([k0, k1, k2, k3]))
    };
    program.iter().map(step).collect()
}

/// What the kernel checks before it takes a program.
fn assert_acceptable(program: &[Step]) {
    assert!((1..=MAX_INSTRUCTIONS).contains(&program.len()), "{} instructions", program.len());
    assert_eq!(program.last().unwrap().0, 0x06, "the last instruction is no return");
    for (at, &(code, jt, jf, k)) in program.iter().enumerate() {
        match code {
            0x06 | 0x54 => {}
            0x20 => assert!(k % 4 == 0 && k < 64, "load from {k}"),
            0x05 => assert!(at + 1 + (k as usize) < program.len(), "jump out of the program at {at}"),
            0x15 | 0x25 | 0x35 => assert!(at + 1 + jt.max(jf) < program.len(), "branch out of the program at {at}"),
            _ => panic!("unexpected instruction {code:#x} at {at}"),
        }
    }
}

/// Runs a program: the action and how many instructions it took.
fn run(program: &[Step], call: &Call) -> (u32, usize) {
    let (mut at, mut word, mut steps) = (0, 0, 0);
    loop {
        let (code, jt, jf, k) = program[at];
        at += 1;
        steps += 1;
        match code {
            0x06 => return (k, steps),
            0x20 => word = load(call, k),
            0x54 => word &= k,
            0x05 => at += k as usize,
            0x15 => at += if word == k { jt } else { jf },
            0x25 => at += if word > k { jt } else { jf },
            0x35 => at += if word >= k { jt } else { jf },
            _ => panic!("unexpected instruction {code:#x}"),
        }
    }
}

fn load(call: &Call, offset: u32) -> u32 {
    let arg = call.args[(offset.saturating_sub(16) / 8) as usize];
    match offset {
        0 => call.number,
        4 => call.arch,
        16.. if offset.is_multiple_of(8) => arg as u32,
        16.. => (arg >> 32) as u32,
        _ => panic!("load from {offset}"),
    }
}

/// A profile as a person reads it: for each architecture's numbers the rules that name them.
struct Reading<'a> {
    profile: &'a LinuxSeccomp,
    abis: Vec<(Abi, Table<'a>)>,
}

#[derive(Default)]
struct Table<'a> {
    rules: HashMap<u32, Vec<Mention<'a>>>,
    newest: Option<u32>,
}

/// A rule names a number, or one that is reached through it: with this mask and first argument.
#[derive(Clone, Copy)]
struct Mention<'a> {
    rule: &'a LinuxSyscall,
    through: Option<(u32, u32)>,
}

impl<'a> Reading<'a> {
    fn of(profile: &'a LinuxSeccomp, abis: &[Abi]) -> Self {
        Reading { profile, abis: abis.iter().map(|&abi| (abi, Table::of(profile, abi))).collect() }
    }

    fn default(&self) -> u32 {
        self.profile.default_action().as_u32(self.profile.default_errno_ret())
    }

    fn says(&self, call: &Call) -> u32 {
        let has_x32 = self.abis.iter().any(|(abi, _)| *abi == Abi::X32);
        // Without x32, -1 is a skipped call of x86_64.
        let x32 = call.arch == X86_64 && call.number >= X32_BIT && (has_x32 || call.number != u32::MAX);
        let abi = self.abis.iter().find(|(abi, _)| abi.audit_arch() == call.arch && (*abi == Abi::X32) == x32);
        let Some((abi, table)) = abi else { return KILL_THREAD };
        let newer = table.newest.is_some_and(|newest| call.number > newest);
        let Some(mentions) = table.rules.get(&call.number) else {
            let lenient = [ALLOW, 0x7ffc_0000].contains(&self.default()) || self.default() >> 16 == 0x7ff0;
            return if newer && !lenient { ERRNO | 38 } else { self.default() };
        };
        let action = |mention: &Mention| mention.rule.action().as_u32(mention.rule.errno_ret());
        let telling = || mentions.iter().filter(|mention| action(mention) != self.default());
        let always = |mention: &&Mention| mention.through.is_none() && args(mention.rule).is_empty();
        telling()
            .find(always)
            .or_else(|| telling().find(|mention| mention.holds(*abi, call)))
            .map_or(self.default(), action)
    }
}

impl<'a> Table<'a> {
    fn of(profile: &'a LinuxSeccomp, abi: Abi) -> Self {
        let mut table = Table::default();
        for rule in profile.syscalls().iter().flatten() {
            for name in rule.names() {
                if let Some(number) = abi.number(name) {
                    table.newest = table.newest.max((!abi.is_private(number)).then_some(number));
                    table.rules.entry(number).or_default().push(Mention { rule, through: None });
                }
                if let Some(behind) = abi.multiplexed(name).filter(|_| args(rule).is_empty()) {
                    let through = Some((behind.mask, behind.call));
                    table.rules.entry(behind.number).or_default().push(Mention { rule, through });
                }
            }
        }
        table
    }
}

impl Mention<'_> {
    fn holds(&self, abi: Abi, call: &Call) -> bool {
        if let Some((mask, value)) = self.through {
            return call.args[0] as u32 & mask == value;
        }
        let args = args(self.rule);
        let repeated = args.iter().any(|arg| args.iter().filter(|other| other.index() == arg.index()).count() > 1);
        let holds = |arg: &LinuxSeccompArg| {
            let cut = |value: u64| if abi.is_64_bit() { value } else { value & 0xffff_ffff };
            let (is, value) = (cut(call.args[arg.index()]), cut(arg.value()));
            match arg.op() {
                LinuxSeccompOperator::ScmpCmpNe => is != value,
                LinuxSeccompOperator::ScmpCmpLt => is < value,
                LinuxSeccompOperator::ScmpCmpLe => is <= value,
                LinuxSeccompOperator::ScmpCmpEq => is == value,
                LinuxSeccompOperator::ScmpCmpGe => is >= value,
                LinuxSeccompOperator::ScmpCmpGt => is > value,
                LinuxSeccompOperator::ScmpCmpMaskedEq => is & value == cut(arg.value_two().unwrap_or(0)) & value,
            }
        };
        if repeated { args.iter().any(holds) } else { args.iter().all(holds) }
    }
}

fn args(rule: &LinuxSyscall) -> &[LinuxSeccompArg] {
    rule.args().as_deref().unwrap_or_default()
}

/// Marsaglia's xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A value at which comparisons change their minds.
    fn value(&mut self) -> u64 {
        let edges = [0, 1, 2, 38, 39, 40, 0x7e02_0000, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0xffff_ffff_0000_0000];
        match self.below(8) {
            0 => self.next(),
            1 => u64::MAX,
            2 => self.pick(&edges) | self.pick(&edges),
            3 => self.pick(&edges).wrapping_sub(1),
            _ => self.pick(&edges),
        }
    }

    fn profile(&mut self) -> LinuxSeccomp {
        let actions = ["ALLOW", "ERRNO", "KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "TRACE", "LOG"];
        let mut names: Vec<String> = Vec::new();
        for _ in 0..4 + self.below(40) {
            let all = syscalls::x86_64::Sysno::iter().count();
            let nth = self.below(all);
            names.extend(syscalls::x86_64::Sysno::iter().nth(nth).map(|call| call.name().to_string()));
        }
        let more =
            ["socket", "socketcall", "ipc", "shmget", "accept", "ioctl", "newfstatat", "set_tls", "no_such_call"];
        names.extend(more.map(String::from));
        let rules = (0..1 + self.below(10)).map(|_| self.rule(&names, &actions)).collect::<Vec<_>>();
        let archs = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_S390X"];
        let archs = archs.into_iter().filter(|_| self.below(3) > 0).collect::<Vec<_>>();
        let default = format!("SCMP_ACT_{}", self.pick(&actions));
        from_json(json!({"defaultAction": default, "architectures": archs, "syscalls": rules}))
    }

    fn rule(&mut self, names: &[String], actions: &[&str]) -> Value {
        let action = self.pick(actions);
        let names = (0..1 + self.below(6)).map(|_| names[self.below(names.len())].clone()).collect::<Vec<_>>();
        let args = (0..[0, 0, 1, 1, 2, 3][self.below(6)]).map(|_| self.arg()).collect::<Vec<_>>();
        let mut rule = json!({"names": names, "action": format!("SCMP_ACT_{action}"), "args": args});
        if ["ERRNO", "TRACE"].contains(&action) && self.below(2) == 0 {
            rule["errnoRet"] = json!(1 + self.below(40));
        }
        rule
    }

    fn arg(&mut self) -> Value {
        let op = format!("SCMP_CMP_{}", self.pick(&["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]));
        json!({"index": self.below(6), "value": self.value(), "valueTwo": self.value(), "op": op})
    }
}

fn from_json(profile: Value) -> LinuxSeccomp {
    serde_json::from_value(profile).unwrap()
}

fn abis(profile: &LinuxSeccomp) -> Vec<Abi> {
    super::names::listed(profile.architectures().as_deref().unwrap_or_default(), Arch::ScmpArchX86_64).unwrap()
}

/// Compares program and profile on every number of every architecture, and on foreign ones.
fn assert_agree(profile: &LinuxSeccomp, random: &mut Random, tries: usize) -> Vec<usize> {
    let Some(filter) = compile(profile, Arch::ScmpArchX86_64).unwrap() else { return Vec::new() };
    let program = decode(&filter.program);
    assert_acceptable(&program);
    let reading = Reading::of(profile, &abis(profile));
    let archs = [X86_64, 0x4000_0003, 0x4000_0028, 0xc000_00b7, 0x8000_0016];
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

/// The profile of an engine's config.json, where the test data is at hand.
fn engine_profile(engine: &str) -> Option<LinuxSeccomp> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../shared/data/{engine}-config.json"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    };
    let mut config: Value = serde_json::from_str(&text).unwrap();
    Some(from_json(config["linux"]["seccomp"].take()))
}

fn error(profile: Value) -> String {
    format!("{:#}", compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap_err())
}

fn program(profile: Value) -> Vec<Step> {
    decode(&compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap().unwrap().program)
}

fn x86_64_call(program: &[Step], name: &str, first: u64) -> u32 {
    let number = Abi::X86_64.number(name).unwrap();
    run(program, &Call { arch: X86_64, number, args: [first, 0, 0, 0, 0, 0] }).0
}

#[test]
fn engines_profiles_mean_what_they_say() {
    for (engine, most) in [("docker", 450), ("podman", 450)] {
        let Some(profile) = engine_profile(engine) else { continue };
        let started = std::time::Instant::now();
        let length = compile(&profile, Arch::ScmpArchX86_64).unwrap().unwrap().program.len();
        let took = started.elapsed();
        assert!(length <= most, "{engine}: {length} instructions");
        let steps = assert_agree(&profile, &mut Random(0x7a7e), 20);
        let mean = steps.iter().sum::<usize>() as f64 / steps.len() as f64;
        let longest = steps.iter().max().unwrap();
        println!("{engine}: {length} instructions in {took:?}; runs {longest} at most, {mean:.1} on average");
        println!("{engine}: unknown names {:?}", unknown_names(&profile));
    }
}

#[test]
fn random_profiles_mean_what_they_say() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let evaluated = (0..600)
        .map(|_| {
            let profile = random.profile();
            assert_agree(&profile, &mut random, 1).len()
        })
        .sum::<usize>();
    assert!(evaluated > 2_000_000, "only {evaluated} evaluations");
}

/// Few numbers, many rules each: blocks far longer than a branch reaches.
#[test]
fn long_chains_of_rules_mean_what_they_say() {
    let mut random = Random(42);
    let names = ["socket", "clone", "ioctl", "read", "close"].map(String::from);
    for _ in 0..30 {
        let rules =
            (0..60).map(|_| random.rule(&names, &["ERRNO", "LOG", "TRAP"])).filter(|rule| rule["args"] != json!([]));
        let rules = rules.collect::<Vec<_>>();
        let profile = from_json(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
        assert_agree(&profile, &mut random, 2);
    }
}

#[test]
fn nothing_is_compiled_where_nothing_is_filtered() {
    let none = |profile| compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap().is_none();
    assert!(none(json!({"defaultAction": "SCMP_ACT_ALLOW"})));
    let rules = json!([{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]);
    assert!(none(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})));
    assert!(!none(json!({"defaultAction": "SCMP_ACT_LOG"})));
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
}

#[test]
fn flags_are_as_runc_has_them() {
    let flags = |flags: Value| {
        let mut profile = json!({"defaultAction": "SCMP_ACT_LOG"});
        if !flags.is_null() {
            profile["flags"] = flags;
        }
        compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap().unwrap().flags
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
        compile(&from_json(profile), Arch::ScmpArchX86_64).unwrap().unwrap()
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

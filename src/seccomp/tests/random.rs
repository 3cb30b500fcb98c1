//! Random profiles and calls.

use oci_spec::runtime::{Arch, LinuxSeccomp};
use serde_json::{Value, json};

use super::{Abi, from_json};

/// The actions that a random profile may have as its default.
const ACTIONS: &[&str] = &["ALLOW", "ERRNO", "KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "TRACE", "LOG"];

/// Marsaglia's xorshift, which gives the same numbers in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A value near which a comparison changes its result.
    pub(super) fn value(&mut self) -> u64 {
        let edges = [0, 1, 2, 38, 39, 40, 0x7e02_0000, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0xffff_ffff_0000_0000];
        match self.below(8) {
            0 => self.next(),
            1 => u64::MAX,
            2 => self.pick(&edges) | self.pick(&edges),
            3 => self.pick(&edges).wrapping_sub(1),
            _ => self.pick(&edges),
        }
    }

    /// A random profile for a host of this architecture.
    pub(super) fn profile(&mut self, native: Arch) -> LinuxSeccomp {
        let mut names = self.names(native);
        let more =
            ["socket", "socketcall", "ipc", "shmget", "accept", "ioctl", "newfstatat", "set_tls", "no_such_call"];
        names.extend(more.map(String::from));
        let rules =
            (0..1 + self.below(10)).map(|_| self.rule(&names, &[ACTIONS, &["NOTIFY"]].concat())).collect::<Vec<_>>();
        let archs = self.architectures(native);
        let default = format!("SCMP_ACT_{}", self.pick(ACTIONS));
        from_json(json!({"defaultAction": default, "architectures": archs, "syscalls": rules}))
    }

    /// A profile that libseccomp compiles correctly. libseccomp makes mistakes with several conditions for a call; with
    /// several that order 64-bit values; with `socketcall` and `ipc` of x86, whose registers it takes for the arguments
    /// of the multiplexed call; and if x32 has none of the calls.
    pub(super) fn simple_profile(&mut self, native: Arch) -> LinuxSeccomp {
        let archs = self.architectures(native);
        let mut names = self.names(native);
        names.sort();
        names.dedup();
        names.retain(|name| !archs.contains(&"SCMP_ARCH_X32") || Abi::X32.number(name).is_some());
        let mut rules = Vec::new();
        for name in &names {
            let mut rule = self.rule(std::slice::from_ref(name), ACTIONS);
            rule["names"] = json!([name]);
            if let Some(args) = rule["args"].as_array_mut() {
                let orders = |op: &str| ["SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GE", "SCMP_CMP_GT"].contains(&op);
                args.retain(|arg| arg["op"].as_str().is_some_and(|op| !orders(op)));
                args.truncate(usize::from(Abi::X86.multiplexed(name).is_none()));
            }
            rules.push(rule);
        }
        let default = format!("SCMP_ACT_{}", self.pick(ACTIONS));
        from_json(json!({"defaultAction": default, "architectures": archs, "syscalls": rules}))
    }

    /// Some of the names that this architecture has.
    fn names(&mut self, native: Arch) -> Vec<String> {
        let all: Vec<&str> = match native {
            Arch::ScmpArchAarch64 => syscalls::aarch64::Sysno::iter().map(|call| call.name()).collect(),
            Arch::ScmpArchRiscv64 => syscalls::riscv64::Sysno::iter().map(|call| call.name()).collect(),
            _ => syscalls::x86_64::Sysno::iter().map(|call| call.name()).collect(),
        };
        let some = (0..4 + self.below(40)).map(|_| self.pick(&all).to_owned());
        some.filter(|name| name != "write").collect()
    }

    fn architectures(&mut self, native: Arch) -> Vec<&'static str> {
        let all: &[_] = match native {
            Arch::ScmpArchAarch64 => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
            Arch::ScmpArchRiscv64 => &["SCMP_ARCH_RISCV64"],
            _ => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        };
        all.iter().copied().filter(|_| self.below(3) > 0).collect()
    }

    pub(super) fn rule(&mut self, names: &[String], actions: &[&str]) -> Value {
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

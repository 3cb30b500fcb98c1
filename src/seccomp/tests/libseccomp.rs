//! The programs that libseccomp makes from the same profiles, if libseccomp and python3 are installed.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator};
use serde_json::{Value, json};

use super::interpreter::{Step, decode};
use super::{Abi, reading};

/// libseccomp in another process, which is killed when this is dropped: for some profiles it does not finish.
pub(super) struct LibSeccomp {
    process: Child,
    asks: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

/// The result of libseccomp for a profile.
pub(super) struct PeerFilter {
    pub(super) program: Vec<Step>,
    /// Names that libseccomp does not know for every architecture that has them.
    pub(super) unknown: Vec<String>,
    /// The CPU time in milliseconds.
    pub(super) took: f64,
}

impl LibSeccomp {
    /// Finds libseccomp. If it is not installed, prints the reason.
    pub(super) fn find() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/tests/libseccomp.py");
        let mut command = Command::new("timeout");
        command.args(["300", "python3", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut process) = command.spawn() else {
            println!("skipped: there is no timeout(1)");
            return None;
        };
        let (asks, says) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut says = BufReader::new(says).lines();
        let Some(Ok(version)) = says.next() else {
            println!("skipped: there is no python3 or no libseccomp.so.2");
            return None;
        };
        println!("{version}");
        Some(LibSeccomp { process, asks, says })
    }

    /// The program for a profile, made in the way of runc; or the error's text.
    pub(super) fn make(&mut self, profile: &LinuxSeccomp, abis: &[Abi]) -> Result<PeerFilter, String> {
        let line = request(profile, abis).to_string() + "\n";
        self.asks.write_all(line.as_bytes()).map_err(|_| "it has gone")?;
        let Some(Ok(answer)) = self.says.next() else { return Err("it is gone".to_owned()) };
        let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        let Some(code) = answer["program"].as_str() else { return Err(answer["error"].to_string()) };
        let word = |at: usize| u64::from_str_radix(&code[at..at + 16], 16).map(u64::from_be);
        let words: Vec<u64> = (0..code.len()).step_by(16).map(|at| word(at).unwrap()).collect();
        let numbers = answer["numbers"].as_object().unwrap();
        let unknown = numbers.iter().filter(|(name, numbers)| !agrees(name, numbers, abis));
        Ok(PeerFilter {
            program: decode(&words),
            unknown: unknown.map(|(name, _)| name.clone()).collect(),
            took: answer["seconds"].as_f64().unwrap_or_default() * 1000.0,
        })
    }
}

impl Drop for LibSeccomp {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether libseccomp has the same numbers for a name. A missing number is ignored, but a different one is wrong.
fn agrees(name: &str, numbers: &Value, abis: &[Abi]) -> bool {
    let numbers = numbers.as_array().into_iter().flatten().filter_map(Value::as_i64);
    abis.iter().zip(numbers).all(|(abi, theirs)| {
        let (ours, theirs) = (abi.number(name), u32::try_from(theirs).ok());
        let behind = abi.multiplexed(name).is_some();
        assert!(theirs.is_none() || ours == theirs, "{name} on {abi:?}: {ours:?}, and with libseccomp {theirs:?}");
        behind || ours == theirs
    })
}

fn request(profile: &LinuxSeccomp, abis: &[Abi]) -> Value {
    let archs: Vec<u32> =
        abis.iter().map(|abi| if *abi == Abi::X32 { 0x4000_003e } else { abi.audit_arch() }).collect();
    let mut rules = Vec::new();
    for rule in profile.syscalls().iter().flatten() {
        let action = rule.action().as_u32(rule.errno_ret());
        let conditions: Vec<Value> = reading::args(rule).iter().map(condition).collect();
        for name in rule.names() {
            if reading::repeats(rule) {
                rules.extend(conditions.iter().map(|condition| json!([action, name, [condition]])));
            } else {
                rules.push(json!([action, name, conditions]));
            }
        }
    }
    json!({"default": profile.default_action().as_u32(profile.default_errno_ret()), "archs": archs, "rules": rules})
}

/// `struct scmp_arg_cmp` of seccomp.h.
fn condition(arg: &LinuxSeccompArg) -> Value {
    let op = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => 1,
        LinuxSeccompOperator::ScmpCmpLt => 2,
        LinuxSeccompOperator::ScmpCmpLe => 3,
        LinuxSeccompOperator::ScmpCmpEq => 4,
        LinuxSeccompOperator::ScmpCmpGe => 5,
        LinuxSeccompOperator::ScmpCmpGt => 6,
        LinuxSeccompOperator::ScmpCmpMaskedEq => 7,
    };
    json!([arg.index(), op, arg.value(), arg.value_two().unwrap_or(0)])
}

//! The run of the attacks for `hack/escapes`: a line for each, and a status that says whether one has succeeded.

use super::verdict::Broken;
use super::{Attack, NOT_APPLICABLE, all};
use crate::harness::{Result, Skip};
use std::fmt::Write as _;
use std::process::ExitCode;

/// The filter of `ESCAPES`, if the variable asks for this run instead of the whole suite.
pub fn asked_for() -> Option<String> {
    std::env::var("ESCAPES").ok()
}

/// Runs the attacks whose test, vulnerability or runtime contains the filter. Lines begin with the verdict and the name
/// of the test; `hack/escapes --record` reads them. The filter `--table` prints the table of SECURITY.md.
pub fn run(filter: &str) -> ExitCode {
    if filter == "--table" {
        print!("{}", super::page::table());
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<&Attack> = all().filter(|attack| matches(attack, filter)).collect();
    println!("{:8} {:53} vulnerabilities", "verdict", "test");
    let (mut broken, mut unclear) = (0, 0);
    for attack in &chosen {
        let (verdict, reason) = judge(&(attack.test.run)());
        broken += u32::from(verdict == "BROKEN");
        unclear += u32::from(verdict == "unclear");
        println!("{verdict:8} {:53} {}", attack.test.function, ids(attack));
        if !reason.is_empty() {
            println!("         {}", reason.lines().next().unwrap_or_default());
        }
    }
    for known in NOT_APPLICABLE.iter().filter(|_| filter.is_empty()) {
        println!("-        {:53} not applicable: {}", known.concern.id, known.reason);
    }
    println!("{} attacks: {broken} succeeded, {unclear} could not be carried out", chosen.len());
    match (broken, unclear) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}

fn matches(attack: &Attack, filter: &str) -> bool {
    let ids = attack.concerns.iter().any(|concern| concern.id.contains(filter) || concern.runtime == filter);
    ids || attack.test.function.contains(filter)
}

/// The vulnerabilities, each with its runtimes.
pub fn ids(attack: &Attack) -> String {
    let mut text = String::new();
    for (index, concern) in attack.concerns.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{} ({} {})", concern.id, concern.runtime, concern.versions);
    }
    if text.is_empty() { "without a number".to_owned() } else { text }
}

fn judge(result: &Result) -> (&'static str, String) {
    match result {
        Ok(()) => ("held", String::new()),
        Err(error) if error.is::<Skip>() => ("skipped", format!("{error:#}")),
        Err(error) if error.is::<Broken>() => ("BROKEN", format!("{error:#}")),
        Err(error) => ("unclear", format!("{error:#}")),
    }
}

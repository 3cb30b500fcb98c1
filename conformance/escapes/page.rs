//! The table of vulnerabilities in `SECURITY.md`. `hack/escapes --table` makes it of the results that
//! `hack/escapes --record` has written.

use super::report::ids;
use super::{Attack, NOT_APPLICABLE, all};
use crate::harness::{Result, Test, equal};
use anyhow::{Context, ensure};
use std::fmt::Write as _;

pub const TESTS: &[Test] =
    &[Test { module: "escapes", function: "table_is_of_these_attacks", run: table_is_of_these_attacks }];

/// Lines `RUNTIME, TEST, VERDICT`, which tabs separate.
const RESULTS: &str = include_str!("results.tsv");

/// The runtimes with a column of their own.
const CURRENT: [&str; 3] = ["tare", "runc 1.3.6", "crun 1.28"];

const BEGIN: &str = "<!-- hack/escapes --table: begin -->\n";
const END: &str = "<!-- hack/escapes --table: end -->";

fn results() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    RESULTS.lines().filter_map(|line| {
        let (runtime, rest) = line.split_once('\t')?;
        let (test, verdict) = rest.split_once('\t')?;
        Some((runtime, test, verdict))
    })
}

/// The verdict of a runtime on an attack.
fn verdict(runtime: &str, attack: &Attack) -> &'static str {
    let of = |(by, test, _): &(&str, &str, &str)| *by == runtime && *test == attack.test.function;
    results().find(of).map_or("not run", |(_, _, verdict)| verdict)
}

/// The runtimes on which the attack has been seen to succeed.
fn seen_to_succeed(attack: &Attack) -> Option<String> {
    let broken = |(_, test, verdict): &(&str, &str, &str)| *test == attack.test.function && *verdict == "BROKEN";
    let names: Vec<&str> = results().filter(broken).map(|(runtime, ..)| runtime).collect();
    if names.is_empty() { None } else { Some(names.join("; ")) }
}

const HEAD: &str = "\
`hack/escapes` runs these attacks on any runtime. *held*: the effect did not appear. *BROKEN*: it did. *unclear*: the
runtime gave no answer that shows it. An attack that has never succeeded proves nothing, so each has been seen to succeed:
on the current peers, on runc 1.1.5 of Debian without the fix of CVE-2024-21626, on crun 1.8.1 or 1.21, or on a tare from
which a defence was removed for this purpose. runc and crun are those of Debian sid, in a virtual machine with cgroup v2.
An attack that succeeded on a machine with cgroup v1 counts, too.

";

/// The table, and the list of vulnerabilities that no attack stands for.
pub fn table() -> String {
    let [tare, runc, crun] = CURRENT;
    let mut text = HEAD.to_owned();
    let _ = write!(text, "| Vulnerability | Attack: the effect that must not appear | {tare} | {runc} | {crun} | ");
    text += "Seen to succeed on |\n|---|---|---|---|---|---|\n";
    for attack in all() {
        let (test, effect) = (attack.test.function, attack.effect);
        let [tare, runc, crun] = CURRENT.map(|runtime| verdict(runtime, attack));
        let seen = seen_to_succeed(attack).unwrap_or_else(|| "none yet".to_owned());
        let _ = writeln!(text, "| {} | `{test}`: {effect} | {tare} | {runc} | {crun} | {seen} |", ids(attack));
    }
    text += "\nNot applicable:\n\n";
    for known in &NOT_APPLICABLE {
        let (concern, reason) = (&known.concern, known.reason);
        let _ = writeln!(text, "- {} ({} {}): {reason}.", concern.id, concern.runtime, concern.versions);
    }
    text
}

/// The table in SECURITY.md names every attack of the suite and no other, and says what has been recorded.
fn table_is_of_these_attacks() -> Result {
    let page = include_str!("../../SECURITY.md");
    let rest = page.split_once(BEGIN).context("the begin of the table in SECURITY.md")?.1;
    let seen = rest.split_once(END).context("the end of the table in SECURITY.md")?.0;
    for (seen, wanted) in seen.lines().zip(table().lines()) {
        equal("a line of SECURITY.md; hack/escapes --table writes it anew", seen, wanted)?;
    }
    equal("lines of the table in SECURITY.md", seen.lines().count(), table().lines().count())?;
    for (runtime, test, _) in results() {
        ensure!(all().any(|attack| attack.test.function == test), "results.tsv: {runtime}: no attack {test}");
    }
    for attack in all() {
        ensure!(seen_to_succeed(attack).is_some(), "{} has never been seen to succeed", attack.test.function);
        let verdict = verdict(CURRENT[0], attack);
        ensure!(["held", "skipped"].contains(&verdict), "tare in {}: {verdict}", attack.test.function);
    }
    Ok(())
}

//! `ps`: the processes of a container.

use std::process::Command;

use anyhow::{Result, anyhow, bail};

use super::shared::{print, root};
use crate::cli::{Global, PsArgs};
use crate::sys::{self, Call};

pub fn run(global: &Global, args: &PsArgs) -> Result<()> {
    let (_, record) = root(global)?.load(&args.id)?;
    let mut pids: Vec<i32> = record.cgroup.pids()?.into_iter().map(nix::unistd::Pid::as_raw).collect();
    if record.cgroup.host_dirs().is_empty() && record.alive()? {
        pids.push(record.pid);
    }
    match args.format.as_deref().unwrap_or("table") {
        "json" if pids.is_empty() => print("null\n"),
        "json" => print(&(serde_json::to_string(&pids)? + "\n")),
        "table" => print(&table(&args.options_of_ps, &pids)?),
        other => bail!("invalid format option {other:?}: table or json"),
    }
}

/// The rows of the host's `ps` whose pid belongs to the container.
fn table(arguments: &[String], pids: &[i32]) -> Result<String> {
    let default = ["-ef".to_owned()];
    let mut command = Command::new("ps");
    let output = sys::process::output(command.args(if arguments.is_empty() { &default[..] } else { arguments }));
    let output = output.named("exec: \"ps\"")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("ps: {}: {}", output.status, words.trim().lines().next().unwrap_or_default());
    }
    rows(&String::from_utf8_lossy(&output.stdout), pids)
}

fn rows(text: &str, pids: &[i32]) -> Result<String> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|name| name == "PID");
    let column = column.ok_or_else(|| anyhow!("couldn't find PID field in ps output"))?;
    let mut kept = format!("{header}\n");
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|text| text.parse().ok());
        if pid.is_some_and(|pid: i32| pids.contains(&pid)) {
            kept += line;
            kept.push('\n');
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_container_s_rows() {
        let text = "UID  PID CMD\nroot 1 init\nroot 17 sh\n";
        assert_eq!(super::rows(text, &[17]).unwrap(), "UID  PID CMD\nroot 17 sh\n");
        assert!(super::rows("UID CMD\n", &[]).is_err());
    }
}

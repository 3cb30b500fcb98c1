//! Writes tare's man pages and shell completions into `man`, `bash`, `zsh` and `fish` below a directory, for
//! hack/install and hack/package.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result};
use clap::Command;
use clap_complete::{Generator, Shell, generate};
use tare::cli;

/// The section for system administration, like runc's.
const SECTION: &str = "8";

fn main() -> Result<()> {
    let dir = env::args_os().nth(1).context("usage: pages DIRECTORY")?;
    let dir = Path::new(&dir);
    let tree = cli::tree("tare");
    page(dir, &tree, "tare")?;
    for command in tree.get_subcommands() {
        page(dir, command, &format!("tare-{}", command.get_name()))?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        completion(dir, shell, tree.clone())?;
    }
    Ok(())
}

fn page(dir: &Path, command: &Command, name: &str) -> Result<()> {
    let mut text = Vec::new();
    let command = command.clone().name(name.to_owned()).version(cli::VERSION);
    clap_mangen::Man::new(command).section(SECTION).manual("tare").render(&mut text)?;
    write(&dir.join("man"), &format!("{name}.{SECTION}"), &text)
}

/// The file has the name that the shell looks for.
fn completion(dir: &Path, shell: Shell, mut tree: Command) -> Result<()> {
    let mut text = Vec::new();
    generate(shell, &mut tree, "tare", &mut text);
    let name = if shell == Shell::Bash { "tare".to_owned() } else { shell.file_name("tare") };
    write(&dir.join(shell.to_string()), &name, &text)
}

fn write(dir: &Path, name: &str, text: &[u8]) -> Result<()> {
    fs::create_dir_all(dir)?;
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| path.display().to_string())
}

//! `process.args` and `process.env`.

use oci_spec::runtime::Process;

use super::super::program::Program;
use crate::init::op::{self, List};
use crate::spec::Field;

/// The program of a process: its environment and the search for its file.
pub struct Launch<'a> {
    /// `process.args`.
    pub args: &'a [String],
    /// `process.env`.
    pub env: &'a [String],
    /// The user whose HOME is used if the environment has none.
    pub uid: u32,
}

impl<'a> Launch<'a> {
    /// The program of `process`, with the environment `env`.
    pub fn of(process: &'a Process, env: &'a [String]) -> Self {
        Launch { args: process.args().as_deref().unwrap_or_default(), env, uid: process.user().uid() }
    }

    /// Stores the environment. HOME is looked up before the process becomes the user: `/etc/passwd` of the container
    /// may be readable by root only.
    pub fn environment(&self, program: &mut Program) -> List {
        environment(program, self.env, Some(self.uid))
    }

    /// Appends the search for the program, with the rights of the user. Returns its arguments.
    pub fn find(&self, program: &mut Program) -> List {
        let field = Field::of("process.args[0]");
        let argv: Vec<_> = self.args.iter().map(|text| program.text(text)).collect();
        let argv = program.addresses(&argv, 0);
        let path = self.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
        let candidates: Vec<_> = candidates(&self.args[0], path).iter().map(|path| program.text(path)).collect();
        let candidates = program.texts(&candidates);
        program.push(&field, op::Process::Find { candidates });
        argv
    }
}

/// Stores an environment. If it has no HOME, it gets that of the user `home`.
pub fn environment(program: &mut Program, env: &[String], home: Option<u32>) -> List {
    let env = last_of_each(env);
    let texts: Vec<_> = env.iter().map(|text| program.text(text)).collect();
    let home = home.filter(|_| !env.iter().any(|entry| entry.starts_with("HOME=") && entry.len() > 5));
    let envp = program.addresses(&texts, usize::from(home.is_some()));
    if let Some(uid) = home {
        program.push(&Field::of("process.env"), op::Process::Home { uid, envp, slot: texts.len() as u32 });
    }
    envp
}

/// The paths at which execvp(3) looks for a program, but without its default PATH.
fn candidates(name: &str, path: Option<&str>) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let directories = path.unwrap_or_default().split(':').filter(|_| path.is_some());
    directories.map(|directory| format!("{}/{name}", if directory.is_empty() { "." } else { directory })).collect()
}

/// The last of several entries with the same name wins. An empty HOME counts as absent.
fn last_of_each(env: &[String]) -> Vec<&str> {
    let name = |entry: &str| entry.split_once('=').map_or(entry.len(), |(name, _)| name.len());
    let mut kept: Vec<&str> = Vec::with_capacity(env.len());
    for entry in env {
        let own = &entry[..name(entry)];
        match kept.iter_mut().find(|known| &known[..name(known)] == own) {
            Some(known) => *known = entry,
            None => kept.push(entry),
        }
    }
    kept.retain(|entry| *entry != "HOME=");
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_in_path() {
        assert_eq!(candidates("sh", Some("/bin::/x")), ["/bin/sh", "./sh", "/x/sh"]);
        assert_eq!(candidates("/bin/sh", Some("/x")), ["/bin/sh"]);
        assert!(candidates("sh", None).is_empty());
        assert!(candidates("", Some("/bin")).is_empty());
    }

    #[test]
    fn the_last_entry_wins() {
        let env = ["A=1", "B=2", "A=3", "HOME="].map(str::to_owned);
        assert_eq!(last_of_each(&env), ["A=3", "B=2"]);
    }
}

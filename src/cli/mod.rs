//! argv → [`Invocation`], nothing else.
//!
//! Engines speak the dialect of runc's Go parser: one dash is as good as two, a repeated option
//! replaces the earlier one, booleans take `=true`, options may follow positional arguments. The
//! words are brought into one form first ([`words`]), and then parsed by clap.

mod commands;
mod quantity;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

pub use commands::{COMMANDS, Verb};
pub use quantity::{bytes, duration};

/// Version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Options before the command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Global {
    /// The name that the program was called by: `tare`, or `runc` through a link.
    pub name: String,
    /// `--root`.
    pub root: Option<PathBuf>,
    /// `--log`.
    pub log: Option<PathBuf>,
    /// `--log-format json`.
    pub log_json: bool,
    /// `--debug`.
    pub debug: bool,
    /// `--systemd-cgroup`, or `--cgroup-manager=systemd`.
    pub systemd_cgroup: bool,
    /// `--cgroup-manager=disabled`.
    pub no_cgroup: bool,
    /// `--rootless`; `None` for `auto`.
    pub rootless: Option<bool>,
}

/// What the command line comes to.
#[derive(Debug)]
pub enum Parsed {
    /// Print this on standard output and be done.
    Text(String),
    /// Carry out a command.
    Run(Box<Invocation>),
    /// The words make no sense: print the usage on standard output, fail with the message.
    Usage {
        /// What was understood before it went wrong.
        global: Global,
        /// For standard output.
        help: String,
        /// The error.
        message: String,
        /// The exit status, which runc has of its own for a command that it does not know.
        status: u8,
    },
}

/// A command with its options and arguments.
#[derive(Debug)]
pub struct Invocation {
    /// Options before the command.
    pub global: Global,
    /// The command.
    pub verb: Verb,
    matches: ArgMatches,
    /// Positional arguments.
    pub arguments: Vec<String>,
}

impl Invocation {
    /// Is a boolean option set?
    pub fn flag(&self, name: &str) -> bool {
        self.flag_given(name).unwrap_or(false)
    }

    /// The value of a boolean option when it was given at all.
    pub fn flag_given(&self, name: &str) -> Option<bool> {
        self.matches.try_get_one::<bool>(name).ok().flatten().copied()
    }

    /// The last value of an option.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.matches.try_get_one::<String>(name).ok().flatten().map(String::as_str).filter(|text| !text.is_empty())
    }

    /// All values of an option that may be repeated.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let values = self.matches.try_get_many::<String>(name).ok().flatten();
        values.into_iter().flatten().map(String::as_str).collect()
    }

    /// A number.
    pub fn number(&self, name: &str) -> Result<Option<u32>> {
        let Some(text) = self.value(name) else { return Ok(None) };
        let number = text.parse().map_err(|_| anyhow!("invalid value \"{text}\" for flag -{name}: not a number"))?;
        Ok(Some(number))
    }

    /// The container id.
    pub fn id(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }
}

/// A boolean option, with `=true` and `=false` if somebody likes.
pub(crate) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(|text: &str| go_bool(text).ok_or("parse error"))
        .hide_possible_values(true)
        .value_name("BOOL")
        .help(help)
}

/// An option with a value.
pub(crate) fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).num_args(1).allow_hyphen_values(true).value_name(value).help(help)
}

/// An option that may be repeated.
pub(crate) fn list(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help).action(ArgAction::Append)
}

/// The spellings of Go's `strconv.ParseBool`.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn globals() -> [Arg; 7] {
    [
        switch("debug", "log more"),
        option("log", "FILE", "write the log to this file instead of standard error"),
        option("log-format", "FORMAT", "format of the log: text or json"),
        option("root", "DIR", "directory for the state of containers"),
        option("cgroup-manager", "MANAGER", "cgroupfs, systemd or disabled (no cgroup at all)"),
        switch("systemd-cgroup", "have cgroups made by systemd; cgroupsPath is SLICE:PREFIX:NAME"),
        option("rootless", "WHEN", "tolerate missing permission for cgroups: true, false or auto"),
    ]
}

const TEMPLATE: &str = "NAME:\n   {name} - {about}\n\nUSAGE:\n   {usage}\n\nOPTIONS:\n{options}{after-help}\n";

fn base(name: String) -> Command {
    Command::new(name)
        .help_template(TEMPLATE)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .disable_colored_help(true)
        .term_width(100)
}

fn top(name: &str) -> Command {
    base(name.to_owned())
        .about("Open Container Initiative runtime")
        .override_usage(format!("{name} [global options] command [command options] [arguments...]"))
        .args(globals())
        .arg(Arg::new("version").long("version").short('v').action(ArgAction::SetTrue).help("print the version"))
}

fn command_of(name: &str, row: &commands::Row) -> Command {
    let prefix = format!("{name} {}", row.name);
    base(prefix.clone())
        .about(row.about)
        .override_usage(format!("{prefix} [options] {}", row.arguments))
        .args((row.options)())
}

/// The whole command line as clap has it, for man pages and completions.
pub fn tree(name: &str) -> Command {
    top(name).subcommands(COMMANDS.iter().map(|row| {
        Command::new(row.name)
            .about(row.about)
            .override_usage(format!("{name} {} [options] {}", row.name, row.arguments))
            .args((row.options)())
            .disable_version_flag(true)
    }))
}

const UNKNOWN_COMMAND: u8 = 3;

/// Understand a command line.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Parsed {
    let mut argv = argv.into_iter();
    let called = argv.next().unwrap_or_default();
    let name =
        Path::new(&called).file_name().map_or_else(|| "tare".to_owned(), |name| name.to_string_lossy().into_owned());
    let top = top(&name);
    let mut global = Global { name: name.clone(), ..Global::default() };
    let fail = |global: &Global, help: String, message: String| Parsed::Usage {
        global: global.clone(),
        help,
        message,
        status: 1,
    };
    let rest: Vec<String> = match argv.map(OsString::into_string).collect() {
        Ok(words) => words,
        // The texts of config.json and state.json are UTF-8, and so are those that become part of them.
        Err(word) => return fail(&global, String::new(), format!("argument {word:?} is not UTF-8")),
    };
    let (own, rest) = words::split_globals(&rest, &top);
    let matches = match top.try_get_matches_from(std::iter::once(name.clone()).chain(own)) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return Parsed::Text(top_help(&name)),
        Err(error) => {
            let message = usage_error(&error);
            return fail(&global, format!("Incorrect Usage. {message}\n\n{}", top_help(&name)), message);
        }
    };
    if let Err(error) = fill(&mut global, &matches) {
        return fail(&global, String::new(), format!("{error:#}"));
    }
    if matches.get_flag("version") {
        return Parsed::Text(version(&name));
    }
    let (verb, words) = match rest.split_first() {
        Some((verb, words)) => (verb.as_str(), words),
        None => ("help", &[][..]),
    };
    let wants_help = matches!(verb, "help" | "h");
    let asked = if wants_help { words.first().map(String::as_str) } else { Some(verb) };
    let Some(asked) = asked else { return Parsed::Text(top_help(&name)) };
    match COMMANDS.iter().find(|row| row.name == asked) {
        None => Parsed::Usage {
            message: format!("No help topic for '{asked}'"),
            global,
            help: String::new(),
            status: UNKNOWN_COMMAND,
        },
        Some(row) if wants_help => Parsed::Text(help(&name, row)),
        Some(row) => parse_command(global, row, words),
    }
}

fn top_help(name: &str) -> String {
    let list: String = COMMANDS.iter().map(|row| format!("   {:<12}{}\n", row.name, row.about)).collect();
    top(name).after_help(format!("\nCOMMANDS:\n{list}")).render_help().to_string()
}

fn help(name: &str, row: &commands::Row) -> String {
    command_of(name, row).render_help().to_string()
}

fn parse_command(global: Global, row: &commands::Row, words: &[String]) -> Parsed {
    let command = command_of(&global.name, row);
    let (options, arguments) = words::separate(words, &command, row.stops);
    // Made only when somebody reads it: it costs as much as the rest of the command line.
    let help = |global: &Global| help(&global.name, row);
    let called = command.get_name().to_owned();
    let matches = match command.try_get_matches_from(std::iter::once(called).chain(options)) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return Parsed::Text(help(&global)),
        Err(error) => {
            let message = usage_error(&error);
            let help = format!("Incorrect Usage: {message}\n\n{}", help(&global));
            return Parsed::Usage { global, help, message, status: 1 };
        }
    };
    if let Err(error) = count(&global.name, row, arguments.len()) {
        let help = format!("Incorrect Usage.\n\n{}", help(&global));
        return Parsed::Usage { global, help, message: error.to_string(), status: 1 };
    }
    Parsed::Run(Box::new(Invocation { global, verb: row.verb, matches, arguments }))
}

fn count(program: &str, row: &commands::Row, given: usize) -> Result<()> {
    let (least, most, name) = (row.least, row.most, row.name);
    match (given < least, most.is_some_and(|most| given > most)) {
        (true, _) | (_, true) if most == Some(least) => {
            bail!("{program}: \"{name}\" requires exactly {least} argument(s)")
        }
        (true, _) => bail!("{program}: \"{name}\" requires a minimum of {least} argument(s)"),
        (_, true) => bail!("{program}: \"{name}\" requires a maximum of {} argument(s)", most.unwrap_or_default()),
        _ => Ok(()),
    }
}

/// clap's errors in the words that engines look for.
fn usage_error(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => {
            text.split(['=', ' ']).next().unwrap_or_default().trim_start_matches('-').to_owned()
        }
        _ => String::new(),
    };
    let name = context(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument => format!("flag provided but not defined: -{name}"),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues
            if context(ContextKind::InvalidValue).is_empty() =>
        {
            format!("flag needs an argument: -{name}")
        }
        ErrorKind::ValueValidation => match error.get(ContextKind::InvalidValue) {
            Some(value) => format!("invalid boolean value \"{value}\" for -{name}: parse error"),
            None => format!("invalid boolean value for -{name}: parse error"),
        },
        _ => {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    }
}

fn fill(global: &mut Global, matches: &ArgMatches) -> Result<()> {
    let text = |name: &str| matches.get_one::<String>(name).filter(|text| !text.is_empty());
    global.debug = matches.get_one("debug").copied().unwrap_or(false);
    global.systemd_cgroup = matches.get_one("systemd-cgroup").copied().unwrap_or(false);
    match text("cgroup-manager").map(String::as_str) {
        None | Some("cgroupfs") => {}
        Some("systemd") => global.systemd_cgroup = true,
        Some("disabled") if global.systemd_cgroup => bail!("--cgroup-manager=disabled contradicts --systemd-cgroup"),
        Some("disabled") => global.no_cgroup = true,
        Some(other) => bail!("invalid cgroup-manager: {other}"),
    }
    global.log = text("log").map(PathBuf::from);
    global.log_json = match text("log-format").map(String::as_str) {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => bail!("invalid log-format: {other}"),
    };
    global.rootless = match text("rootless").map(String::as_str) {
        None | Some("auto") => None,
        Some(other) => Some(go_bool(other).ok_or_else(|| anyhow!("invalid value {other:?} for flag -rootless"))?),
    };
    if let Some(root) = text("root") {
        let root = std::path::absolute(root)?;
        if root == Path::new("/") {
            bail!("Option --root argument should not be set to /");
        }
        global.root = Some(root);
    }
    Ok(())
}

/// What `--version` prints; engines parse it by its prefixes.
pub fn version(name: &str) -> String {
    let commit = option_env!("TARE_COMMIT").unwrap_or("unknown");
    format!("{name} version {VERSION}\ncommit: {commit}\nspec: {}\n", crate::spec::OCI_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Invocation {
        match parse(line.split(' ').map(OsString::from)) {
            Parsed::Run(invocation) => *invocation,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn usage(line: &str) -> String {
        match parse(line.split(' ').map(OsString::from)) {
            Parsed::Usage { message, .. } => message,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_last_value_of_a_repeated_option_wins() {
        let it =
            run("runc --root=/a --systemd-cgroup --root /b --systemd-cgroup create -b /x --bundle=/y -pid-file /p id");
        assert_eq!(it.global.root.as_deref(), Some(Path::new("/b")));
        assert_eq!(it.value("bundle"), Some("/y"));
        assert_eq!(it.value("pid-file"), Some("/p"));
        assert_eq!((it.id(), it.global.name.as_str()), ("id", "runc"));
    }

    #[test]
    fn one_dash_and_booleans_with_values() {
        assert!(run("runc run -no-subreaper -detach=true id").flag("no-subreaper"));
        assert!(!run("runc run --detach=false id").flag("detach"));
    }

    #[test]
    fn options_may_follow_arguments_unless_the_arguments_are_a_command() {
        assert!(run("runc delete id --force").flag("force"));
        assert!(run("runc kill id KILL -a").flag("all"));
        let exec = run("runc exec --cwd / -e A=1 -env B=2 id ls -l --color");
        assert_eq!(exec.arguments, ["id", "ls", "-l", "--color"]);
        assert_eq!(exec.values("env"), ["A=1", "B=2"]);
        assert_eq!(run("runc ps id -ef").arguments, ["id", "-ef"]);
    }

    #[test]
    fn mistakes_in_the_words_of_runc() {
        assert_eq!(usage("runc create --nope id"), "flag provided but not defined: -nope");
        assert_eq!(usage("runc create id --bundle"), "flag needs an argument: -bundle");
        assert_eq!(usage("runc start"), "runc: \"start\" requires exactly 1 argument(s)");
        assert_eq!(usage("runc start a b"), "runc: \"start\" requires exactly 1 argument(s)");
        assert_eq!(usage("runc exec"), "runc: \"exec\" requires a minimum of 1 argument(s)");
        assert_eq!(usage("runc --root / list"), "Option --root argument should not be set to /");
        assert_eq!(usage("runc --log-format xml list"), "invalid log-format: xml");
        assert_eq!(usage("runc foo -h"), "No help topic for 'foo'");
    }

    #[test]
    fn other_bytes_than_utf8_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        match parse(["tare".into(), "state".into(), OsString::from_vec(b"caf\xe9".into())]) {
            Parsed::Usage { message, .. } => assert_eq!(message, "argument \"caf\\xE9\" is not UTF-8"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tare_takes_the_bundle_as_an_argument() {
        assert_eq!(run("tare create id bundle").arguments, ["id", "bundle"]);
    }

    #[test]
    fn help_begins_as_runc_does() {
        for line in ["runc --help", "runc", "runc create -h", "runc help create"] {
            match parse(line.split(' ').map(OsString::from)) {
                Parsed::Text(text) => assert!(text.starts_with("NAME:\n   runc"), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

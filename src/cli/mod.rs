//! Parses the command line into an [`Invocation`], and does nothing else.
//!
//! Engines use the syntax of runc's Go parser: one dash equals two, a repeated option replaces the earlier one,
//! booleans take `=true`, options may follow positional arguments. [`words`] brings the words into one form, and clap
//! parses them.

mod commands;
mod global;
#[cfg(feature = "image")]
mod image;
mod option;
mod quantity;
mod words;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, bail};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};

use commands::{COMMANDS, FREE, Row};
use global::GlobalArgs;
use option::{Line, Takes};

pub use commands::{
    CheckpointArgs, CreateArgs, CriuArgs, DeleteArgs, EventsArgs, ExecArgs, IdArgs, KillArgs, Limits, ListArgs,
    MountsArgs, PlanArgs, PsArgs, RestoreArgs, RunArgs, SetupArgs, SpecArgs, UpdateArgs, Verb,
};
pub use global::Global;
#[cfg(feature = "image")]
pub use image::{DiffArgs, ImageArgs, PackArgs, PruneArgs, UnpackArgs};
pub use option::Number;
pub use quantity::{bytes, duration};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The result of parsing a command line.
#[derive(Debug)]
pub enum Parsed {
    /// Print this text on standard output, and exit with 0.
    Text(String),
    /// Run a command.
    Run(Box<Invocation>),
    /// The command line is wrong: print the usage on standard output, fail with the message.
    Usage {
        /// The options before the mistake.
        global: Global,
        /// The text for standard output.
        help: String,
        /// The error message.
        message: String,
        /// The exit status. runc uses a status of its own for an unknown command.
        status: u8,
    },
}

/// A command, and the options before it.
#[derive(Debug)]
pub struct Invocation {
    /// The options before the command.
    pub global: Global,
    /// The command with its arguments and options.
    pub verb: Verb,
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
        .args(GlobalArgs::options())
}

fn command_of(name: &str, row: &Row) -> Command {
    let prefix = format!("{name} {}", row.name);
    base(prefix.clone())
        .about(row.about)
        .override_usage(format!("{prefix} [options] {}", row.usage))
        .args((row.options)())
}

/// The whole command line as a clap command, for man pages and completions.
pub fn tree(name: &str) -> Command {
    top(name).subcommands(COMMANDS.iter().map(|row| {
        Command::new(row.name)
            .about(row.about)
            .override_usage(format!("{name} {} [options] {}", row.name, row.usage))
            .args((row.options)())
            .disable_version_flag(true)
    }))
}

const UNKNOWN_COMMAND: u8 = 3;

/// Parses a command line.
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
        // config.json and state.json are UTF-8, and so must be the arguments that become part of them.
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
    let args = GlobalArgs::take(&mut line(matches, Vec::new()));
    let wants_version = args.version;
    if let Err(error) = global.set(args) {
        return fail(&global, String::new(), format!("{error:#}"));
    }
    if wants_version {
        return Parsed::Text(version(&name));
    }
    dispatch(global, &rest)
}

/// Parses the words from the command on.
fn dispatch(global: Global, rest: &[String]) -> Parsed {
    let name = global.name.clone();
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

fn help(name: &str, row: &Row) -> String {
    command_of(name, row).render_help().to_string()
}

fn parse_command(global: Global, row: &Row, words: &[String]) -> Parsed {
    let command = command_of(&global.name, row);
    let (options, mut arguments) = words::separate(words, &command, row.placement());
    let before = words.split(|word| word == "--").next().filter(|before| before.len() < words.len());
    let no_id = before.is_some_and(|before| words::separate(before, &command, row.placement()).1.is_empty());
    // Formatting the help costs as much as parsing the rest of the command line, so it is done only if it is printed.
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
    let free = matches!(matches.try_contains_id(FREE), Ok(true));
    if free && no_id {
        // `run --image IMAGE -- COMMAND`: an empty id is one that tare makes.
        arguments.insert(0, String::new());
    }
    if let Err(error) = if free { Ok(()) } else { count(&global.name, row, arguments.len()) } {
        let help = format!("Incorrect Usage.\n\n{}", help(&global));
        return Parsed::Usage { global, help, message: error.to_string(), status: 1 };
    }
    Parsed::Run(Box::new(Invocation { global, verb: (row.take)(line(matches, arguments)) }))
}

fn line(options: ArgMatches, arguments: Vec<String>) -> Line {
    Line { options, arguments: arguments.into_iter() }
}

fn count(program: &str, row: &Row, given: usize) -> Result<()> {
    let (least, most, name) = (row.arguments.least, row.arguments.most, row.name);
    match (given < least, most.is_some_and(|most| given > most)) {
        (true, _) | (_, true) if most == Some(least) => {
            bail!("{program}: \"{name}\" requires exactly {least} argument(s)")
        }
        (true, _) => bail!("{program}: \"{name}\" requires a minimum of {least} argument(s)"),
        (_, true) => bail!("{program}: \"{name}\" requires a maximum of {} argument(s)", most.unwrap_or_default()),
        _ => Ok(()),
    }
}

/// Translates clap's errors into the messages that engines match.
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

/// The output of `--version`. Engines parse the prefixes of its lines.
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
        assert_eq!(it.global.name, "runc");
        let Verb::Create(it) = it.verb else { panic!("{it:?}") };
        assert_eq!(it.bundle.as_deref(), Some(Path::new("/y")));
        assert_eq!(it.pid_file.as_deref(), Some(Path::new("/p")));
        assert_eq!(it.id, "id");
    }

    /// The arguments of a command.
    macro_rules! args {
        ($verb:ident, $line:literal) => {
            match run($line).verb {
                Verb::$verb(args) => args,
                other => panic!("{other:?}"),
            }
        };
    }

    #[test]
    fn one_dash_and_booleans_with_values() {
        assert!(args!(Run, "runc run -no-subreaper -detach=true id").no_subreaper);
        assert!(!args!(Run, "runc run --detach=false id").detach);
        assert_eq!(args!(Exec, "runc exec --no-new-privs=false id true").no_new_privs, Some(false));
    }

    #[test]
    fn options_may_follow_arguments_unless_the_arguments_are_a_command() {
        assert!(args!(Delete, "runc delete id --force").force);
        let kill = args!(Kill, "runc kill id KILL -a");
        assert_eq!((kill.all, kill.signal.as_deref()), (true, Some("KILL")));
        let exec = args!(Exec, "runc exec --cwd / -e A=1 -env B=2 id ls -l --color");
        assert_eq!((exec.id.as_str(), exec.command), ("id", ["ls", "-l", "--color"].map(str::to_owned).to_vec()));
        assert_eq!(exec.env, ["A=1", "B=2"]);
        assert_eq!(args!(Ps, "runc ps id -ef").options_of_ps, ["-ef"]);
    }

    #[test]
    fn an_empty_value_is_none() {
        let create = args!(Create, "runc create --bundle= --preserve-fds= id");
        assert_eq!((create.bundle, create.preserve_fds.get().unwrap()), (None, None));
    }

    #[test]
    fn a_number_is_refused_by_its_option() {
        let create = args!(Create, "runc create --preserve-fds many id");
        let error = create.preserve_fds.get().unwrap_err();
        assert_eq!(error.to_string(), "invalid value \"many\" for flag -preserve-fds: not a number");
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
        assert_eq!(args!(Create, "tare create id bundle").bundle_argument.as_deref(), Some(Path::new("bundle")));
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

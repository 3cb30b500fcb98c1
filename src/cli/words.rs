//! Brings the words of a command line into the form that clap takes: `--name=value`, with the arguments apart.

use clap::Command;

/// The form of an option.
enum OptionForm {
    /// No value, or one behind `=`.
    Switch(String),
    /// A value, behind `=` or in the next word.
    Value(String),
    /// An unknown option, which clap reports.
    Unknown,
}

fn shape(name: &str, command: &Command) -> OptionForm {
    for arg in command.get_arguments() {
        let long = arg.get_long() == Some(name);
        let short = name.chars().count() == 1 && arg.get_short() == name.chars().next();
        if long || short {
            let full = arg.get_long().map_or_else(|| name.to_owned(), str::to_owned);
            let takes = arg.get_num_args().is_some_and(|range| range.min_values() > 0);
            return if takes { OptionForm::Value(full) } else { OptionForm::Switch(full) };
        }
    }
    if matches!(name, "h" | "help") { OptionForm::Switch("help".to_owned()) } else { OptionForm::Unknown }
}

/// The options with their values, up to the first word that is not an option; and the remaining words.
pub fn split_globals(words: &[String], command: &Command) -> (Vec<String>, Vec<String>) {
    let mut options = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.as_slice().first() {
        if !is_option(word) {
            break;
        }
        words.next();
        take(word, &mut words, command, &mut options);
    }
    (options, words.as_slice().to_vec())
}

/// The positions in which options may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Before, between and after the arguments.
    Anywhere,
    /// Before the first argument only: the words after it are another program's command line.
    First,
}

/// The options of a command, and its arguments.
pub fn separate(words: &[String], command: &Command, placement: Placement) -> (Vec<String>, Vec<String>) {
    let (mut options, mut arguments) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            arguments.extend(words.cloned());
            break;
        }
        if is_option(word) {
            take(word, &mut words, command, &mut options);
            continue;
        }
        arguments.push(word.clone());
        if placement == Placement::First {
            let rest = words.as_slice();
            let rest = if rest.first().is_some_and(|word| word == "--") { &rest[1..] } else { rest };
            arguments.extend(rest.iter().cloned());
            break;
        }
    }
    (options, arguments)
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word != "--"
}

fn take<'a>(word: &str, rest: &mut impl Iterator<Item = &'a String>, command: &Command, options: &mut Vec<String>) {
    let bare = word.strip_prefix("--").unwrap_or(&word[1..]);
    let (name, value) = match bare.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (bare, None),
    };
    options.push(match (shape(name, command), value) {
        (OptionForm::Value(name) | OptionForm::Switch(name), Some(value)) => format!("--{name}={value}"),
        (OptionForm::Switch(name), None) => format!("--{name}"),
        (OptionForm::Value(name), None) => match rest.next() {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        },
        (OptionForm::Unknown, _) => format!("--{bare}"),
    });
}

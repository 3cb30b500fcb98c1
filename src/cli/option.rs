//! Options and arguments with types. A command is a struct; one description of its fields makes the parser, the help,
//! the man page, the completions and the struct itself.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;
use std::vec::IntoIter;

use anyhow::{Result, anyhow};
use clap::{Arg, ArgAction, ArgMatches};

/// The arguments and options of a command, or a part of them that several commands share.
pub trait Takes: Sized {
    const ARGUMENTS: Count;

    /// The options for clap, in the order of the help.
    fn options() -> Vec<Arg>;

    /// Takes the fields out of a command line that clap has accepted.
    fn take(line: &mut Line) -> Self;
}

/// A command line whose options clap has parsed.
pub struct Line {
    pub options: ArgMatches,
    pub arguments: IntoIter<String>,
}

/// The number of arguments that a command takes.
#[derive(Clone, Copy)]
pub struct Count {
    pub least: usize,
    /// The maximum; `None` for no limit.
    pub most: Option<usize>,
}

impl Count {
    pub const NONE: Count = Count { least: 0, most: Some(0) };

    pub const fn plus(self, other: Count) -> Count {
        let most = match (self.most, other.most) {
            (Some(one), Some(other)) => Some(one + other),
            _ => None,
        };
        Count { least: self.least + other.least, most }
    }
}

/// A positional argument, by the type of its field.
pub trait Argument {
    const COUNT: Count;

    fn take(words: &mut IntoIter<String>) -> Self;
}

/// The parser has checked the number of arguments, so the argument exists.
impl Argument for String {
    const COUNT: Count = Count { least: 1, most: Some(1) };

    fn take(words: &mut IntoIter<String>) -> Self {
        words.next().unwrap_or_default()
    }
}

impl<T: From<String>> Argument for Option<T> {
    const COUNT: Count = Count { least: 0, most: Some(1) };

    fn take(words: &mut IntoIter<String>) -> Self {
        words.next().map(T::from)
    }
}

/// All remaining arguments. They are another program's command line, so no options of ours follow.
impl Argument for Vec<String> {
    const COUNT: Count = Count { least: 0, most: None };

    fn take(words: &mut IntoIter<String>) -> Self {
        words.collect()
    }
}

/// An option whose field has the type `T`.
pub struct Opt<T> {
    arg: Arg,
    field: PhantomData<T>,
}

impl<T> Opt<T> {
    pub fn new(arg: Arg) -> Self {
        Opt { arg, field: PhantomData }
    }

    /// Adds a short form.
    pub fn short(self, letter: char) -> Self {
        Opt::new(self.arg.short(letter))
    }

    /// The option for clap, which identifies it by the name of the field.
    pub fn of(self, field: &'static str) -> Arg {
        self.arg.id(field)
    }
}

/// A boolean option, which takes `=true` and `=false`, too.
pub fn switch<T: Flag>(name: &'static str, help: &'static str) -> Opt<T> {
    let arg = Arg::new(name)
        .long(name)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(|text: &str| go_bool(text).ok_or("parse error"))
        .hide_possible_values(true)
        .value_name("BOOL")
        .help(help);
    Opt::new(arg)
}

/// An option with a value. If it is repeated, the last value counts.
pub fn option<T: Single>(name: &'static str, value: &'static str, help: &'static str) -> Opt<T> {
    Opt::new(with_value(name, value, help))
}

/// An option that may be repeated; all values count.
pub fn list(name: &'static str, value: &'static str, help: &'static str) -> Opt<Vec<String>> {
    Opt::new(with_value(name, value, help).action(ArgAction::Append))
}

/// An option with a value, for clap.
pub fn with_value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).num_args(1).allow_hyphen_values(true).value_name(value).help(help)
}

/// Parses the spellings of Go's `strconv.ParseBool`.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The types of a boolean option's field. With `Option<bool>`, a command can tell an absent option from `=false`.
pub trait Flag {}

impl Flag for bool {}
impl Flag for Option<bool> {}

/// The types of the field of an option with one value. An empty value counts as absent.
pub trait Single {}

impl<T: From<String>> Single for Option<T> {}
impl<T> Single for Number<T> {}

/// The type of an option's field.
///
/// The functions are not inlined, to save code size: each command calls them for each of its options.
pub trait OptionValue {
    fn take(options: &ArgMatches, field: &'static str) -> Self;
}

impl OptionValue for bool {
    fn take(options: &ArgMatches, field: &'static str) -> Self {
        <Option<bool> as OptionValue>::take(options, field).unwrap_or(false)
    }
}

impl OptionValue for Option<bool> {
    #[inline(never)]
    fn take(options: &ArgMatches, field: &'static str) -> Self {
        options.get_one(field).copied()
    }
}

impl OptionValue for Option<String> {
    #[inline(never)]
    fn take(options: &ArgMatches, field: &'static str) -> Self {
        options.get_one(field).filter(|text: &&String| !text.is_empty()).cloned()
    }
}

impl OptionValue for Option<PathBuf> {
    fn take(options: &ArgMatches, field: &'static str) -> Self {
        <Option<String> as OptionValue>::take(options, field).map(PathBuf::from)
    }
}

impl OptionValue for Vec<String> {
    #[inline(never)]
    fn take(options: &ArgMatches, field: &'static str) -> Self {
        options.get_many(field).into_iter().flatten().cloned().collect()
    }
}

impl<T> OptionValue for Number<T> {
    fn take(options: &ArgMatches, field: &'static str) -> Self {
        Number { field, text: OptionValue::take(options, field), number: PhantomData }
    }
}

/// The value of an option that takes a number. The command parses it after its own checks: runc, too, reports a wrong
/// number after an error about the container.
#[derive(Clone, Debug)]
pub struct Number<T> {
    field: &'static str,
    text: Option<String>,
    number: PhantomData<T>,
}

impl<T> Default for Number<T> {
    fn default() -> Self {
        Number { field: "", text: None, number: PhantomData }
    }
}

impl<T: FromStr> Number<T> {
    /// The number, if the option was given.
    ///
    /// # Errors
    /// A text that is not a number, or a number that `T` cannot hold.
    pub fn get(&self) -> Result<Option<T>> {
        let Some(text) = &self.text else { return Ok(None) };
        let name = self.field.replace('_', "-");
        let number = text.parse().map_err(|_| anyhow!("invalid value \"{text}\" for flag -{name}: not a number"))?;
        Ok(Some(number))
    }
}

/// Makes a struct from what a command takes: arguments in parentheses, then shared parts, then options.
macro_rules! takes {
    (
        $(#[$doc:meta])*
        $name:ident ($($argument:ident: $argument_type:ty),*) {
            $(..$part:ident: $part_type:ty,)*
            $($option:ident: $option_type:ty = $description:expr,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs, reason = "the help of an option says what its field is")]
        pub struct $name {
            $(pub $part: $part_type,)*
            $(pub $argument: $argument_type,)*
            $(pub $option: $option_type,)*
        }

        impl $crate::cli::option::Takes for $name {
            const ARGUMENTS: $crate::cli::option::Count = $crate::cli::option::Count::NONE
                $(.plus(<$part_type as $crate::cli::option::Takes>::ARGUMENTS))*
                $(.plus(<$argument_type as $crate::cli::option::Argument>::COUNT))*;

            fn options() -> Vec<clap::Arg> {
                let parts: &[fn() -> Vec<clap::Arg>] = &[$(<$part_type as $crate::cli::option::Takes>::options),*];
                let own = [$($crate::cli::option::Opt::<$option_type>::of($description, stringify!($option))),*];
                parts.iter().flat_map(|options| options()).chain(own).collect()
            }

            #[allow(unused_variables, reason = "some commands take nothing")]
            fn take(line: &mut $crate::cli::option::Line) -> Self {
                $name {
                    $($part: $crate::cli::option::Takes::take(line),)*
                    $($argument: $crate::cli::option::Argument::take(&mut line.arguments),)*
                    $($option: $crate::cli::option::OptionValue::take(&line.options, stringify!($option)),)*
                }
            }
        }
    };
}

pub(super) use takes;

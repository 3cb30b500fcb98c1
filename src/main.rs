//! The program: parse the command line, run one command, print one error.

#![no_main]

use std::ffi::{OsString, c_int};

use tare::cli::{Global, Parsed, parse};
use tare::command::{self, Failure, Log};
use tare::sys;
use tare::sys::entry::Arguments;

#[global_allocator]
static HEAP: sys::heap::Heap = sys::heap::Heap::new();

/// The C library calls this function directly. [`sys::entry`] says why the standard library's entry is not used.
/// Without that entry `std::env::args_os` is empty with musl.
// SAFETY: no other function has this name, and the signature is that of the C standard.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, arguments: Arguments) -> c_int {
    let status = match sys::entry::begin() {
        Ok(()) => run(arguments.to_vec()),
        Err(errno) => {
            Log::standard_error(&Global::default()).error(&format!("cannot begin: {}", sys::reason(errno)));
            1
        }
    };
    // Not a plain return: `exit` flushes standard output.
    std::process::exit(status)
}

fn run(arguments: Vec<OsString>) -> i32 {
    match parse(arguments) {
        Parsed::Text(text) => with_log(&Global::default(), |_| Ok(command::print(&text).map(|()| 0)?)),
        Parsed::Usage { global, help, message, status } => {
            // The command fails in any case, and the message names the mistake.
            let _ = command::print(&help);
            with_log(&global, |_| Err(Failure { message, status }))
        }
        Parsed::Run(invocation) => with_log(&invocation.global, |log| command::run(&invocation, log)),
    }
}

fn with_log(global: &Global, run: impl FnOnce(&Log) -> Result<i32, Failure>) -> i32 {
    let (log, result) = match Log::open(global) {
        Ok(log) => {
            let result = run(&log);
            (log, result)
        }
        Err(error) => (Log::standard_error(global), Err(error.into())),
    };
    match result {
        Ok(status) => status,
        Err(failure) => {
            log.error(&failure.message);
            i32::from(failure.status)
        }
    }
}

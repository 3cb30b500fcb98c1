//! The program: understand the command line, run one command, print one error.

use std::process::ExitCode;

use tare::cli::{Global, Parsed, parse};
use tare::command::{self, Failure, Log};

fn main() -> ExitCode {
    match parse(std::env::args_os()) {
        Parsed::Text(text) => {
            command::print(&text);
            ExitCode::SUCCESS
        }
        Parsed::Usage { global, help, message, status } => {
            command::print(&help);
            with_log(&global, |_| Err(Failure { message, status }))
        }
        Parsed::Run(invocation) => with_log(&invocation.global, |log| command::run(&invocation, log)),
    }
}

fn with_log(global: &Global, run: impl FnOnce(&Log) -> Result<i32, Failure>) -> ExitCode {
    let (log, result) = match Log::open(global) {
        Ok(log) => {
            let result = run(&log);
            (log, result)
        }
        Err(error) => (Log::standard_error(global), Err(error.into())),
    };
    match result {
        Ok(status) => ExitCode::from(status as u8),
        Err(failure) => {
            log.error(&failure.message);
            ExitCode::from(failure.status)
        }
    }
}

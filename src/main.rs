//! The program: understand the command line, run one command, print one error.

use std::process::ExitCode;

use tare::cli::{Parsed, parse};
use tare::command::{self, Log};

fn main() -> ExitCode {
    match parse(std::env::args_os()) {
        Parsed::Text(text) => {
            command::print(&text);
            ExitCode::SUCCESS
        }
        Parsed::Usage { global, help, message } => {
            command::print(&help);
            Log::new(&global).error(&message);
            ExitCode::FAILURE
        }
        Parsed::Run(invocation) => {
            let log = Log::new(&invocation.global);
            match command::run(&invocation, &log) {
                Ok(status) => ExitCode::from(status as u8),
                Err(failure) => {
                    log.error(&failure.message);
                    ExitCode::from(failure.status)
                }
            }
        }
    }
}

//! `process.terminal`.

use anyhow::Result;
use oci_spec::runtime::Process;

use super::super::program::Program;
use crate::init::op;
use crate::spec::{Field, refusal};

/// Opens the terminal. With `console`, which takes a mount namespace, it is also bound over `/dev/console`.
pub fn terminal(program: &mut Program, process: &Process, console: bool) -> Result<()> {
    if process.terminal() != Some(true) {
        return Ok(());
    }
    let cells = |name: &str, number: u64| {
        u16::try_from(number)
            .map_err(|_| refusal!(Field::of("process.consoleSize").member(name), "{number} is more than 65535"))
    };
    let (rows, columns) = match process.console_size() {
        Some(size) => (cells("height", size.height())?, cells("width", size.width())?),
        None => (0, 0),
    };
    program.push(&Field::of("process.terminal"), op::Talk::Terminal { rows, columns, console });
    Ok(())
}

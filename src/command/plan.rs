//! `plan`: show what a bundle would do. Needs no privileges and touches nothing.

use anyhow::Result;

use super::{bundle, config, options, print};
use crate::cli::Invocation;
use crate::host::Host;
use crate::plan::{self, compile};
use crate::spec;

/// The command.
pub fn run(invocation: &Invocation) -> Result<()> {
    let host = Host::read();
    let bundle = bundle(invocation)?;
    let config = spec::read(&config(invocation, &bundle)?)?;
    let (spec, extras) = spec::parse(&config)?;
    let name = bundle.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut options = options(invocation, &host, bundle, true)?;
    options.id = invocation.value("id").map_or(name, str::to_owned);
    let plan = compile(&spec, &extras, &host, &options)?;
    let mut text = plan::print(&plan);
    for property in spec::unknown_properties(&config, &spec)? {
        text += &format!("# ignored: unknown property {property}\n");
    }
    print(&text)
}

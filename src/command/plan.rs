//! `plan`: print what the runtime would do with a bundle. It needs no privileges and changes nothing.

use anyhow::Result;

use super::shared::{Begin, bundle, config, options, print};
use crate::cli::{CreateArgs, Global, PlanArgs};
use crate::host::Host;
use crate::plan::{self, compile};
use crate::spec;

pub fn run(global: &Global, args: &PlanArgs) -> Result<()> {
    let host = Host::read();
    let bundle = bundle(args.bundle.as_deref(), args.bundle_argument.as_deref())?;
    let text = spec::read(&config(args.config.as_deref())?.unwrap_or_else(|| bundle.join("config.json")))?;
    let config = spec::parse(&text)?;
    let name = bundle.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let create = CreateArgs {
        id: args.id.clone().unwrap_or(name),
        config: args.config.clone(),
        layer: args.layer.clone(),
        upper: args.upper.clone(),
        ..CreateArgs::default()
    };
    let options = options(global, &create, &host, bundle, Begin::AtStart)?;
    let plan = compile(&config, &host.facts(&config, &options)?, &options)?;
    let mut lines = plan::print(&plan);
    for property in spec::unknown_properties(&text, &config)? {
        lines += &format!("# ignored: unknown property {property}\n");
    }
    print(&lines)
}

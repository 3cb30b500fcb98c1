//! `pack`: the layers of a container as an image.

use anyhow::Result;

use super::diff::stack;
use super::log::Log;
use super::shared::{print, tell};
use crate::cli::{Global, PackArgs};
use crate::host::Host;
use crate::image::{PackTarget, pack};

pub fn run(global: &Global, args: &PackArgs, log: &Log) -> Result<()> {
    let destination = PackTarget::parse(&args.image)?;
    let stack = stack(global, &args.place)?;
    let caller = Host::read().caller;
    stack.enter(&caller)?;
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let packed = pack(&stack, &stack.shift(&caller)?, &destination, epoch.as_deref())?;
    tell(log, packed.warnings);
    print(&format!("{}\n", packed.manifest))
}

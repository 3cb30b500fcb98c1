//! `unpack`: make a bundle from an image.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::log::Log;
use super::shared::tell;
use super::spec::{rootless, template};
use crate::cgroup::Layout;
use crate::cli::{Global, ImageArgs, UnpackArgs, bytes};
use crate::host::Host;
use crate::image::ImageLimits;
use crate::image::bundle::{self, BundleOrder};
use crate::image::name::ImageName;
use crate::image::platform::Platform;

pub fn run(global: &Global, args: &UnpackArgs, log: &Log) -> Result<()> {
    let mode = Layout::read()?.mode();
    let caller = Host::read().caller;
    let config = |of_user: bool| -> Value {
        let config = template(&global.name, mode);
        if of_user { rootless(config, caller.euid, caller.egid) } else { config }
    };
    let ImageArgs { platform, store, .. } = &args.options;
    let warnings = bundle::make(&BundleOrder {
        image: &ImageName::parse(&args.image)?,
        bundle: Path::new(&args.bundle),
        store: store.as_deref(),
        platform: &platform.as_deref().map_or_else(|| Ok(Platform::host()), Platform::parse)?,
        limits: limits(&args.options)?,
        caller,
        template: &config,
    })?;
    tell(log, warnings);
    Ok(())
}

fn limits(args: &ImageArgs) -> Result<ImageLimits> {
    let usual = ImageLimits::default();
    let size = args.max_size.as_deref().map(bytes).transpose().context("--max-size")?;
    Ok(ImageLimits {
        bytes: size.and_then(|size| u64::try_from(size).ok()).unwrap_or(usual.bytes),
        members: args.max_files.get()?.unwrap_or(usual.members),
    })
}

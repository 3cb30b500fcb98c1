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
use crate::sys::limits;

pub fn run(global: &Global, args: &UnpackArgs, log: &Log) -> Result<()> {
    let image = ImageName::parse(&args.image)?;
    let warnings = unpack(global, &image, Path::new(&args.bundle), &args.options, |config| (config, Vec::new()))?;
    tell(log, warnings);
    Ok(())
}

/// Unpacks an image and writes a bundle for it. `change` changes the template, and gives a command in place of the
/// image's own. Returns warnings. An ordinary user's process is in another user namespace afterwards.
///
/// # Errors
/// A wrong option; the errors of [`bundle::make`].
pub fn unpack(
    global: &Global,
    image: &ImageName,
    bundle: &Path,
    args: &ImageArgs,
    change: impl Fn(Value) -> (Value, Vec<String>),
) -> Result<Vec<String>> {
    let mode = Layout::read()?.mode();
    let caller = Host::read().caller;
    let (config, command) = change(template(&global.name, mode));
    let config = |of_user: bool| match of_user {
        true => rootless(config.clone(), caller.euid, caller.egid),
        false => config.clone(),
    };
    let order = BundleOrder {
        image,
        bundle,
        store: args.store.as_deref(),
        platform: &args.platform.as_deref().map_or_else(|| Ok(Platform::host()), Platform::parse)?,
        command: &command,
        limits: image_limits(args)?,
        caller,
        template: &config,
    };
    limits::with_descriptors(|| bundle::make(&order))
}

fn image_limits(args: &ImageArgs) -> Result<ImageLimits> {
    let usual = ImageLimits::default();
    let size = args.max_size.as_deref().map(bytes).transpose().context("--max-size")?;
    Ok(ImageLimits {
        bytes: size.and_then(|size| u64::try_from(size).ok()).unwrap_or(usual.bytes),
        members: args.max_files.get()?.unwrap_or(usual.members),
    })
}

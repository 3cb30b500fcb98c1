//! `diff`: the changes in the writable layer of a container.

use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Result, bail};

use super::shared::{print, root};
use crate::cli::{DiffArgs, Global};
use crate::host::Host;
use crate::image::{Stack, changes};

pub fn run(global: &Global, args: &DiffArgs) -> Result<()> {
    let stack = stack(global, &args.place)?;
    stack.enter(&Host::read().caller)?;
    let found = changes::find(stack.upper()?.as_fd(), &stack.below()?)?;
    let lines: String = found.iter().map(|(change, path)| changes::line(*change, path) + "\n").collect();
    print(&lines)
}

/// The layers of a container, if there is one with this id, or else those of a bundle. A name with a slash is always a
/// bundle, and so are `.` and `..`.
pub fn stack(global: &Global, place: &str) -> Result<Stack> {
    let is_path = place.contains('/') || matches!(place, "." | "..");
    if !is_path {
        let known = root(global)?.container(place).ok().map(|place| place.open()).transpose()?.flatten();
        if known.is_some() {
            return Stack::of_container(&root(global)?.load(place)?.1);
        }
        if !Path::new(place).exists() {
            bail!("{place}: neither a container nor a bundle has this name");
        }
    }
    Stack::of_bundle(Path::new(place))
}

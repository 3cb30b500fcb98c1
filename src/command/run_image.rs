//! `run --image`: unpack an image, run it, and remove what was made for it. The layers stay in the store.

use std::fs::{self, File};
use std::io::{IsTerminal, Read, Seek, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::Value;

use super::log::Log;
use super::shared::{root, tell};
use super::unpack::unpack;
use crate::cli::{CreateArgs, Global, RunArgs};
use crate::host::Host;
use crate::image::claim::{claim, claimant};
use crate::image::name::ImageName;
use crate::image::store::{Store, remove_all};
use crate::sys::{self, Call, lock};

/// Runs a container of an image and returns its exit status.
///
/// # Errors
/// An option that contradicts `--image`; the image cannot be unpacked; the errors of `run`.
pub fn run(global: &Global, args: &RunArgs, log: &Log) -> Result<i32> {
    let CreateArgs { bundle, config, layer, upper, .. } = &args.create;
    if bundle.is_some() || config.is_some() || !layer.is_empty() || upper.is_some() {
        bail!("--image makes the bundle: --bundle, --config, --layer and --upper cannot be given with it");
    }
    let image = ImageName::parse(args.image.as_deref().unwrap_or_default())?;
    let id = match args.create.id.as_str() {
        "" => new_id(&image)?,
        id => id.to_owned(),
    };
    let state = root(global)?.container(&id)?;
    if state.open()?.is_some() {
        bail!("container with given ID already exists");
    }
    let mut place = RunBundle::new(args, &id, state.path())?;
    let warnings = place.fill(global, args, &image)?;
    tell(log, warnings);
    let create = CreateArgs { id, bundle: Some(place.bundle.clone()), bundle_argument: None, ..args.create.clone() };
    let status = super::run::run(global, &RunArgs { create, ..args.clone() }, log)?;
    // The container that stays needs its bundle. `prune` removes the bundle after the container.
    place.stays = args.detach || args.keep;
    Ok(status)
}

/// The bundle, which goes away with the value.
struct RunBundle {
    bundle: PathBuf,
    stays: bool,
    /// Locked: `prune` leaves the bundle alone.
    _lock: File,
}

impl RunBundle {
    fn new(args: &RunArgs, id: &str, state: &Path) -> Result<RunBundle> {
        let store = match &args.options.store {
            Some(store) => std::path::absolute(store).named(store.display())?,
            None => Store::usual(Host::read().caller.is_privileged())?,
        };
        // Until the bundle has a lock of its own.
        let (all, _turn) = Store::run_directory(&store)?;
        let bundle = all.join(id);
        if let Ok(old) = File::open(&bundle) {
            // This state directory has no container with this id: another process makes it now, a killed one has left
            // the bundle, or another state directory has the container.
            if !lock::try_exclusive(&old, &bundle.display().to_string())? {
                bail!("container with given ID already exists");
            }
            if let Some(other) = claimant(&bundle)? {
                bail!("{} is the bundle of the container {}: choose another id", bundle.display(), other.display());
            }
            remove_all(&bundle)?;
        }
        fs::create_dir(&bundle).named(format_args!("mkdir {}", bundle.display()))?;
        let lock = File::open(&bundle).named(format_args!("open {}", bundle.display()))?;
        lock.lock_shared().named(format_args!("lock {}", bundle.display()))?;
        let place = RunBundle { bundle, stays: false, _lock: lock };
        claim(&place.bundle, state)?;
        Ok(place)
    }

    /// Unpacks the image. An ordinary user needs a user namespace for that, which a process cannot leave: a copy of this
    /// process does it.
    fn fill(&self, global: &Global, args: &RunArgs, image: &ImageName) -> Result<Vec<String>> {
        let command: Vec<String> = args.create.bundle_argument.iter().map(|word| word.display().to_string()).collect();
        let command = [command, args.command.0.clone()].concat();
        let terminal =
            stdin().is_terminal() && stdout().is_terminal() && (!args.detach || args.create.console_socket.is_some());
        let change = |mut config: Value| {
            config["process"]["terminal"] = terminal.into();
            (config, command.clone())
        };
        let work = || unpack(global, image, &self.bundle, &args.options, change);
        if Host::read().caller.euid == 0 { work() } else { in_a_copy(work) }
    }
}

impl Drop for RunBundle {
    fn drop(&mut self) {
        if !self.stays {
            // It has a config and an empty directory, and is removed by the next `prune` if this fails.
            let _ = remove_all(&self.bundle);
        }
    }
}

/// Does work in a copy of this process, which hands its result back as a text.
fn in_a_copy(work: impl FnOnce() -> Result<Vec<String>>) -> Result<Vec<String>> {
    let mut answer = File::from(memfd_create(c"answer", MFdFlags::MFD_CLOEXEC).named("memfd_create")?);
    let mut theirs = answer.try_clone().named("dup")?;
    let status = sys::process::in_a_copy(|| {
        let result = work().map_err(|error| format!("{error:#}"));
        let written = serde_json::to_vec(&result).map(|text| theirs.write_all(&text));
        u8::from(!matches!(written, Ok(Ok(()))))
    });
    if status.named("fork")? != Some(0) {
        bail!("the process that unpacks the image was killed");
    }
    let mut text = String::new();
    answer.rewind().and_then(|()| answer.read_to_string(&mut text)).named("read the answer")?;
    serde_json::from_str::<Result<Vec<String>, String>>(&text)?.map_err(|error| anyhow!(error))
}

/// An id from the name of the image and a random number.
fn new_id(image: &ImageName) -> Result<String> {
    let mut random = [0; 4];
    let mut source = File::open("/dev/urandom").named("open /dev/urandom")?;
    source.read_exact(&mut random).named("read /dev/urandom")?;
    let stem = image.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = stem.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    Ok(format!("{name}-{:08x}", u32::from_ne_bytes(random)).trim_start_matches('-').to_owned())
}

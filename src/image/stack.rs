//! The layers of a bundle or of a container, opened.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use oci_spec::runtime::LinuxIdMapping;

use super::shift::{Range, Shift};
use super::union::Union;
use crate::executor::enter_user_namespace;
use crate::plan::{Caller, Maps};
use crate::spec::annotation::{self, ID_MAP, LAYERS, UPPER};
use crate::spec::{self, Config, Field, mapping, refuse};
use crate::state::Record;
use crate::sys::{Call, again};

/// The beginning of the name of the directory in a bundle that has a container's writable layer.
const WRITABLE: &str = "writable-";

/// The layers, and the config that belongs to them.
pub struct Stack {
    /// `config.json`
    pub config: Config,
    /// The base layer first.
    pub layers: Vec<PathBuf>,
    /// The writable layer.
    pub upper: PathBuf,
}

impl Stack {
    /// The layers of a container.
    ///
    /// # Errors
    /// It has no layers, or no writable one; its config cannot be read.
    pub fn of_container(record: &Record) -> Result<Stack> {
        let Some(union) = &record.union else { bail!("{}: this container has no layers", record.id) };
        let Some(upper) = &union.upper else { bail!("{}: this container has no writable layer", record.id) };
        let config = spec::parse(&spec::read(&record.config_file())?)?;
        Ok(Stack { config, layers: union.layers.clone(), upper: upper.clone() })
    }

    /// The layers of a bundle, by its annotations. Without the one for the writable layer it is that of the only container
    /// of the bundle.
    ///
    /// # Errors
    /// The config has no layers; no container, or more than one, has a writable layer there.
    pub fn of_bundle(bundle: &Path) -> Result<Stack> {
        let bundle = bundle.canonicalize().named(format_args!("bundle {}", bundle.display()))?;
        let config = spec::parse(&spec::read(&bundle.join("config.json"))?)?;
        let Some(layers) = annotation::layers(&config)? else {
            bail!("{}: config.json has no annotation {LAYERS}", bundle.display());
        };
        let upper = match config.annotation(UPPER) {
            Some(upper) => bundle.join(upper),
            None => only_writable(&bundle)?.join("upper"),
        };
        let layers = layers.iter().map(|layer| bundle.join(layer)).collect();
        Ok(Stack { config, layers, upper })
    }

    /// Moves this process into a user namespace with the container's maps, if an ordinary user needs one to read files of
    /// the container's users.
    ///
    /// # Errors
    /// The maps cannot be written.
    pub fn enter(&self, caller: &Caller) -> Result<()> {
        let maps =
            Maps { uid: mapping::lines(self.config.uid_mappings()), gid: mapping::lines(self.config.gid_mappings()) };
        if caller.euid == 0 || maps.uid.is_empty() || maps.gid.is_empty() {
            return Ok(());
        }
        enter_user_namespace(caller, &maps)
    }

    /// The owners of files as the container sees them, for a process that has called [`Stack::enter`].
    ///
    /// # Errors
    /// A wrong annotation.
    pub fn shift(&self, caller: &Caller) -> Result<Shift> {
        // In the container's own user namespace, and on id-mapped layers, files have the owners that it sees.
        if caller.euid != 0 || annotation::is_true(&self.config, ID_MAP)? {
            return Ok(Shift::default());
        }
        Ok(Shift::new(ranges(self.config.uid_mappings()), ranges(self.config.gid_mappings())))
    }

    /// Opens the writable layer.
    ///
    /// # Errors
    /// The error of open(2).
    pub fn upper(&self) -> Result<OwnedFd> {
        directory(&self.upper)
    }

    /// Opens the layers below the writable one.
    ///
    /// # Errors
    /// The error of open(2).
    pub fn below(&self) -> Result<Union> {
        if self.layers.is_empty() {
            refuse!(Field::of("annotations").member(LAYERS), "must have at least one layer");
        }
        Ok(Union::new(self.layers.iter().map(|layer| directory(layer)).collect::<Result<_>>()?))
    }
}

/// Opens a directory that the user names.
pub fn directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    again(|| open(path, flags, Mode::empty())).named(format_args!("open {}", path.display()))
}

/// The only directory of a bundle that has a container's writable layer.
fn only_writable(bundle: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for (name, is_directory) in crate::sys::directory::entries(bundle).named(bundle.display())? {
        if is_directory && name.to_string_lossy().starts_with(WRITABLE) {
            found.push(bundle.join(name));
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("{}: no container has a writable layer here", bundle.display()),
        _ => bail!("{}: {} containers have a writable layer here: give an id", bundle.display(), found.len()),
    }
}

fn ranges(maps: &[LinuxIdMapping]) -> Vec<Range> {
    let range = |map: &LinuxIdMapping| Range { container: map.container_id(), host: map.host_id(), size: map.size() };
    maps.iter().map(range).collect()
}

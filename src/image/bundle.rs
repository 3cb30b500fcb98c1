//! From an image to a bundle.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::accounts::Accounts;
use super::config::{self, ImageFiles};
use super::layer::ImageLimits;
use super::name::{ImageName, Reference};
use super::platform::Platform;
use super::progress::Progress;
use super::source::{Image, ImageSource};
use super::store::{Store, StoreUse};
use super::union::Union;
use super::unpack::{open_all, unpack};
use super::user;
use crate::plan::{Caller, Maps};
use crate::spec::annotation;
use crate::sys::Call;

/// The most bytes of an image's etc/passwd and etc/group.
const ACCOUNTS: u64 = 16 << 20;

/// A bundle to make.
pub struct BundleOrder<'a> {
    /// The image to unpack.
    pub image: &'a ImageName,
    /// The directory of the bundle.
    pub bundle: &'a Path,
    /// The store; `None` for the usual one.
    pub store: Option<&'a Path>,
    /// The platform to choose, if the image has several.
    pub platform: &'a Platform,
    /// A command in place of the image's own.
    pub command: &'a [String],
    /// The limits for the files.
    pub limits: ImageLimits,
    /// The user that calls this program.
    pub caller: Caller,
    /// The config to start from, for root and for an ordinary user.
    pub template: &'a dyn Fn(bool) -> Value,
}

/// Unpacks an image and writes a bundle for it. Returns warnings. An ordinary user's process is in another user namespace
/// afterwards.
///
/// # Errors
/// The bundle has a config already; the image cannot be read or unpacked; the bundle cannot be written. Nothing is left
/// of the bundle then; complete layers stay in the store.
pub fn make(order: &BundleOrder<'_>) -> Result<Vec<String>> {
    let file = order.bundle.join("config.json");
    if file.symlink_metadata().is_ok() {
        bail!("{} exists: remove it first", file.display());
    }
    let path = match order.store {
        Some(path) => path.to_owned(),
        None => Store::usual(order.caller.is_privileged())?,
    };
    let (maps, warning) = user::enter(&order.caller)?;
    let store = Store::open(&path, StoreUse::Shared)?;
    let source = ImageSource::open(order.image)?;
    let mut image = source.image(order.platform)?;
    if !order.command.is_empty() {
        let mut settings = image.config.config().clone().unwrap_or_default();
        settings.set_cmd(Some(order.command.to_vec()));
        image.config.set_config(Some(settings));
    }
    let progress = Progress::new(&image.layers);
    let unpacked = unpack(&store, &source, &image, order.limits, &progress);
    progress.finish();
    let unpacked = unpacked?;
    let template = (order.template)(maps.is_some());
    let made = runtime_config(template, &image, &unpacked.layers)?;
    let mut config = made.config;
    annotate(&mut config, order, &image, &unpacked.layers)?;
    if let Some(maps) = &maps {
        set_maps(&mut config, maps);
    }
    write(order.bundle, &store, &config)?;
    let warnings = warning.into_iter().chain(made.warnings);
    Ok(warnings.chain(unpacked.notes.lines()).collect())
}

fn runtime_config(template: Value, image: &Image, layers: &[PathBuf]) -> Result<config::RuntimeConfig> {
    let union = Union::new(open_all(layers)?);
    let user = image.config.config().as_ref().and_then(|settings| settings.user().as_deref()).unwrap_or_default();
    let read = |path: &str| match user {
        // Nobody asks for them.
        "" => Ok(None),
        _ => union.read(path.as_bytes(), ACCOUNTS).with_context(|| format!("the image's {path}")),
    };
    let (passwd, group) = (read("etc/passwd")?, read("etc/group")?);
    let owner = |path: &Path| -> Option<(u32, u32)> {
        use std::os::unix::ffi::OsStrExt;
        let entry = union.resolve(path.as_os_str().as_bytes()).ok().flatten()?;
        entry.place.is_some().then_some((entry.stat.st_uid, entry.stat.st_gid))
    };
    let accounts = Accounts { passwd: passwd.as_deref(), group: group.as_deref() };
    config::from_image(template, &image.config, &ImageFiles { accounts, owner: &owner })
}

/// Names the layers, and the image that they come from.
fn annotate(config: &mut Value, order: &BundleOrder<'_>, image: &Image, layers: &[PathBuf]) -> Result<()> {
    let layers = layers.iter().map(|path| path.to_str().context("the path of the store is not UTF-8"));
    let layers = serde_json::to_string(&layers.collect::<Result<Vec<_>>>()?)?;
    let path = order.image.path.canonicalize().named(order.image.path.display())?;
    let source = ImageName { path, reference: Reference::Digest(image.digest.clone()), ..order.image.clone() };
    let annotations = &mut config["annotations"];
    annotations[annotation::LAYERS] = layers.into();
    annotations[annotation::IMAGE] = source.to_string().into();
    if order.caller.is_privileged() {
        // Its files belong to root of the host. If a user namespace is added to the config, they are mapped.
        annotations[annotation::ID_MAP] = "true".into();
    }
    Ok(())
}

/// Gives the container the ids that the files of its layers have.
fn set_maps(config: &mut Value, maps: &Maps) {
    let list = |lines: &str| -> Value {
        let row = |line: &str| {
            let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
            let mut next = || numbers.next().unwrap_or_default();
            json!({"containerID": next(), "hostID": next(), "size": next()})
        };
        lines.lines().map(row).collect()
    };
    config["linux"]["uidMappings"] = list(&maps.uid);
    config["linux"]["gidMappings"] = list(&maps.gid);
}

fn write(bundle: &Path, store: &Store, config: &Value) -> Result<()> {
    let own = !bundle.exists();
    fs::create_dir_all(bundle).named(format_args!("mkdir {}", bundle.display()))?;
    let bundle = bundle.canonicalize().named(bundle.display())?;
    let written = (|| {
        let root = bundle.join("rootfs");
        fs::create_dir_all(&root).named(format_args!("mkdir {}", root.display()))?;
        // First the store must know of the bundle: a layer that no bundle uses may be removed.
        store.refer(&bundle)?;
        let mut text = serde_json::to_vec_pretty(config)?;
        text.push(b'\n');
        let path = bundle.join("config.json");
        let mut file = File::create_new(&path).named(format_args!("open {}", path.display()))?;
        file.write_all(&text).named("write config.json").inspect_err(|_| drop(fs::remove_file(&path)))
    })();
    if written.is_err() {
        // Only what is empty goes.
        let _ = fs::remove_dir(bundle.join("rootfs"));
        if own {
            let _ = fs::remove_dir(&bundle);
        }
    }
    written
}

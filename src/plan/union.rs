//! The root as a union of layers: the annotations `dev.tare.*`, and the options `--layer` and `--upper`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::context::Context;
use super::id_map::{IdMap, Owners};
use super::layers::{RootUnion, Writable};
use super::maps::Maps;
use super::options::Options;
use super::program::{Descriptor, Program};
use crate::init::op::{Rootfs, Text};
use crate::spec::annotation::{self, ID_MAP, KEEP, LAYERS, UPPER, WORK};
use crate::spec::{Config, Field, clean, mapping, refuse};

/// The most layers that overlayfs takes (`OVL_MAX_STACK`).
const MOST_LAYERS: usize = 500;

/// The field of an annotation.
fn annotated(name: &str) -> Field {
    Field::of("annotations").member(name)
}

/// The layers, and the field or option that gives them. `None` if the root is a directory.
fn layers(config: &Config, options: &Options) -> Result<Option<(Field, Vec<PathBuf>)>> {
    let (field, listed) = match annotation::layers(config)? {
        _ if !options.layers.is_empty() => (Field::of("--layer"), options.layers.clone()),
        Some(layers) => (annotated(LAYERS), layers),
        None if options.upper.is_some() => refuse!("--upper", "needs --layer, or the annotation {LAYERS}"),
        None => match [UPPER, WORK, KEEP, ID_MAP].iter().find(|name| config.annotation(name).is_some()) {
            Some(name) => refuse!(annotated(name), "needs the annotation {LAYERS}"),
            None => return Ok(None),
        },
    };
    if listed.is_empty() {
        refuse!(field, "must have at least one layer");
    }
    if listed.len() > MOST_LAYERS {
        refuse!(field, "{} layers: overlayfs takes at most {MOST_LAYERS}", listed.len());
    }
    let mut layers = Vec::with_capacity(listed.len());
    for (index, layer) in listed.iter().enumerate() {
        layers.push(path_in(options, layer, || field.element(index))?);
    }
    Ok(Some((field, layers)))
}

/// An absolute path; a relative one starts at the bundle.
fn path_in(options: &Options, path: &Path, field: impl Fn() -> Field) -> Result<PathBuf> {
    if path.to_str().is_none_or(|text| text.is_empty() || text.contains('\0')) {
        refuse!(field(), "{path:?} is not a path in UTF-8");
    }
    Ok(clean(&options.bundle.join(path)))
}

/// The upper and the work directory, and the name of the first. `None` for a read-only union.
fn places(config: &Config, options: &Options) -> Result<Option<(Field, PathBuf, PathBuf)>> {
    let upper = match &options.upper {
        Some(upper) => Some((Field::of("--upper"), upper.clone())),
        None => config.annotation(UPPER).map(|upper| (annotated(UPPER), PathBuf::from(upper))),
    };
    let work = config.annotation(WORK).map(|work| path_in(options, Path::new(work), || annotated(WORK))).transpose()?;
    if let Some((field, upper)) = upper {
        let upper = path_in(options, &upper, || field.clone())?;
        let beside = || PathBuf::from(format!("{}.work", upper.display()));
        let work = work.unwrap_or_else(beside);
        return Ok(Some((field, upper, work)));
    }
    if config.has_read_only_root() {
        return match work {
            Some(_) => refuse!(annotated(WORK), "needs the annotation {UPPER}: this root is read-only"),
            None => Ok(None),
        };
    }
    let own = options.bundle.join(format!("writable-{}", options.id));
    Ok(Some((annotated(UPPER), own.join("upper"), work.unwrap_or_else(|| own.join("work")))))
}

/// The directories of a writable layer whose existence the plan depends on.
pub fn candidates(config: &Config, options: &Options) -> Vec<PathBuf> {
    match (layers(config, options), places(config, options)) {
        (Ok(Some(_)), Ok(Some((_, upper, work)))) => {
            let above = upper.parent().unwrap_or(Path::new("/")).to_owned();
            vec![above, upper, work]
        }
        _ => Vec::new(),
    }
}

/// The union that the config or the command line asks for.
pub fn union(context: &Context<'_>) -> Result<Option<RootUnion>> {
    let Context { config, options, .. } = *context;
    let Some((field, layers)) = layers(config, options)? else { return Ok(None) };
    if !context.own(Kind::Mount) {
        refuse!(field, "needs a mount namespace: without one the union would stay on the host");
    }
    let writable = writable(context)?;
    check_apart(&field, &layers, writable.as_ref())?;
    let id_map = id_map(context)?;
    if let (Some(_), Some(it)) = (&id_map, &writable)
        && it.upper.parent() != it.work.parent()
    {
        refuse!(annotated(WORK), "must be beside the upper directory, for id-mapped layers");
    }
    let fuse = context.facts.fuse_overlayfs.clone();
    if let (Some(program), true) = (&fuse, id_map.is_some()) {
        refuse!(annotated(ID_MAP), "the kernel refuses an overlay here, and {program:?} has no id-mapped layers");
    }
    if let (Some(program), Some(_)) = (&fuse, config.mount_label()) {
        refuse!("linux.mountLabel", "the kernel refuses an overlay here, and {program:?} gets no label");
    }
    let place = context.rootfs.clone();
    Ok(Some(RootUnion { layers, field, writable, options: overlay_options(context), place, fuse, id_map }))
}

fn writable(context: &Context<'_>) -> Result<Option<Writable>> {
    let Context { config, options, facts, .. } = *context;
    let keep = annotation::is_true(config, KEEP)?;
    let Some((field, upper, work)) = places(config, options)? else { return Ok(None) };
    let is_missing = |path: &PathBuf| !facts.present.contains(path);
    let own = upper.parent().filter(|above| **above == options.bundle.join(format!("writable-{}", options.id)));
    let above = own.map(Path::to_owned);
    let missing: Vec<PathBuf> = above.into_iter().chain([upper.clone(), work.clone()]).filter(is_missing).collect();
    if config.annotation(WORK).is_none() && !missing.contains(&work) {
        refuse!(
            field,
            "{work:?} exists: another container has this writable layer, or the work directory of one that was not \
             deleted is left"
        );
    }
    let kept = if keep { missing.iter().filter(|path| **path != work).cloned().collect() } else { Vec::new() };
    let maps = (facts.caller.euid != 0 && context.in_user_namespace())
        .then(|| Maps { uid: mapping::lines(config.uid_mappings()), gid: mapping::lines(config.gid_mappings()) });
    Ok(Some(Writable { field, upper, work, missing, kept, maps }))
}

/// overlayfs refuses directories that overlap, or lets changes of one show in the other.
fn check_apart(field: &Field, layers: &[PathBuf], writable: Option<&Writable>) -> Result<()> {
    let mut sorted: Vec<&PathBuf> = layers.iter().collect();
    sorted.sort();
    for pair in sorted.windows(2) {
        if pair[0] == pair[1] {
            refuse!(field.clone(), "{:?} is there twice", pair[0]);
        }
        if pair[1].starts_with(pair[0]) {
            refuse!(field.clone(), "{:?} is inside the layer {:?}", pair[1], pair[0]);
        }
    }
    let Some(Writable { field, upper, work, .. }) = writable else { return Ok(()) };
    if work.starts_with(upper) || upper.starts_with(work) {
        refuse!(annotated(WORK), "{work:?} and the upper directory {upper:?} must be apart");
    }
    for (field, path) in [(field, upper), (&annotated(WORK), work)] {
        if let Some(layer) = layers.iter().find(|layer| path.starts_with(layer) || layer.starts_with(path)) {
            refuse!(field.clone(), "{path:?} and the layer {layer:?} must be apart");
        }
    }
    Ok(())
}

/// The annotation [`ID_MAP`].
fn id_map(context: &Context<'_>) -> Result<Option<IdMap>> {
    let config = context.config;
    if !annotation::is_true(config, ID_MAP)? || !context.in_user_namespace() {
        return Ok(None);
    }
    if context.facts.caller.euid != 0 {
        refuse!(annotated(ID_MAP), "id-mapped mounts are not supported for rootless containers");
    }
    let (uid, gid) = (mapping::lines(config.uid_mappings()), mapping::lines(config.gid_mappings()));
    let owners = match config.joins(Kind::User) {
        Some(path) if uid.is_empty() || gid.is_empty() => Owners::Joined(path.to_owned()),
        _ => Owners::Maps { uid, gid },
    };
    Ok(Some(IdMap { owners, recursive: false }))
}

fn overlay_options(context: &Context<'_>) -> Vec<(&'static str, Option<String>)> {
    let value = |text: &str| Some(text.to_owned());
    // A layer may be in several unions at once, and may be copied to another file system.
    let mut options = vec![("index", value("off"))];
    let caller = context.facts.caller;
    if caller.in_user_namespace || caller.euid != 0 {
        // In a user namespace trusted.* attributes cannot be read. overlayfs then follows no redirects.
        options.push(("userxattr", None));
    } else {
        // A layer from elsewhere must not show files of its choice under another name.
        options.extend([("redirect_dir", value("nofollow")), ("metacopy", value("off"))]);
    }
    if let Some(label) = context.config.mount_label() {
        options.push(("context", value(label)));
    }
    options
}

/// Appends the operation that mounts the union. The runtime mounts it for a user namespace if the caller is root: there
/// `init` may not read the layers, and its kernel takes no trusted attributes.
pub fn mount(program: &mut Program, context: &Context<'_>, union: &RootUnion) {
    let path = program.text(&context.rootfs.to_string_lossy());
    let field = &union.field;
    if union.fuse.is_some() || context.in_user_namespace() && context.facts.caller.euid == 0 {
        let tree = program.slot(Descriptor::Union(Box::new(union.clone())));
        program.push(field, Rootfs::Attach { path, tree });
        return;
    }
    let layers: Vec<Text> = union.layers.iter().map(|layer| program.text(&layer.to_string_lossy())).collect();
    let layers = program.texts(&layers);
    let writable = union.writable.as_ref();
    let (upper, work) = match writable {
        Some(it) => (program.text(&it.upper.to_string_lossy()), program.text(&it.work.to_string_lossy())),
        None => (Text::NONE, Text::NONE),
    };
    let options: Vec<_> = union.options.iter().map(|(key, value)| (*key, value.as_deref())).collect();
    let options = program.options(&options);
    let adopt = writable.is_some_and(Writable::is_new);
    // Without a writable layer the working directory, a tmpfs, has these two.
    let (places, instead) = (writable.map(|it| (&*it.upper, &*it.work)), (Path::new("upper"), Path::new("work")));
    let (above, beside) = places.unwrap_or(instead);
    let data = program.text(&union.data(above, beside));
    program.push(field, Rootfs::Union { path, layers, upper, work, options, data, adopt });
}

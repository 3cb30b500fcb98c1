//! Removing what no bundle and no container uses any more.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::claim::claimant;
use super::store::{Store, remove_all};
use crate::spec::annotation::LAYERS;
use crate::sys::{Call, lock};

/// A container that exists, with or without a process.
#[derive(Debug)]
pub struct ContainerInUse {
    /// The bundle.
    pub bundle: PathBuf,
    /// The directories of the layers.
    pub layers: Vec<PathBuf>,
}

/// The result of [`prune`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The layers that are gone.
    pub layers: usize,
    /// The bytes of their files.
    pub bytes: u64,
    /// The layers that are in use.
    pub kept: usize,
    /// The bundles of `run --image` that are gone.
    pub bundles: usize,
}

/// Removes bundles of `run --image` whose container is gone, and layers that no other bundle and no container uses. The
/// store must be locked against all other users.
///
/// # Errors
/// A bundle whose config cannot be read: its layers are unknown. The kernel's errors.
pub fn prune(store: &Store, containers: &[ContainerInUse]) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    let (bundles, turn) = store.run_bundles()?;
    for bundle in bundles {
        let file = File::open(&bundle).named(format_args!("open {}", bundle.display()))?;
        // A process holds the lock as long as it makes or runs the container.
        let free = lock::try_exclusive(&file, &bundle.display().to_string())?;
        if free && !containers.iter().any(|container| container.bundle == bundle) && claimant(&bundle)?.is_none() {
            remove_all(&bundle)?;
            pruned.bundles += 1;
        }
    }
    drop(turn);
    let mut used: BTreeSet<PathBuf> = BTreeSet::new();
    let mut add = |layers: Vec<PathBuf>| used.extend(layers.iter().filter_map(|path| path.canonicalize().ok()));
    containers.iter().for_each(|container| add(container.layers.clone()));
    for (file, bundle) in store.bundles()? {
        match layers_of(&bundle).with_context(|| format!("{}: its layers are unknown", bundle.display()))? {
            Some(layers) => add(layers),
            None => fs::remove_file(&file).named(format_args!("remove {}", file.display()))?,
        }
    }
    for (layer, facts) in store.layers()? {
        if used.contains(&layer.join("fs")) {
            pruned.kept += 1;
            continue;
        }
        store.remove(&layer)?;
        pruned.layers += 1;
        pruned.bytes += facts.map_or(0, |facts| facts.size);
    }
    store.forget_locks()?;
    Ok(pruned)
}

/// The layers that a bundle names; `None` if there is no such bundle.
fn layers_of(bundle: &Path) -> Result<Option<Vec<PathBuf>>> {
    let text = match fs::read(bundle.join("config.json")) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        text => text.named("read config.json")?,
    };
    let config: Value = serde_json::from_slice(&text).context("config.json")?;
    let Some(layers) = config["annotations"][LAYERS].as_str() else { return Ok(Some(Vec::new())) };
    let layers: Vec<PathBuf> = serde_json::from_str(layers).with_context(|| format!("annotations.{LAYERS}"))?;
    Ok(Some(layers.iter().map(|layer| bundle.join(layer)).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::digest::Digest;
    use super::super::store::{Family, LayerFacts, StoreUse};
    use super::*;

    #[test]
    fn what_is_in_use_stays() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        let layer = |name: &str| {
            let store = Store::open(&at("store"), StoreUse::Shared).unwrap();
            let facts = || LayerFacts { diff_id: Digest::of(name.as_bytes()).to_string(), size: 5 };
            store.layer_or(Family::Layers, &Digest::of(name.as_bytes()), |_| Ok(facts())).unwrap()
        };
        let bundle = |name: &str, layer: &Path| {
            fs::create_dir_all(at(name)).unwrap();
            let layers = serde_json::to_string(&[layer]).unwrap();
            let config = serde_json::json!({"annotations": {LAYERS: layers}});
            fs::write(at(name).join("config.json"), config.to_string()).unwrap();
            Store::open(&at("store"), StoreUse::Shared).unwrap().refer(&at(name)).unwrap();
        };
        let prune = |containers: &[ContainerInUse]| {
            super::prune(&Store::open(&at("store"), StoreUse::Alone).unwrap(), containers)
        };
        let (one, two, three) = (layer("one"), layer("two"), layer("three"));
        bundle("a", &one);
        bundle("store/run/b", &two);
        let running = ContainerInUse { bundle: at("store/run/b"), layers: vec![three.clone()] };
        assert_eq!(prune(&[running]).unwrap(), Pruned { kept: 3, ..Pruned::default() });
        let locked = File::open(at("store/run/b")).unwrap();
        locked.lock_shared().unwrap();
        assert_eq!(prune(&[]).unwrap(), Pruned { layers: 1, bytes: 5, kept: 2, bundles: 0 });
        drop(locked);
        // A container of another state directory.
        fs::create_dir(at("state")).unwrap();
        super::super::claim::claim(&at("store/run/b"), &at("state")).unwrap();
        assert_eq!(prune(&[]).unwrap(), Pruned { kept: 2, ..Pruned::default() });
        fs::remove_dir(at("state")).unwrap();
        assert!(!three.exists() && two.exists());
        assert_eq!(prune(&[]).unwrap(), Pruned { layers: 1, bytes: 5, kept: 1, bundles: 1 });
        fs::write(at("a/config.json"), "no JSON").unwrap();
        assert!(format!("{:#}", prune(&[]).unwrap_err()).contains("its layers are unknown"));
        fs::remove_dir_all(at("a")).unwrap();
        assert_eq!(prune(&[]).unwrap(), Pruned { layers: 1, bytes: 5, ..Pruned::default() });
        assert_eq!(prune(&[]).unwrap(), Pruned::default());
    }
}

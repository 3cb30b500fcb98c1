//! The first inputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The configs of `bundles/`.
pub fn configs() -> Vec<Vec<u8>> {
    let bundles = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles");
    let folders = fs::read_dir(bundles).expect("bundles/ can be read");
    let mut folders: Vec<_> = folders.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders.iter().filter_map(|folder| fs::read(folder.join("config.json")).ok()).collect()
}

/// The values at this place in the configs.
pub fn values(place: &str) -> Vec<Value> {
    let value = |config: &Vec<u8>| serde_json::from_slice::<Value>(config).ok()?.pointer(place).cloned();
    configs().iter().filter_map(value).filter(|value| !value.is_null()).collect()
}

/// The first inputs of a target, which are made once.
pub fn cached(target: &'static str, make: fn() -> Vec<Vec<u8>>) -> &'static [Vec<u8>] {
    static ALL: Mutex<BTreeMap<&str, &'static [Vec<u8>]>> = Mutex::new(BTreeMap::new());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(target).or_insert_with(|| make().leak())
}

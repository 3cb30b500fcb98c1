//! Profiles of engines, from the test data.

use std::path::Path;

use oci_spec::runtime::{Arch, LinuxSeccomp};
use serde_json::{Value, json};

use super::from_json;

/// The architectures of the hosts that profiles are compiled for.
pub const NATIVES: [Arch; 3] = [Arch::ScmpArchX86_64, Arch::ScmpArchAarch64, Arch::ScmpArchRiscv64];

/// A file of test data, by its path relative to this directory.
fn data(file: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is absent", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// The profile in an engine's config.json, if the test data exists. hack/peers asks containerd for its profile.
pub fn engine_profile(engine: &str) -> Option<LinuxSeccomp> {
    let place = if engine == "containerd" { "target/peers" } else { "../shared/data" };
    data(&format!("{place}/{engine}-config.json")).map(|mut config| from_json(config["linux"]["seccomp"].take()))
}

/// The profile that an engine has published, in the form for a host without further capabilities.
fn published_profile(engine: &str, native: Arch) -> Option<LinuxSeccomp> {
    let mut profile = data(&format!("../shared/data/{engine}-seccomp-profile.json"))?;
    let arches: &[&str] = match native {
        Arch::ScmpArchAarch64 => &["arm64"],
        Arch::ScmpArchRiscv64 => &["riscv64"],
        _ => &["amd64"],
    };
    let names = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap_or_default() };
    let fits = |rule: &Value| {
        let (wants, not) = (&rule["includes"], &rule["excludes"]);
        let here = |list: &Value| list.is_null() || names(list).iter().any(|arch| arches.contains(&arch.as_str()));
        names(&wants["caps"]).is_empty() && here(&wants["arches"]) && (not["arches"].is_null() || !here(&not["arches"]))
    };
    let rules = profile["syscalls"].as_array().unwrap().iter().filter(|rule| fits(rule)).cloned().collect::<Value>();
    let map = profile["archMap"].take();
    let mut archs = Vec::new();
    for row in map.as_array().unwrap().iter().filter(|row| row["architecture"] == json!(native)) {
        archs.push(row["architecture"].clone());
        archs.extend(row["subArchitectures"].as_array().into_iter().flatten().cloned());
    }
    profile["syscalls"] = rules;
    profile["architectures"] = json!(archs);
    Some(from_json(profile))
}

/// All engines' profiles for all hosts, as far as the test data exists.
pub fn all_profiles() -> Vec<(Arch, LinuxSeccomp)> {
    let mut all = Vec::new();
    for engine in ["docker", "podman", "containerd"] {
        all.extend(engine_profile(engine).map(|profile| (Arch::ScmpArchX86_64, profile)));
    }
    for (engine, native) in [("docker", NATIVES), ("podman", NATIVES)].iter().flat_map(|(e, n)| n.map(|n| (*e, n))) {
        all.extend(published_profile(engine, native).map(|profile| (native, profile)));
    }
    all
}

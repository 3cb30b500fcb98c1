//! The statistics of Intel RDT for a container, in runc's structure and with runc's names.

use std::path::Path;

use serde::Serialize;

use super::groups::{Groups, RESCTRL};

/// The statistics of a container's class and monitoring group; empty if the container has none.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct RdtStats {
    /// The properties of the L3 cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_info: Option<CacheInfo>,
    /// The L3 line of the root class.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema_root: String,
    /// The L3 line of the container's class.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema: String,
    /// The properties of memory bandwidth allocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_info: Option<BandwidthInfo>,
    /// The MB line of the root class.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema_root: String,
    /// The MB line of the container's class.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema: String,
    /// All lines of the container's class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemata: Vec<String>,
    /// The memory traffic through each L3 cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mbm_stats: Vec<Traffic>,
    /// The occupancy of each L3 cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmt_stats: Vec<Occupancy>,
}

/// `info/L3` (arch/x86/resctrl.rst).
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the kernel's files")]
pub struct CacheInfo {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cbm_mask: String,
    #[serde(skip_serializing_if = "zero")]
    pub min_cbm_bits: u64,
    #[serde(skip_serializing_if = "zero")]
    pub num_closids: u64,
}

/// `info/MB`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the kernel's files")]
pub struct BandwidthInfo {
    #[serde(skip_serializing_if = "zero")]
    pub bandwidth_gran: u64,
    #[serde(skip_serializing_if = "zero")]
    pub delay_linear: u64,
    #[serde(skip_serializing_if = "zero")]
    pub min_bandwidth: u64,
    #[serde(skip_serializing_if = "zero")]
    pub num_closids: u64,
}

/// Memory traffic, in bytes.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the kernel's files")]
pub struct Traffic {
    #[serde(skip_serializing_if = "zero")]
    pub mbm_total_bytes: u64,
    #[serde(skip_serializing_if = "zero")]
    pub mbm_local_bytes: u64,
}

/// Cache occupancy, in bytes.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the kernel's files")]
pub struct Occupancy {
    #[serde(skip_serializing_if = "zero")]
    pub llc_occupancy: u64,
}

fn zero(value: &u64) -> bool {
    *value == 0
}

impl Groups {
    /// Reads the current statistics. Properties that the processor does not have are omitted.
    pub fn stats(&self) -> RdtStats {
        self.stats_below(Path::new(RESCTRL))
    }

    fn stats_below(&self, resctrl: &Path) -> RdtStats {
        let schemata = lines(&self.class.join("schemata"));
        let root = lines(&resctrl.join("schemata"));
        let mut stats = RdtStats {
            l3_cache_schema_root: about(&root, "L3"),
            l3_cache_schema: about(&schemata, "L3"),
            mem_bw_schema_root: about(&root, "MB"),
            mem_bw_schema: about(&schemata, "MB"),
            schemata,
            ..RdtStats::default()
        };
        let l3 = resctrl.join("info/L3");
        stats.l3_cache_info = l3.is_dir().then(|| CacheInfo {
            cbm_mask: text(&l3.join("cbm_mask")),
            min_cbm_bits: number(&l3.join("min_cbm_bits")),
            num_closids: number(&l3.join("num_closids")),
        });
        let mb = resctrl.join("info/MB");
        stats.mem_bw_info = mb.is_dir().then(|| BandwidthInfo {
            bandwidth_gran: number(&mb.join("bandwidth_gran")),
            delay_linear: number(&mb.join("delay_linear")),
            min_bandwidth: number(&mb.join("min_bandwidth")),
            num_closids: number(&mb.join("num_closids")),
        });
        self.monitored(&mut stats);
        stats
    }

    /// Reads `mon_data/mon_L3_00` and its neighbours, one for each cache.
    fn monitored(&self, stats: &mut RdtStats) {
        let group = self.monitoring.as_ref().unwrap_or(&self.class);
        let caches = group.join("mon_data");
        let mut caches: Vec<_> =
            crate::sys::directory::entries(&caches).into_iter().flatten().map(|(name, _)| caches.join(name)).collect();
        caches.sort();
        for cache in caches {
            let (total, local) = (cache.join("mbm_total_bytes"), cache.join("mbm_local_bytes"));
            if total.exists() || local.exists() {
                stats.mbm_stats.push(Traffic { mbm_total_bytes: number(&total), mbm_local_bytes: number(&local) });
            }
            let occupancy = cache.join("llc_occupancy");
            if occupancy.exists() {
                stats.cmt_stats.push(Occupancy { llc_occupancy: number(&occupancy) });
            }
        }
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn number(path: &Path) -> u64 {
    text(path).parse().unwrap_or(0)
}

fn lines(path: &Path) -> Vec<String> {
    text(path).lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn about(lines: &[String], resource: &str) -> String {
    lines.iter().find(|line| line.starts_with(resource)).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_class_with_everything() {
        let root = std::env::temp_dir().join(format!("tare-rdt-stats-{}", std::process::id()));
        let files = [
            ("schemata", "    MB:0=100\n    L3:0=fff\n"),
            ("info/L3/cbm_mask", "fff\n"),
            ("info/L3/min_cbm_bits", "1\n"),
            ("info/L3/num_closids", "16\n"),
            ("info/MB/min_bandwidth", "10\n"),
            ("box/schemata", "    MB:0=20\n    L3:0=f\n"),
            ("box/mon_groups/box/mon_data/mon_L3_01/llc_occupancy", "5\n"),
            ("box/mon_groups/box/mon_data/mon_L3_00/llc_occupancy", "4\n"),
            ("box/mon_groups/box/mon_data/mon_L3_00/mbm_total_bytes", "7\n"),
            ("box/mon_groups/box/mon_data/mon_L3_00/mbm_local_bytes", "Unavailable\n"),
        ];
        for (file, text) in files {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), text).unwrap();
        }
        let class = root.join("box");
        let groups = Groups { monitoring: Some(class.join("mon_groups/box")), class, created: true };
        let found = serde_json::to_value(groups.stats_below(&root)).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let wanted = serde_json::json!({
            "l3_cache_info": { "cbm_mask": "fff", "min_cbm_bits": 1, "num_closids": 16 },
            "l3_cache_schema_root": "L3:0=fff",
            "l3_cache_schema": "L3:0=f",
            "mem_bw_info": { "min_bandwidth": 10 },
            "mem_bw_schema_root": "MB:0=100",
            "mem_bw_schema": "MB:0=20",
            "schemata": ["MB:0=20", "L3:0=f"],
            "mbm_stats": [{ "mbm_total_bytes": 7 }],
            "cmt_stats": [{ "llc_occupancy": 4 }, { "llc_occupancy": 5 }]
        });
        assert_eq!(found, wanted);
        assert_eq!(serde_json::to_string(&RdtStats::default()).unwrap(), "{}");
    }
}

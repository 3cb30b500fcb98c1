//! The resource usage of a container: the numbers of `events`, in runc's structure and with runc's names.

mod files;
mod read;
mod types;
mod v1;
mod v2;

pub use types::Stats;

#[cfg(test)]
mod tests {
    use crate::cgroup::Cgroup;

    /// A plain directory in the place of a cgroup.
    pub(super) struct Fake(pub std::path::PathBuf);

    impl Fake {
        pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Fake {
            let dir = std::env::temp_dir().join(format!("tare-stats-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            for (file, text) in files {
                std::fs::write(dir.join(file), text).unwrap();
            }
            Fake(dir)
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nothing_is_what_nothing_says() {
        let text = serde_json::to_string(&Cgroup::default().stats().unwrap()).unwrap();
        let wanted = r#"{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},"memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}},"pids":{},"blkio":{},"hugetlb":{}}"#;
        assert_eq!(text, wanted);
    }
}

//! Makes bundles: a small valid configuration, which a test changes.

use super::{Container, Output, Result, Value, View, json, machine, names_field, payload, runtime, skip};
use anyhow::{Context, ensure};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

enum Entry {
    File(String, String, u32),
    Dir(String),
    Symlink(String, String),
}

pub struct Bundle {
    pub config: Value,
    entries: Vec<Entry>,
    view: View,
    options: Vec<String>,
    user: Option<u32>,
    owner: Option<u32>,
}

impl Bundle {
    /// The smallest configuration; its container runs the payload with these words.
    pub fn new<const N: usize>(words: [&str; N]) -> Self {
        let mut args = vec!["/payload"];
        args.extend(words);
        let config = json!({
            "ociVersion": version(),
            "process": {
                "args": args, "cwd": "/", "env": ["PATH=/"], "user": { "uid": 0, "gid": 0 }, "capabilities": {}
            },
            "root": { "path": "rootfs" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }
            ],
            "linux": {
                "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }]
            }
        });
        Self { config, entries: Vec::new(), view: View::Machine, options: Vec::new(), user: None, owner: None }
    }

    /// Sets the value at a JSON pointer such as `/linux/resources/pids/limit`, and makes the objects on the way.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *place(&mut self.config, pointer) = value.into();
        self
    }

    /// Appends a value to the list at this JSON pointer.
    pub fn push(mut self, pointer: &str, value: Value) -> Self {
        match place(&mut self.config, pointer) {
            Value::Array(list) => list.push(value),
            other => *other = json!([value]),
        }
        self
    }

    /// Removes the member at this JSON pointer.
    pub fn remove(mut self, pointer: &str) -> Self {
        if let Some((parent, key)) = pointer.rsplit_once('/')
            && let Value::Object(members) = place(&mut self.config, parent)
        {
            members.remove(key);
        }
        self
    }

    /// Adds a mount. The first one that a test adds is `mounts[2]`.
    pub fn mount(self, mount: Value) -> Self {
        self.push("/mounts", mount)
    }

    /// Adds a new namespace of this kind.
    pub fn namespace(self, kind: &str) -> Self {
        self.push("/linux/namespaces", json!({ "type": kind }))
    }

    /// Removes the namespace of this kind.
    pub fn without_namespace(mut self, kind: &str) -> Self {
        if let Value::Array(list) = place(&mut self.config, "/linux/namespaces") {
            list.retain(|namespace| namespace["type"] != kind);
        }
        self
    }

    /// Joins the namespace of this kind that `path` names.
    pub fn join(self, kind: &str, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().display().to_string();
        self.without_namespace(kind).push("/linux/namespaces", json!({ "type": kind, "path": path }))
    }

    /// Adds a new user namespace that maps the ids from 0 to the host's ids from `host`. The host's id `host` owns the
    /// root file system.
    pub fn user_namespace(mut self, host: u32, size: u32) -> Self {
        self.owner = Some(host);
        let map = json!([{ "containerID": 0, "hostID": host, "size": size }]);
        self.namespace("user").set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
    }

    /// Sets the five capability sets to the same names.
    pub fn capabilities(self, names: &[&str]) -> Self {
        let sets = ["bounding", "effective", "permitted", "inheritable", "ambient"];
        sets.iter().fold(self, |bundle, set| bundle.set(&format!("/process/capabilities/{set}"), json!(names)))
    }

    /// Puts a file into the root file system.
    pub fn file(self, path: &str, text: &str) -> Self {
        self.file_with_mode(path, text, 0o644)
    }

    pub fn file_with_mode(mut self, path: &str, text: &str, mode: u32) -> Self {
        self.entries.push(Entry::File(path.into(), text.into(), mode));
        self
    }

    /// Puts a directory into the root file system.
    pub fn dir(mut self, path: &str) -> Self {
        self.entries.push(Entry::Dir(path.into()));
        self
    }

    /// Puts a symbolic link into the root file system.
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.entries.push(Entry::Symlink(path.into(), target.into()));
        self
    }

    /// Adds an option of `create` or `run`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.into());
        self
    }

    /// Sets the cgroup hierarchies that the runtime sees.
    pub fn view(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// Has this ordinary user own the bundle and make all calls about the container.
    pub fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Writes the bundle. Nothing runs yet.
    pub fn build(mut self) -> Result<Container> {
        if self.view == View::Unified && machine::get().v2.is_none() {
            return skip("there is no v2 hierarchy on this machine");
        }
        let id = unique_id();
        let dir = scratch()?;
        let has_path = self.config.pointer("/linux/cgroupsPath").is_some();
        if !has_path && self.user.is_none() && self.config["linux"].is_object() {
            self.config["linux"]["cgroupsPath"] = json!(format!("{}/{id}", machine::cgroup_parent()));
        }
        let bundle = dir.path().join("bundle");
        let rootfs = bundle.join("rootfs");
        fs::create_dir_all(&rootfs)?;
        fs::create_dir(dir.path().join("state"))?;
        fs::hard_link(payload::path(), rootfs.join("payload"))
            .or_else(|_| fs::copy(payload::path(), rootfs.join("payload")).map(drop))
            .context("the payload in the root file system")?;
        self.entries.iter().try_for_each(|entry| write(&rootfs, entry))?;
        fs::write(bundle.join("config.json"), serde_json::to_vec_pretty(&self.config)?)?;
        if let Some(owner) = self.owner {
            give(&rootfs, owner)?;
        }
        if let Some(uid) = self.user {
            give(dir.path(), uid)?;
        }
        Container::new(id, dir, self.view, self.options, self.user)
    }

    /// Writes the bundle and creates the container. Creating must succeed.
    pub fn create(self) -> Result<Container> {
        let container = self.build()?;
        container.create()?.success()?;
        ensure!(container.state_dir().is_dir(), "create succeeded and made no state");
        Ok(container)
    }

    /// Creates and starts the container. Both must succeed.
    pub fn start(self) -> Result<Container> {
        let container = self.create()?;
        container.start()?;
        Ok(container)
    }

    /// Calls `run` in the foreground. Returns the container's output and its exit code, whatever that is.
    pub fn run(self) -> Result<Output> {
        self.build()?.run()
    }

    /// Creating the container must fail, name the field (if the runtime is tare), and leave nothing behind.
    pub fn refused(self, field: &str) -> Result<Output> {
        let container = self.build()?;
        let output = container.create()?;
        names_field(&output, field)?;
        container.nothing_left()?;
        Ok(output)
    }

    /// The request is one that tare does not support, so it refuses it and names the field.
    pub fn refused_by_tare(self, field: &str) -> Result {
        if !runtime::is("tare") {
            return super::skip("only tare refuses unsupported requests by name");
        }
        self.refused(field).map(drop)
    }
}

/// The version of the specification; `OCI_VERSION` gives an older one, for runtimes that know no later one.
fn version() -> String {
    std::env::var("OCI_VERSION").unwrap_or_else(|_| "1.2.0".into())
}

/// A temporary directory that any user may enter.
pub fn scratch() -> Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("conformance-").tempdir()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

fn unique_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("tc-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn write(rootfs: &Path, entry: &Entry) -> Result {
    let inside = |path: &str| -> Result<PathBuf> {
        let path = rootfs.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("a path below the root")?)?;
        Ok(path)
    };
    match entry {
        Entry::File(path, text, mode) => {
            let path = inside(path)?;
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        }
        Entry::Dir(path) => fs::create_dir_all(inside(path)?)?,
        Entry::Symlink(path, target) => symlink(target, inside(path)?)?,
    }
    Ok(())
}

/// Gives a tree to a user. The payload keeps its owner: all bundles share one file.
fn give(path: &Path, uid: u32) -> Result {
    if path.ends_with("payload") {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, Some(uid), Some(uid))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid)?;
        }
    }
    Ok(())
}

/// The value at a JSON pointer. Objects on the way are made; an element of a list must exist.
fn place<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').skip(1).fold(value, |value, key| match value {
        Value::Array(list) => {
            let index: usize = key.parse().unwrap_or_else(|_| panic!("{key} in {pointer} is no index"));
            &mut list[index]
        }
        other => {
            if !other.is_object() {
                *other = json!({});
            }
            &mut other[key]
        }
    })
}

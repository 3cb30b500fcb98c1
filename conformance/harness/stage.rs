//! A place for one image, its store and its bundle, beside files that an image must not reach.

use super::image::Image;
use super::tree::Tree;
use super::{Call, Output, Result, bundle, check, equal, runtime, skip};
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Stage {
    dir: TempDir,
    before: Tree,
}

impl Stage {
    /// Skips the test if the runtime cannot unpack images.
    pub fn new() -> Result<Stage> {
        if !runtime::is("tare") {
            return skip("only tare unpacks images");
        }
        let dir = bundle::scratch()?;
        fs::create_dir_all(dir.path().join("canary/directory"))?;
        fs::write(dir.path().join("canary/secret"), "secret")?;
        let before = Tree::read(&dir.path().join("canary"))?;
        Ok(Stage { dir, before })
    }

    pub fn with(image: &Image) -> Result<Stage> {
        let stage = Stage::new()?;
        image.write(&stage.image())?;
        Ok(stage)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn image(&self) -> PathBuf {
        self.path("image")
    }

    pub fn bundle(&self) -> PathBuf {
        self.path("bundle")
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// A directory with files that no image may reach.
    pub fn canary(&self) -> PathBuf {
        self.path("canary")
    }

    /// `unpack OPTIONS IMAGE:t BUNDLE` to the store.
    pub fn call(&self, options: &[&str]) -> Call {
        let call = Call::new(["unpack", "--store"]).arg(self.store()).args(options);
        call.arg(format!("{}:t", self.image().display())).arg(self.bundle())
    }

    pub fn unpack(&self) -> Result<Output> {
        self.call(&[]).output()
    }

    /// The directories of the bundle's layers, the base first.
    pub fn layers(&self) -> Result<Vec<PathBuf>> {
        let config: serde_json::Value = serde_json::from_slice(&fs::read(self.bundle().join("config.json"))?)?;
        let layers = config["annotations"]["dev.tare.layers"].as_str().context("the annotation dev.tare.layers")?;
        Ok(serde_json::from_str(layers)?)
    }

    /// Nothing outside the store was touched, and nothing is in the making.
    pub fn is_clean(&self) -> Result {
        self.before.same(&Tree::read(&self.canary())?).context("files outside the store")?;
        let tmp = self.store().join("tmp");
        if tmp.exists() {
            equal("entries of the store's tmp", fs::read_dir(tmp)?.count(), 0)?;
        }
        for entry in fs::read_dir(self.dir.path())? {
            let name = entry?.file_name();
            let known = ["bundle", "canary", "image", "store"].iter().any(|it| name == *it);
            ensure!(known || name.to_string_lossy().ends_with(".by-test"), "new: {name:?}");
        }
        Ok(())
    }

    /// A call fails with one line, which contains these words, and leaves nothing.
    pub fn refused(&self, output: &Output, words: &[&str]) -> Result {
        output.failure()?;
        equal("lines of the message", output.stderr.lines().count(), 1).with_context(|| output.stderr.clone())?;
        ensure!(!output.stderr.contains("internal error"), "a panic: {output}");
        for word in words {
            check::contains("message", &output.stderr, word)?;
        }
        ensure!(!self.bundle().exists(), "a bundle is left");
        self.is_clean()
    }

    /// Runs the container of a bundle, without a terminal.
    pub fn run(&self, bundle: &Path) -> Result<Output> {
        let path = bundle.join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        config["process"]["terminal"] = false.into();
        fs::write(&path, config.to_string())?;
        let id = format!("image-{}-{}", std::process::id(), self.dir.path().file_name().unwrap_or_default().display());
        Call::new(["--root"]).arg(self.path("state.by-test")).args(["run", "--bundle"]).arg(bundle).arg(id).output()
    }
}

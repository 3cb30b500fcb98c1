//! README's lines about images, run as they are.

use crate::harness::image::Image;
use crate::harness::stage::Stage;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::path::Path;

tests![
    an_image_to_a_shell_in_two_lines,
    the_single_steps,
    exit_status_and_leftovers_of_run_image,
    options_that_contradict_an_image,
];

/// The indented block of README that begins with this line.
fn block(first: &str) -> Result<Vec<String>> {
    // The suite also runs in machines that have its program only.
    let mut lines =
        include_str!("../README.md").lines().skip_while(|line| line.trim() != first && !line.trim().starts_with(first));
    let block: Vec<String> = lines.by_ref().map_while(|line| line.strip_prefix("    ")).map(str::to_owned).collect();
    ensure!(!block.is_empty(), "README has no line {first:?}");
    Ok(block)
}

/// Runs lines in a directory that has the image `alpine` of README, with a store of their own.
fn shell(stage: &Stage, lines: &[String]) -> Result<Output> {
    let programs = stage.path("programs.by-test");
    fs::create_dir_all(&programs)?;
    std::os::unix::fs::symlink(&runtime::get().path, programs.join("tare"))?;
    std::os::unix::fs::symlink(stage.image(), stage.path("alpine"))?;
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let script = format!("set -e\ncd '{}'\n{}\n", stage.path("").display(), lines.join("\n"));
    let call = Call::of(Path::new("/bin/sh"), ["-c", &script]).env("PATH", path);
    call.covering(Path::new("/var/lib"))?.output()
}

fn image() -> Result<Image> {
    Image::new(["echo", "hello"]).with_payload()
}

/// The image comes from a registry in README, and from the test here.
fn an_image_to_a_shell_in_two_lines() -> Result {
    let stage = Stage::with(&image()?)?;
    let block = block("skopeo copy docker://")?;
    equal("lines", block.len(), 2)?;
    let output = shell(&stage, &block[1..])?;
    output.success()?;
    equal("output", output.stdout.as_str(), "hello\n")
}

fn the_single_steps() -> Result {
    let words = ["write", "/new", "text"];
    let stage = Stage::with(&Image::new(words).with_payload()?)?;
    let mut lines = block("tare unpack alpine bundle")?;
    // The test has no terminal.
    lines.insert(1, "sed -i 's/\"terminal\": true/\"terminal\": false/' bundle/config.json".to_owned());
    let output = shell(&stage, &lines)?;
    output.success()?;
    let printed: Vec<&str> = output.stdout.lines().collect();
    ensure!(printed.contains(&"A /new"), "no added file in {printed:?}");
    ensure!(printed.iter().any(|line| line.starts_with("sha256:")), "no digest in {printed:?}");
    ensure!(printed.iter().any(|line| line.ends_with("1 layers in use")), "no result of prune in {printed:?}");
    let index = fs::read_to_string(stage.image().join("index.json"))?;
    contains("the index of the image", &index, "\"changed\"")
}

/// The exit status is the program's, and nothing stays but the layers.
fn exit_status_and_leftovers_of_run_image() -> Result {
    let stage = Stage::with(&Image::new([]).with_payload()?.set("Cmd", json!(["exit", "7"])))?;
    let run = |options: &[&str], words: &[&str]| {
        let call = Call::new(["--root"]).arg(stage.path("state.by-test")).args(["run", "--store"]).arg(stage.store());
        call.args(options).arg("--image").arg(format!("{}:t", stage.image().display())).args(words).output()
    };
    equal("exit status", run(&[], &[])?.code()?, 7)?;
    equal("exit status", run(&[], &["box", "--", "exit", "9"])?.code()?, 9)?;
    equal("exit status", run(&[], &["--", "exit", "9"])?.code()?, 9)?;
    let left = || Ok::<_, anyhow::Error>(fs::read_dir(stage.store().join("run"))?.count());
    equal("bundles", left()?, 0)?;
    run(&["--keep"], &["kept"])?;
    equal("bundles", left()?, 1)?;
    run(&[], &["kept"])?.fails_with("container with given ID already exists")?;
    let prune = || {
        Call::new(["--root"]).arg(stage.path("state.by-test")).args(["prune", "--store"]).arg(stage.store()).output()
    };
    prune()?.success()?.has_line("0 layers with 0 bytes and 0 bundles removed, 1 layers in use")?;
    Call::new(["--root"]).arg(stage.path("state.by-test")).args(["delete", "kept"]).output()?.success()?;
    let output = prune()?;
    contains("the result of prune", &output.success()?.stdout, "1 bundles removed, 0 layers in use")?;
    equal("bundles", left()?, 0)?;
    stage.is_clean()
}

fn options_that_contradict_an_image() -> Result {
    let stage = Stage::with(&image()?)?;
    let image = format!("{}:t", stage.image().display());
    for options in [["--bundle", "/"], ["--config", "/x"], ["--layer", "/"], ["--upper", "/x"]] {
        let call = Call::new(["run", "--store"]).arg(stage.store()).args(options).args(["--image", &image, "box"]);
        call.output()?.fails_with("--image makes the bundle")?;
    }
    let none = Call::new(["run", "--store"]).arg(stage.store()).args(["--image", "/no/such/image"]).output()?;
    none.fails_with("no such file or directory")?;
    Call::new(["run"]).output()?.failure().context("run without an id")?;
    ensure!(!stage.store().exists(), "a store was made");
    Ok(())
}

//! Builds `init`, the sealed program that enters the container, and hands its image to the crate.
//!
//! It is one `no_std` file tree without dependencies, so the compiler is called directly: no
//! nested cargo, no linker script, no other target.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/init");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("init");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let status = Command::new(rustc)
        .args(["src/init/main.rs", "--crate-name", "init", "--edition", "2024", "--crate-type", "bin"])
        .args(["--target", &target, "-C", "panic=abort", "-C", "opt-level=s", "-C", "lto=fat"])
        .args(["-C", "codegen-units=1", "-C", "strip=symbols", "-C", "relocation-model=static"])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-static", "-C", "link-arg=-nostdlib"])
        // Code, constants and data share pages of the file: fewer pages to fault in.
        .args(["-C", "link-arg=-Wl,-z,noseparate-code", "-C", "link-arg=-Wl,--build-id=none"])
        .arg("-o")
        .arg(&out)
        .status()
        .expect("rustc runs");
    assert!(status.success(), "init does not compile");
}

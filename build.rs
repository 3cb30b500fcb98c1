//! Builds `init`, the sealed program that enters the container, and embeds its image into the crate.
//!
//! `init` is one `no_std` tree of files without dependencies, so this calls the compiler directly: there is no nested
//! cargo, no linker script and no other target.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/init");
    // The linker that .cargo/config.toml names and its list: cargo itself does not look at them.
    println!("cargo::rerun-if-changed=hack/linker");
    println!("cargo::rerun-if-changed=hack/order.list");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("init");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let mut command = Command::new(rustc);
    if target.ends_with("-musl") {
        // Only rustc's musl targets bring start files of their own; init has none.
        command.args(["-C", "link-self-contained=no"]);
    }
    let status = command
        .args(["src/init/main.rs", "--crate-name", "init", "--edition", "2024", "--crate-type", "bin"])
        .args(["--target", &target, "-C", "panic=abort", "-C", "opt-level=s", "-C", "lto=fat"])
        .args(["-C", "codegen-units=1", "-C", "strip=symbols", "-C", "relocation-model=static"])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-static", "-C", "link-arg=-nostdlib"])
        // Code, constants and data share pages of the file, so fewer pages are faulted in.
        .args(["-C", "link-arg=-Wl,-z,noseparate-code", "-C", "link-arg=-Wl,--build-id=none"])
        .args(["-C", "link-arg=-Wl,--no-eh-frame-hdr", "-C", "link-arg=-Wl,-T,src/init/image.ld"])
        .arg("-o")
        .arg(&out)
        .status()
        .expect("rustc runs");
    assert!(status.success(), "init does not compile");
}

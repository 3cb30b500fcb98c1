//! For any layer, unpacking does not panic, a refusal is one line, and nothing outside the layer's directory changes.
//!
//! The same members are unpacked twice, the second time on top of the first. The sums of the headers are made right.
#![no_main]

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tare::image::layer::{Budget, ImageLimits, MappedIds, unpack};

/// Makes the sum of each header right, so that the members behind it are reached.
fn with_sums(data: &[u8]) -> Vec<u8> {
    let mut tar = data.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + 512) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let digits = header[124..136].iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
        let size = digits.fold(0usize, |size, digit| size.saturating_mul(8).saturating_add((digit - b'0').into()));
        at = at.saturating_add(512).saturating_add(size.saturating_add(511) / 512 * 512);
    }
    tar
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = fs::read_dir(directory).expect("list").map(|it| it.expect("entry").path()).collect();
    names.sort();
    names
}

/// A directory for this process, in memory.
fn place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        // SAFETY: umask changes this process only. The modes of files are the layer's.
        unsafe { libc::umask(0) };
        let path = PathBuf::from(format!("/dev/shm/tare-fuzz-{}", std::process::id()));
        fs::create_dir(&path).expect("mkdir");
        fs::create_dir(path.join("canary")).expect("mkdir");
        fs::write(path.join("canary/secret"), "secret").expect("write");
        path
    })
}

fuzz_target!(|data: &[u8]| {
    let (place, tar) = (place(), with_sums(data));
    let ids = MappedIds::here().expect("maps");
    let mut budget = Budget::new(ImageLimits { bytes: 1 << 20, members: 200 });
    let layers: Vec<PathBuf> = ["0", "1"].iter().map(|name| place.join(name)).collect();
    for number in 0..layers.len() {
        fs::create_dir(&layers[number]).expect("mkdir");
        let open = |path: &PathBuf| OwnedFd::from(File::open(path).expect("open"));
        let below: Vec<OwnedFd> = layers[..number].iter().map(open).collect();
        match unpack(tar.as_slice(), open(&layers[number]), &below, &ids, &mut budget) {
            Ok(notes) => assert!(notes.lines().all(|line| !line.contains('\n'))),
            Err(error) => {
                let text = format!("{error:#}");
                assert!(!text.contains('\n'), "not one line: {text}");
            }
        }
    }
    assert_eq!(names(place), [&layers[0], &layers[1], &place.join("canary")].map(Clone::clone));
    assert_eq!(names(&place.join("canary")), [place.join("canary/secret")]);
    assert_eq!(fs::read(place.join("canary/secret")).expect("read"), b"secret");
    for layer in layers {
        tare::image::store::remove_all(&layer).expect("remove");
    }
});

//! A process that looks into every other process of its pid namespace.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Until the file `stop` exists: prints all that it reads of `prey`, a path from the host's root, through another
/// process's root directory, working directory and descriptors. Then prints each program of
/// theirs, other than its own, that it can write to.
pub fn on_others(stop: &str, prey: &str, say: fn(String)) {
    let (own, mut seen, mut held) = (std::process::id().to_string(), BTreeSet::new(), Vec::new());
    let itself = fs::metadata("/proc/self/exe").map(|file| (file.dev(), file.ino())).ok();
    say("spy: begins".to_owned());
    while !Path::new(stop).exists() {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        for pid in names.filter(|name| *name != own && name.bytes().all(|byte| byte.is_ascii_digit())) {
            if let Ok(program) = File::open(format!("/proc/{pid}/exe"))
                && let Ok(file) = program.metadata()
                && itself != Some((file.dev(), file.ino()))
                && held.iter().all(|(_, known)| *known != (file.dev(), file.ino()))
            {
                held.push((program, (file.dev(), file.ino())));
            }
            ways(&pid, prey).into_iter().filter(|line| seen.insert(line.clone())).for_each(say);
        }
    }
    // While a program runs, the kernel refuses to open it for writing. Its processes have ended by now.
    for (program, (dev, ino)) in held {
        let again = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", program.as_raw_fd()));
        let mut byte = [0];
        // The byte that is there is written again: the runtime survives the proof.
        if let Ok(again) = again
            && program.read_at(&mut byte, 0).is_ok()
            && again.write_at(&byte, 0).is_ok()
        {
            say(format!("spy: can write to {dev}:{ino}"));
        }
    }
}

fn ways(pid: &str, prey: &str) -> Vec<String> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let names = descriptors.map(|entry| format!("fd/{}", entry.file_name().to_string_lossy()));
    let places = ["root".to_owned(), "cwd".to_owned()].into_iter().chain(names);
    let read = |place: String| Some((fs::read_to_string(format!("/proc/{pid}/{place}/{prey}")).ok()?, place));
    places.filter_map(read).map(|(text, place)| format!("spy: through {place}: {text}")).collect()
}

//! The arguments of the commands on images.

use std::path::PathBuf;
use std::vec::IntoIter;

use super::option::{Argument, Count, Number, Opt, option, takes};

takes! {
    /// The options of all commands that unpack an image.
    ImageArgs() {
        platform: Option<String> =
            option("platform", "OS/ARCH[/VARIANT]", "the platform, if the image has several (default: this machine's)"),
        store: Option<PathBuf> = store(),
        max_size: Option<String> = option("max-size", "SIZE", "refuse an image that unpacks to more (default: 256G)"),
        max_files: Number<u64> = option("max-files", "N", "refuse an image with more files (default: 16777216)"),
    }
}

takes! {
    UnpackArgs(image: String, bundle: String) {
        ..options: ImageArgs,
    }
}

takes! {
    DiffArgs(place: String) {}
}

takes! {
    PruneArgs() {
        store: Option<PathBuf> = store(),
    }
}

takes! {
    PackArgs(place: String, image: String) {}
}

/// The command after the id of `run --image`. Without `--image` there are no such arguments.
#[derive(Clone, Debug, Default)]
pub struct Rest(pub Vec<String>);

impl Argument for Rest {
    const COUNT: Count = Count::NONE;

    fn take(words: &mut IntoIter<String>) -> Self {
        Rest(words.collect())
    }
}

fn store() -> Opt<Option<PathBuf>> {
    option("store", "DIR", "the store of layers (default: /var/lib/tare, or ~/.local/share/tare for an ordinary user)")
}

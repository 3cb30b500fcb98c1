//! A progress bar on a terminal.

use std::io::{IsTerminal, Read};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::source::LayerBlob;

/// The progress of unpacking an image. Silent unless standard error is a terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar for these layers.
    pub fn new(layers: &[LayerBlob]) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bytes = layers.iter().map(|layer| layer.size).sum();
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}");
        Progress(style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style)))
    }

    /// Counts the bytes that are read from a blob.
    pub fn watch<R: Read + Send + 'static>(&self, blob: R) -> impl Read + Send + use<R> {
        self.0.wrap_read(blob)
    }

    /// Counts a layer that was in the store.
    pub fn skip(&self, layer: &LayerBlob) {
        self.0.inc(layer.size);
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

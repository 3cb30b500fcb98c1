//! The content of a layer: from a tar stream to a directory in the form of overlayfs.

mod archive;
mod member;
mod pax;
mod sparse;

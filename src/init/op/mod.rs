//! The operations of `init`: one closed list, shared by the program that plans and the program
//! that acts.
//!
//! These files are compiled twice, into the library and into the sealed `init`, by the same compiler.
//! The bytes that the parent writes are the values that `init` reads: there is no encoding.

mod enter;
mod entry;
mod mount;
mod process;
mod rights;
mod rootfs;
mod rules;
mod talk;

pub use enter::Enter;
pub use entry::Entry;
pub use mount::{Attributes, Mount, Propagation};
pub use process::Process;
pub use rights::Rights;
pub use rootfs::Rootfs;
pub use rules::Rules;
pub use talk::{Ask, Message, Talk, kind, why};

/// The address at which `init` maps its program. Linux places nothing near it by itself, so the parent can write
/// absolute addresses (for `argv` and `envp`) before the child exists.
pub const BASE: usize = 0x10_0000_0000;

/// The first bytes of the mapped program.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Offset of the first [`Op`].
    pub ops: u32,
    /// Number of operations.
    pub count: u32,
    /// Offset of the table of descriptors that [`Slot`]s point into.
    pub slots: u32,
    /// The socket to the parent.
    pub channel: i32,
}

/// Offset of the data area that [`Text`] and [`List`] point into.
pub const DATA: usize = size_of::<Header>();

/// A string in the data area, followed by a NUL byte that `len` does not count.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Offset in the data area.
    pub at: u32,
    /// Bytes without the NUL.
    pub len: u32,
}

impl Text {
    /// No text; told apart from an empty one.
    pub const NONE: Text = Text { at: u32::MAX, len: 0 };
}

/// A list in the data area; what it holds is said where it is used.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Offset of the first element in the data area, a multiple of 8.
    pub at: u32,
    /// Number of elements.
    pub len: u32,
}

/// An index into the table of descriptors: those that the parent opens and `init` inherits, and those
/// of mounts that `init` keeps for later operations.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u32);

impl Slot {
    /// No descriptor.
    pub const NONE: Slot = Slot(u32::MAX);
}

/// One operation. The order of execution is the order of the list.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// Enters namespaces.
    Enter(Enter),
    /// Makes or leaves a root.
    Rootfs(Rootfs),
    /// Mounts in the root.
    Mount(Mount),
    /// Makes a file in the root.
    Entry(Entry),
    /// Changes the process.
    Process(Process),
    /// Changes the rights of the process.
    Rights(Rights),
    /// Waits for another process.
    Talk(Talk),
}

macro_rules! from {
    ($($kind:ident)*) => {
        $(impl From<$kind> for Op {
            fn from(it: $kind) -> Op {
                Op::$kind(it)
            }
        })*
    };
}

from! { Enter Rootfs Mount Entry Process Rights Talk }

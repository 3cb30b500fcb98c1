//! The operations of `init`: one list, which the planner makes and `init` carries out.
//!
//! The same compiler compiles these files twice, into the library and into the sealed `init`. The runtime writes values
//! of these types, and `init` reads them from memory without decoding.

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

/// The address at which `init` maps its program. Linux places no mapping near it on its own, so the runtime can write
/// absolute addresses (for `argv` and `envp`) before `init` exists. It is a megabyte above the image, so that both share
/// their page tables: the memory of the container pays for each of these.
pub const BASE: usize = 0x50_0000;

/// The first bytes of the mapped program.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The offset of the first [`Op`].
    pub ops: u32,
    /// The number of operations.
    pub count: u32,
    /// The offset of the table of descriptors. A [`Slot`] is an index into it.
    pub slots: u32,
    /// The socket to the runtime.
    pub channel: i32,
    /// The shared memory for time stamps, or -1 if no trace is made.
    pub stamps: i32,
}

/// The offset of the data area, to which the offsets of [`Text`] and [`List`] are relative.
pub const DATA: usize = size_of::<Header>();

/// A string in the data area, followed by a NUL byte that `len` does not count.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// The offset in the data area.
    pub at: u32,
    /// The length in bytes, without the NUL.
    pub len: u32,
}

impl Text {
    /// No text, as opposed to an empty text.
    pub const NONE: Text = Text { at: u32::MAX, len: 0 };
}

/// A list in the data area. The operation that uses it says which elements it has.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// The offset of the first element in the data area, a multiple of 8.
    pub at: u32,
    /// The number of elements.
    pub len: u32,
}

/// An index into the table of descriptors: those that the runtime opens and `init` inherits, and those of mounts that
/// `init` keeps open for later operations.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u32);

impl Slot {
    /// No descriptor.
    pub const NONE: Slot = Slot(u32::MAX);
}

/// One operation. `init` carries out the operations in the order of the list.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// An operation that enters namespaces.
    Enter(Enter),
    /// An operation that makes or leaves a root.
    Rootfs(Rootfs),
    /// An operation on the mounts in the root.
    Mount(Mount),
    /// An operation that makes a file in the root.
    Entry(Entry),
    /// An operation on the process.
    Process(Process),
    /// An operation on the rights of the process.
    Rights(Rights),
    /// An operation that waits for another process.
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

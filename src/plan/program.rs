//! The program for `init`: operations, the fields they come from, and the data they refer to.

use std::path::PathBuf;

use crate::init::op::{Attributes, BASE, DATA, List, Op, Propagation, Slot, Text};
use crate::spec::{Field, Ids, Refusal};

/// A descriptor that the parent opens for `init` just before the clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Descriptor {
    /// A namespace to join.
    Namespace {
        /// A file of nsfs.
        path: PathBuf,
        /// `CLONE_NEW*` that it has to be of.
        flag: u32,
        /// Who asks for it.
        field: Field,
        /// With what it is refused where it turns out to be the runtime's own.
        claim: Option<Refusal>,
    },
    /// A copy of a mount.
    Tree(Tree),
    /// A mount of this number in the config, or what else `init` keeps open for later operations.
    Kept(usize),
    /// A device that the parent makes.
    Node(Node),
    /// The read end of `exec.fifo`.
    Gate,
    /// The process whose namespaces are joined.
    Process,
}

/// A detached copy of a mount: what `init` could not open from inside a user namespace, or with
/// mapped owners.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// As a new user namespace finds it.
    pub locked: bool,
    /// The host's path.
    pub source: PathBuf,
    /// With all mounts below it.
    pub recursive: bool,
    /// Of what a symbolic link leads to, not of the link.
    pub follow: bool,
    /// Map the owners of the files.
    pub id_map: Option<IdMap>,
    /// Who asks for it.
    pub field: Field,
}

/// A device on a file system of its own, for a user namespace, in which none can be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Type and permissions.
    pub mode: u32,
    /// Its number.
    pub device: u64,
    /// The owner, in the host's ids.
    pub owner: Ids,
    /// Its path, which the host may have, too: to be bound where the caller may make no nodes.
    pub path: PathBuf,
    /// Who asks for it.
    pub field: Field,
}

/// The owners of an id-mapped mount (`MOUNT_ATTR_IDMAP`).
#[derive(Clone, Debug, PartialEq)]
pub struct IdMap {
    /// Whose they are.
    pub owners: Owners,
    /// For all mounts below, too.
    pub recursive: bool,
}

/// The ids that the files of a mount are given.
#[derive(Clone, Debug, PartialEq)]
pub enum Owners {
    /// Those of a user namespace with these maps.
    Maps {
        /// Lines for `/proc/PID/uid_map`.
        uid: String,
        /// Lines for `/proc/PID/gid_map`.
        gid: String,
    },
    /// Those of the user namespace that is joined.
    Joined(PathBuf),
}

/// The list of operations. Pure data: no descriptors, no pids.
#[derive(Clone, Debug, Default)]
pub struct Program {
    ops: Vec<Op>,
    fields: Vec<Field>,
    data: Vec<u8>,
    slots: Vec<Descriptor>,
}

impl Program {
    /// An empty program.
    pub fn new() -> Self {
        // One allocation each for a program of ordinary size.
        Program {
            ops: Vec::with_capacity(96),
            fields: Vec::with_capacity(96),
            data: Vec::with_capacity(6144),
            slots: Vec::new(),
        }
    }

    /// Append an operation that `field` asks for.
    pub fn push(&mut self, field: &Field, op: impl Into<Op>) {
        self.ops.push(op.into());
        self.fields.push(field.clone());
    }

    /// Store a text. The caller has made sure that it holds no NUL byte.
    pub fn text(&mut self, text: &str) -> Text {
        let at = self.data.len() as u32;
        self.data.extend_from_slice(text.as_bytes());
        self.data.push(0);
        Text { at, len: text.len() as u32 }
    }

    fn list(&mut self, len: usize) -> List {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        List { at: self.data.len() as u32, len: len as u32 }
    }

    /// Store a list of texts.
    pub fn texts(&mut self, texts: &[Text]) -> List {
        let list = self.list(texts.len());
        for text in texts {
            self.data.extend_from_slice(&text.at.to_ne_bytes());
            self.data.extend_from_slice(&text.len.to_ne_bytes());
        }
        list
    }

    /// Store pairs of key and value for `fsconfig(2)`.
    pub fn options(&mut self, data: &[(&str, Option<&str>)]) -> List {
        let mut texts = Vec::with_capacity(data.len() * 2);
        for (key, value) in data {
            texts.push(self.text(key));
            texts.push(value.map_or(Text::NONE, |value| self.text(value)));
        }
        self.texts(&texts)
    }

    /// Store a list of 64-bit words.
    pub fn words(&mut self, words: &[u64]) -> List {
        let list = self.list(words.len());
        self.data.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        list
    }

    /// Store a list of 32-bit numbers.
    pub fn numbers(&mut self, numbers: &[u32]) -> List {
        let list = self.list(numbers.len());
        self.data.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        list
    }

    /// Store pairs of 32-bit numbers.
    pub fn pairs(&mut self, pairs: &[(u32, u32)]) -> List {
        let list = self.list(pairs.len());
        self.data.extend(pairs.iter().flat_map(|(a, b)| [*a, *b]).flat_map(u32::to_ne_bytes));
        list
    }

    /// Store a null-terminated array of addresses, as `execve(2)` takes it, with `free` places
    /// before the end that `init` may fill.
    pub fn addresses(&mut self, texts: &[Text], free: usize) -> List {
        let mut words: Vec<u64> = texts.iter().map(|text| (BASE + DATA) as u64 + u64::from(text.at)).collect();
        words.resize(words.len() + free + 1, 0);
        self.words(&words)
    }

    /// Have the parent open something; asking twice for the same gives the same slot.
    pub fn slot(&mut self, descriptor: Descriptor) -> Slot {
        let index = self.slots.iter().position(|known| *known == descriptor).unwrap_or_else(|| {
            self.slots.push(descriptor);
            self.slots.len() - 1
        });
        Slot(index as u32)
    }

    /// The operations in their order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The data area.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// What the parent has to open.
    pub fn slots(&self) -> &[Descriptor] {
        &self.slots
    }

    /// An operation by its index, and who asked for it.
    pub fn at(&self, index: u32) -> Option<(&Op, &Field)> {
        self.ops.get(index as usize).zip(self.fields.get(index as usize))
    }

    /// Operations and fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&Op, &Field)> {
        self.ops.iter().zip(&self.fields)
    }

    /// Read a text back.
    pub fn show(&self, text: Text) -> &str {
        let range = text.at as usize..(text.at + text.len) as usize;
        if text == Text::NONE {
            ""
        } else {
            std::str::from_utf8(self.data.get(range).unwrap_or_default()).unwrap_or_default()
        }
    }

    fn bytes(&self, list: List, size: usize) -> &[u8] {
        self.data.get(list.at as usize..list.at as usize + list.len as usize * size).unwrap_or_default()
    }

    /// Read a list of texts back.
    pub fn show_texts(&self, list: List) -> Vec<Text> {
        let numbers = self.show_numbers(List { len: list.len * 2, ..list });
        numbers.chunks_exact(2).map(|pair| Text { at: pair[0], len: pair[1] }).collect()
    }

    /// Read a list of numbers back.
    pub fn show_numbers(&self, list: List) -> Vec<u32> {
        self.bytes(list, 4).as_chunks::<4>().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect()
    }

    /// Read a list of words back.
    pub fn show_words(&self, list: List) -> Vec<u64> {
        self.bytes(list, 8).as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect()
    }

    /// Read an array of addresses back as texts.
    pub fn show_addresses(&self, list: List) -> Vec<&str> {
        let offset = |word: u64| word.checked_sub((BASE + DATA) as u64);
        let text = |at: u64| {
            let rest = self.data.get(at as usize..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            std::str::from_utf8(&rest[..end]).unwrap_or_default()
        };
        self.show_words(list).into_iter().filter_map(offset).map(text).collect()
    }
}

/// Attributes that do nothing.
pub const NO_ATTRIBUTES: Attributes =
    Attributes { set: 0, clear: 0, tree_set: 0, tree_clear: 0, propagation: Propagation::NONE };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        let mut program = Program::new();
        let (a, b) = (program.text("alpha"), program.text("b"));
        let list = program.texts(&[a, Text::NONE, b]);
        assert_eq!(program.show_texts(list), [a, Text::NONE, b]);
        assert_eq!(program.show(b), "b");
        let array = program.addresses(&[a, b], 1);
        assert_eq!(array.len, 4);
        assert_eq!(program.show_addresses(array), ["alpha", "b"]);
        assert_eq!(array.at % 8, 0);
    }
}

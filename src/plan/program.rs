//! The program for `init`: its operations, the field that each comes from, and their data.

use std::path::PathBuf;

use anyhow::Result;

use super::id_map::IdMap;
use super::layers::RootUnion;
use crate::init::op::{Attributes, BASE, DATA, List, Op, Propagation, Slot, Text};
use crate::spec::{Field, Ids, Refusal, refuse};

/// A descriptor that the runtime opens for `init` before the clone, or that `init` keeps open.
#[derive(Clone, Debug, PartialEq)]
pub enum Descriptor {
    /// A namespace to join.
    Namespace {
        path: PathBuf,
        /// `CLONE_NEW*`: the kind that the namespace must have.
        flag: u32,
        field: Field,
        /// The refusal if the namespace is the runtime's own.
        claim: Option<Refusal>,
    },
    /// The file `tasks` of the cgroup in the v1 hierarchy of these controllers.
    Tasks(String),
    /// A copy of a mount.
    Tree(Tree),
    /// A union of layers, mounted by the runtime.
    Union(Box<RootUnion>),
    /// The mount of the config with this index, which `init` keeps open; `usize::MAX` for `/dev` of the image.
    Kept(usize),
    /// A device node that the runtime makes.
    Node(Node),
    /// The read end of `exec.fifo`.
    Gate,
    /// The pidfd of the process whose namespaces are joined.
    Process,
}

/// A detached copy of a mount, for a source that `init` may not be able to open in its user namespace, or with
/// id-mapped owners.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Its flags are locked, as those of all mounts are for a new user namespace.
    pub locked: bool,
    /// The path on the host.
    pub source: PathBuf,
    /// The copy includes all mounts below the source.
    pub recursive: bool,
    /// Follow a symbolic link at the source.
    pub follow: bool,
    pub id_map: Option<IdMap>,
    pub field: Field,
}

/// A device node on a file system of its own. A user namespace needs it, because mknod(2) fails there.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Type and permissions.
    pub mode: u32,
    /// The device number.
    pub device: u64,
    /// The owner, as ids of the host.
    pub owner: Ids,
    /// The path. If the caller may not make nodes, the host's node at this path is bound.
    pub path: PathBuf,
    pub field: Field,
}

/// A program for `init`. It is pure data, without open descriptors and without pids.
#[derive(Clone, Debug, Default)]
pub struct Program {
    ops: Vec<Op>,
    fields: Vec<Field>,
    data: Vec<u8>,
    slots: Vec<Descriptor>,
    /// A text with a NUL byte was stored since the last operation.
    cut: bool,
    /// The field that asked for an operation with such a text.
    cut_at: Option<Field>,
}

impl Program {
    pub fn new() -> Self {
        // A program of usual size fits into these: one allocation each.
        Program {
            ops: Vec::with_capacity(96),
            fields: Vec::with_capacity(96),
            data: Vec::with_capacity(6144),
            slots: Vec::new(),
            cut: false,
            cut_at: None,
        }
    }

    /// Makes room for this many more operations.
    pub fn reserve(&mut self, ops: usize) {
        self.ops.reserve(ops);
        self.fields.reserve(ops);
    }

    /// Appends an operation that `field` asks for.
    pub fn push(&mut self, field: &Field, op: impl Into<Op>) {
        if std::mem::take(&mut self.cut) {
            self.cut_at.get_or_insert_with(|| field.clone());
        }
        self.ops.push(op.into());
        self.fields.push(field.clone());
    }

    /// Refuses a program with a text that has a NUL byte: the kernel would take its beginning for the whole text, so
    /// that another file or directory would be used.
    pub fn whole(self) -> Result<Program> {
        match &self.cut_at {
            Some(field) => refuse!(field, "contains a NUL byte"),
            None => Ok(self),
        }
    }

    /// Stores a text. [`Program::whole`] refuses one with a NUL byte.
    pub fn text(&mut self, text: &str) -> Text {
        self.cut |= text.as_bytes().contains(&0);
        let at = self.data.len() as u32;
        self.data.extend_from_slice(text.as_bytes());
        self.data.push(0);
        Text { at, len: text.len() as u32 }
    }

    fn list(&mut self, len: usize) -> List {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        List { at: self.data.len() as u32, len: len as u32 }
    }

    /// Stores a list of texts.
    pub fn texts(&mut self, texts: &[Text]) -> List {
        let list = self.list(texts.len());
        for text in texts {
            self.data.extend_from_slice(&text.at.to_ne_bytes());
            self.data.extend_from_slice(&text.len.to_ne_bytes());
        }
        list
    }

    /// Stores pairs of key and value for fsconfig(2).
    pub fn options(&mut self, data: &[(&str, Option<&str>)]) -> List {
        let mut texts = Vec::with_capacity(data.len() * 2);
        for (key, value) in data {
            texts.push(self.text(key));
            texts.push(value.map_or(Text::NONE, |value| self.text(value)));
        }
        self.texts(&texts)
    }

    /// Stores a list of 64-bit words.
    pub fn words(&mut self, words: &[u64]) -> List {
        let list = self.list(words.len());
        self.data.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        list
    }

    /// Stores a list of 32-bit numbers.
    pub fn numbers(&mut self, numbers: &[u32]) -> List {
        let list = self.list(numbers.len());
        self.data.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        list
    }

    /// Stores pairs of 32-bit numbers.
    pub fn pairs(&mut self, pairs: &[(u32, u32)]) -> List {
        let list = self.list(pairs.len());
        self.data.extend(pairs.iter().flat_map(|(a, b)| [*a, *b]).flat_map(u32::to_ne_bytes));
        list
    }

    /// Stores a null-terminated array of addresses for execve(2). Before the end it has `free` empty places, which
    /// `init` may fill.
    pub fn addresses(&mut self, texts: &[Text], free: usize) -> List {
        let mut words: Vec<u64> = texts.iter().map(|text| (BASE + DATA) as u64 + u64::from(text.at)).collect();
        words.resize(words.len() + free + 1, 0);
        self.words(&words)
    }

    /// The slot of a descriptor. The same descriptor always has the same slot.
    pub fn slot(&mut self, descriptor: Descriptor) -> Slot {
        let index = self.slots.iter().position(|known| *known == descriptor).unwrap_or_else(|| {
            self.slots.push(descriptor);
            self.slots.len() - 1
        });
        Slot(index as u32)
    }

    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The descriptors, by slot.
    pub fn slots(&self) -> &[Descriptor] {
        &self.slots
    }

    /// An operation by its index, and the field that asked for it.
    pub fn at(&self, index: u32) -> Option<(&Op, &Field)> {
        self.ops.get(index as usize).zip(self.fields.get(index as usize))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Op, &Field)> {
        self.ops.iter().zip(&self.fields)
    }

    /// Returns a stored text.
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

    /// Returns a stored list of texts.
    pub fn show_texts(&self, list: List) -> Vec<Text> {
        let numbers = self.show_numbers(List { len: list.len * 2, ..list });
        numbers.chunks_exact(2).map(|pair| Text { at: pair[0], len: pair[1] }).collect()
    }

    /// Returns a stored list of numbers.
    pub fn show_numbers(&self, list: List) -> Vec<u32> {
        self.bytes(list, 4).as_chunks::<4>().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect()
    }

    /// Returns a stored list of words.
    pub fn show_words(&self, list: List) -> Vec<u64> {
        self.bytes(list, 8).as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect()
    }

    /// Returns the texts of a stored array of addresses.
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

/// Attributes that change nothing.
pub const NO_ATTRIBUTES: Attributes =
    Attributes { set: 0, clear: 0, tree_set: 0, tree_clear: 0, propagation: Propagation::NONE };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_nul_is_refused() {
        let mut program = Program::new();
        for text in ["/a", "/\0/b", "/c"] {
            let path = program.text(text);
            program.push(&Field::item("mounts", program.ops().len()), crate::init::op::Rootfs::Bind { path });
        }
        assert_eq!(program.whole().unwrap_err().to_string(), "mounts[1]: contains a NUL byte");
    }

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

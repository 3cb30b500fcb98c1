//! Notes about members that could not be unpacked as they are.

use std::collections::BTreeMap;

use super::member::Shown;

/// Counts by reason, each with the first example.
#[derive(Debug, Default)]
pub struct Notes(BTreeMap<&'static str, (u64, String)>);

impl Notes {
    /// Adds a member.
    pub fn add(&mut self, reason: &'static str, path: &[u8]) {
        self.0.entry(reason).or_insert_with(|| (0, Shown(path).to_string())).0 += 1;
    }

    /// One line for each reason.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(reason, (count, example))| match count {
            1 => format!("{example} {reason}"),
            _ => format!("{example} and {} more {reason}", count - 1),
        })
    }

    /// Takes over the notes of another layer.
    pub fn join(&mut self, other: Notes) {
        for (reason, (count, example)) in other.0 {
            self.0.entry(reason).or_insert_with(|| (0, example)).0 += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_reason() {
        let (mut notes, mut other) = (Notes::default(), Notes::default());
        notes.add("is left out: a device", b"dev/a\n");
        other.add("is left out: a device", b"dev/b");
        other.add("loses an attribute", b"c");
        notes.join(other);
        let lines: Vec<String> = notes.lines().collect();
        assert_eq!(lines, ["\"dev/a\\n\" and 1 more is left out: a device", "\"c\" loses an attribute"]);
    }
}

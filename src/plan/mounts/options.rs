//! The options of a mount.

use anyhow::Result;
use oci_spec::runtime::Mount;

use crate::init::op::{Attributes, Rules};
use crate::spec::{Field, refusal, refuse};
use crate::tables::mount_option::{self as option, Effect};

/// The options of one mount, grouped by their effect.
#[derive(Debug, Default)]
pub struct MountOptions<'a> {
    pub attributes: Attributes,
    /// `Some(true)` for `rbind`.
    pub bind: Option<bool>,
    pub remount: bool,
    pub copy_up: bool,
    /// `Some(true)` for `ridmap`.
    pub id_map: Option<bool>,
    /// The value of `idmap=` or `ridmap=`.
    pub id_map_text: Option<&'a str>,
    /// Rules for symbolic links.
    pub links: Rules,
    /// Flags of the superblock that only mount(2) can set.
    pub legacy: Rules,
    /// One of the options is for the superblock.
    pub superblock: bool,
    /// Options of the file system: key and value.
    pub data: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> MountOptions<'a> {
    /// Of two options for the same flag the last one wins, as with mount(8). Some options add up: `rbind` beside `bind`
    /// is recursive in any order, and a mount may become a slave and then shared. podman passes empty options.
    pub fn parse(mount: &'a Mount, field: &Field) -> Result<Self> {
        let mut it = MountOptions::default();
        for text in mount.options().iter().flatten().filter(|text| !text.is_empty()) {
            if let Some(effect) = option::effect(text) {
                it.apply(effect).map_err(|why| refusal!(field.member("options"), "\"{text}\": {why}"))?;
                continue;
            }
            match text.split_once('=') {
                Some((name @ ("idmap" | "ridmap"), maps)) => {
                    (it.id_map, it.id_map_text) = (Some(name == "ridmap"), Some(maps));
                }
                Some((key, value)) => it.data.push((key, Some(without_quotes(key, value)))),
                None => it.data.push((text, None)),
            }
        }
        if mount.typ().as_deref() == Some("bind") && it.bind.is_none() {
            it.bind = Some(false);
        }
        let Attributes { set, clear, tree_set, tree_clear, .. } = &mut it.attributes;
        if *tree_set & (option::NOATIME | option::STRICTATIME) == option::NOATIME | option::STRICTATIME {
            refuse!(field.member("options"), "rnoatime and rstrictatime exclude each other");
        }
        settle_atime(set, clear, true);
        settle_atime(tree_set, tree_clear, false);
        Ok(it)
    }

    /// Returns the reason if the option cannot be applied.
    fn apply(&mut self, effect: Effect) -> Result<(), &'static str> {
        let MountOptions { attributes: it, .. } = self;
        match effect {
            Effect::Set(bit) => (it.set, it.clear) = (it.set | bit, it.clear & !bit),
            Effect::Clear(bit) => (it.set, it.clear) = (it.set & !bit, it.clear | bit),
            Effect::TreeSet(bit) => (it.tree_set, it.tree_clear) = (it.tree_set | bit, it.tree_clear & !bit),
            Effect::TreeClear(bit) => (it.tree_set, it.tree_clear) = (it.tree_set & !bit, it.tree_clear | bit),
            Effect::Propagation(flag, recursive) => {
                let Some(words) = it.propagation.and(flag, recursive) else {
                    return Err("too many words on propagation");
                };
                it.propagation = words;
            }
            Effect::Superblock(name) => {
                self.superblock = true;
                self.data.push((name, None));
            }
            Effect::Legacy(rule, true) => (self.superblock, self.legacy) = (true, self.legacy | rule),
            Effect::Legacy(rule, false) => (self.superblock, self.legacy) = (true, self.legacy.without(rule)),
            Effect::Bind(recursive) => self.bind = Some(recursive || self.bind == Some(true)),
            Effect::CopyUp => self.copy_up = true,
            Effect::CopyLink => self.links |= Rules::COPY_LINK | Rules::SOURCE_NO_FOLLOW,
            Effect::SourceNoFollow => self.links |= Rules::SOURCE_NO_FOLLOW,
            Effect::TargetNoFollow => self.links |= Rules::NO_FOLLOW,
            Effect::IdMap(recursive) => self.id_map = Some(recursive),
            Effect::Remount => self.remount = true,
            Effect::Nothing => {}
        }
        Ok(())
    }

    /// The attributes for a new mount, which has no flag that could be cleared.
    pub fn on_a_new_mount(&self) -> Attributes {
        Attributes { clear: 0, ..self.attributes }
    }

    pub fn value(&self, key: &str) -> Option<&str> {
        self.data.iter().rev().find(|(known, _)| *known == key).and_then(|(_, value)| *value)
    }
}

/// The value of an option. SELinux's options have quotes for mount(2), which takes the commas of a label for the ends of
/// options; fsconfig(2) takes the value as it is.
fn without_quotes<'a>(key: &str, value: &'a str) -> &'a str {
    let inside = || value.strip_prefix('"')?.strip_suffix('"');
    if key.ends_with("context") { inside().unwrap_or(value) } else { value }
}

/// Brings the access time flags into the kernel's form. For mount(2) they are three flags: `strictatime` wins over
/// `noatime`, and `noatime` over `relatime`. For mount_setattr(2) they are one number, which is cleared as a whole.
/// With `together`, as in mount(2), a call that sets the number or `nodiratime` resets the other one to its default.
fn settle_atime(set: &mut u64, clear: &mut u64, together: bool) {
    let words = (*set | *clear) & option::ATIME;
    if words != 0 || together && *set & option::NODIRATIME != 0 {
        let chosen = match *set {
            set if set & option::STRICTATIME != 0 => option::STRICTATIME,
            set => set & option::NOATIME,
        };
        if together && *set & (option::ATIME | option::NODIRATIME) != 0 {
            *clear |= option::NODIRATIME & !*set;
        }
        *set = *set & !option::ATIME | chosen;
        *clear |= option::ATIME;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::op::Propagation;
    use crate::plan::program::NO_ATTRIBUTES;
    use option::*;

    fn parsed(options: &[&str]) -> Attributes {
        let mount: Mount =
            serde_json::from_value(serde_json::json!({"destination": "/x", "options": options})).unwrap();
        MountOptions::parse(&mount, &Field::of("mounts")).unwrap().attributes
    }

    fn propagation(words: &[(u64, bool)]) -> Propagation {
        words.iter().fold(Propagation::NONE, |all, (flag, recursive)| all.and(*flag, *recursive).unwrap())
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(parsed(&["ro", "rw"]), Attributes { clear: RDONLY, ..NO_ATTRIBUTES });
        assert_eq!(parsed(&["rw", "ro", "nosuid"]), Attributes { set: RDONLY | NOSUID, ..NO_ATTRIBUTES });
        assert_eq!(parsed(&["rro"]), Attributes { tree_set: RDONLY, ..NO_ATTRIBUTES });
    }

    #[test]
    fn access_time_words_have_an_order_of_their_own() {
        let strict = Attributes { set: STRICTATIME, clear: ATIME | NODIRATIME, ..NO_ATTRIBUTES };
        let none = Attributes { set: NOATIME, ..strict };
        let relative = Attributes { set: 0, ..strict };
        for (words, wanted) in [
            (["noatime", "strictatime"], strict),
            (["strictatime", "noatime"], strict),
            (["strictatime", "relatime"], strict),
            (["relatime", "noatime"], none),
            (["noatime", "norelatime"], none),
            (["noatime", "relatime"], none),
            (["strictatime", "nostrictatime"], Attributes { clear: ATIME, ..relative }),
            (["relatime", "atime"], relative),
        ] {
            assert_eq!(parsed(&words), wanted, "{words:?}");
        }
        let both = Attributes { set: NOATIME | NODIRATIME, clear: ATIME, ..NO_ATTRIBUTES };
        assert_eq!(parsed(&["nodiratime", "noatime"]), both);
        assert_eq!(parsed(&["rnoatime"]), Attributes { tree_set: NOATIME, tree_clear: ATIME, ..NO_ATTRIBUTES });
    }

    #[test]
    fn words_on_propagation_are_taken_one_after_the_other() {
        let words = parsed(&["rslave", "shared"]).propagation;
        assert_eq!(words, propagation(&[(SLAVE, true), (SHARED, false)]));
        assert_eq!(words.changes().collect::<Vec<_>>(), [(SLAVE, true), (SHARED, false)]);
        let many = ["slave"; 17].map(str::to_owned);
        let mount: Mount = serde_json::from_value(serde_json::json!({"destination": "/x", "options": many})).unwrap();
        assert!(MountOptions::parse(&mount, &Field::of("mounts")).is_err());
    }

    #[test]
    fn bind_is_recursive_when_one_word_says_so() {
        for (words, recursive) in [(["rbind", "bind"], true), (["bind", "rbind"], true), (["bind", "bind"], false)] {
            let mount: Mount =
                serde_json::from_value(serde_json::json!({"destination": "/x", "options": words})).unwrap();
            assert_eq!(MountOptions::parse(&mount, &Field::of("mounts")).unwrap().bind, Some(recursive), "{words:?}");
        }
    }
}

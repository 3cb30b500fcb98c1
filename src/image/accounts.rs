//! The user of an image, looked up in its passwd(5) and group(5).

use anyhow::{Context, Result, bail};

/// The field, for messages.
const FIELD: &str = "the image's User";
/// The kernel's limit of supplementary groups.
const MAX_GROUPS: usize = 65536;

/// The account files of an image. A missing file has no entries.
#[derive(Clone, Copy, Default)]
pub struct Accounts<'a> {
    /// The content of `etc/passwd`.
    pub passwd: Option<&'a [u8]>,
    /// The content of `etc/group`.
    pub group: Option<&'a [u8]>,
}

/// The ids of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessIds {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

impl Accounts<'_> {
    /// The ids for `USER` or `USER:GROUP`, each a name or a number.
    ///
    /// A user with a name has the supplementary groups of the image if no group is given; a number has none, as the image
    /// specification says.
    ///
    /// # Errors
    /// An unknown name; a number that is no id.
    pub fn ids(&self, user: &str) -> Result<ProcessIds> {
        let (user, group) = user.split_once(':').unwrap_or((user, ""));
        let mut ids = ProcessIds::default();
        if let Some(uid) = number(user)? {
            ids.uid = uid;
            ids.gid = self.users().find(|(_, other, _)| *other == uid).map_or(0, |(_, _, gid)| gid);
        } else if !user.is_empty() {
            let found = self.users().find(|(name, ..)| *name == user.as_bytes());
            let Some((_, uid, gid)) = found else { bail!("{FIELD}: etc/passwd of the image has no user {user:?}") };
            (ids.uid, ids.gid) = (uid, gid);
            if group.is_empty() {
                ids.groups = self.groups_of(user);
            }
        }
        if let Some(gid) = number(group)? {
            ids.gid = gid;
        } else if !group.is_empty() {
            let found = self.groups().find(|(name, ..)| *name == group.as_bytes());
            let Some((_, gid, _)) = found else { bail!("{FIELD}: etc/group of the image has no group {group:?}") };
            ids.gid = gid;
        }
        Ok(ids)
    }

    /// Name, uid and gid of each user. A line that is no entry is skipped, as C libraries do.
    fn users(&self) -> impl Iterator<Item = (&[u8], u32, u32)> {
        lines(self.passwd).filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b':');
            let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
            Some((name, id(uid)?, id(gid)?))
        })
    }

    /// Name, gid and members of each group.
    fn groups(&self) -> impl Iterator<Item = (&[u8], u32, &[u8])> {
        lines(self.group).filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b':');
            let (name, gid) = (fields.next()?, fields.nth(1)?);
            Some((name, id(gid)?, fields.next().unwrap_or_default()))
        })
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        let has_user =
            |members: &[u8]| members.split(|byte| *byte == b',').any(|name| name.trim_ascii() == user.as_bytes());
        let mut found: Vec<u32> = Vec::new();
        for (_, gid, members) in self.groups() {
            if found.len() < MAX_GROUPS && has_user(members) && !found.contains(&gid) {
                found.push(gid);
            }
        }
        found
    }
}

fn lines(file: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    let lines = file.unwrap_or_default().split(|byte| *byte == b'\n').map(|line| line.trim_ascii());
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

fn id(field: &[u8]) -> Option<u32> {
    let digits = !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(field).ok().filter(|_| digits)?.parse().ok().filter(|id| *id != u32::MAX)
}

/// The id that a text of digits is. `None` for a name.
fn number(text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    // The largest number means "no change" in chown(2) and setresuid(2).
    id(text.as_bytes())
        .map(Some)
        .with_context(|| format!("{FIELD}: {text} is not an id: the largest is {}", u32::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nbad:x:-1:0::/:\n\
        app:x:1000:1001:App:/home/app:/bin/sh\napp:x:7:7::/:\n1234:x:5:6::/:\nlast:x:9:9";
    const GROUP: &[u8] =
        b"root:x:0:\nwheel:x:10:root,app\napp:x:1001:\nlog:x:20:x, app\nlog2:x:20:app\nnone:x:30\nbad:x:y:app\n";

    #[test]
    fn all_forms() {
        let accounts = Accounts { passwd: Some(PASSWD), group: Some(GROUP) };
        for (user, uid, gid, groups) in [
            ("", 0, 0, &[][..]),
            ("root", 0, 0, &[10]),
            ("app", 1000, 1001, &[10, 20]),
            ("app:", 1000, 1001, &[10, 20]),
            ("app:wheel", 1000, 10, &[]),
            ("app:77", 1000, 77, &[]),
            ("1000", 1000, 1001, &[]),
            ("1000:wheel", 1000, 10, &[]),
            ("55", 55, 0, &[]),
            ("55:66", 55, 66, &[]),
            ("1234", 1234, 0, &[]),
            ("last:none", 9, 30, &[]),
            (":log", 0, 20, &[]),
            ("4294967294", 4294967294, 0, &[]),
        ] {
            let wanted = ProcessIds { uid, gid, groups: groups.to_vec() };
            assert_eq!(accounts.ids(user).unwrap(), wanted, "{user}");
        }
        assert_eq!(Accounts::default().ids("0:0").unwrap(), ProcessIds::default());
    }

    #[test]
    fn unknown_names_are_refused() {
        let accounts = Accounts { passwd: Some(PASSWD), group: None };
        for (user, text) in [
            ("nobody", "the image's User: etc/passwd of the image has no user \"nobody\""),
            ("bad", "the image's User: etc/passwd of the image has no user \"bad\""),
            ("-1", "the image's User: etc/passwd of the image has no user \"-1\""),
            ("app:wheel", "the image's User: etc/group of the image has no group \"wheel\""),
            ("4294967295", "the image's User: 4294967295 is not an id: the largest is 4294967294"),
            ("0:99999999999", "the image's User: 99999999999 is not an id: the largest is 4294967294"),
            ("a:b:c", "the image's User: etc/passwd of the image has no user \"a\""),
        ] {
            assert_eq!(accounts.ids(user).unwrap_err().to_string(), text);
        }
    }
}

//! For any passwd(5) and group(5) of an image and any user, the look-up does not panic and invents no id.
//!
//! The input is the user, the passwd file and the group file, with the separator between them.

use super::mutate::SEPARATOR;
use crate::image::accounts::Accounts;

pub fn run(data: &[u8]) -> bool {
    let mut parts = data.splitn(3, |byte| *byte == SEPARATOR);
    let user = parts.next().and_then(|user| std::str::from_utf8(user).ok());
    let (Some(user), passwd, group) = (user, parts.next(), parts.next()) else { return false };
    match (Accounts { passwd, group }).ids(user) {
        Err(error) => {
            let text = format!("{error:#}");
            assert!(text.contains(": ") && !text.contains(['\n', '\u{1b}']), "not one line: {text:?}");
        }
        Ok(ids) => {
            let gids = ids.groups.iter().chain([&ids.gid]);
            // An id is 0 by default, or a number of the user or of a file.
            for id in gids.chain([&ids.uid]) {
                assert!(*id != u32::MAX && (*id == 0 || mentions(data, *id)), "{id} comes from nowhere");
            }
            let numeric =
                !user.is_empty() && user.split(':').next().is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()));
            assert!(!numeric || ids.groups.is_empty(), "a number has no groups");
            let mut sorted = ids.groups.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert!(sorted.len() == ids.groups.len() && sorted.len() <= 65536, "a group is there twice");
        }
    }
    true
}

/// Whether a number with this value, perhaps with zeros in front, is in the data.
fn mentions(data: &[u8], id: u32) -> bool {
    data.split(|byte| !byte.is_ascii_digit())
        .any(|digits| std::str::from_utf8(digits).is_ok_and(|digits| digits.parse() == Ok(id)))
}

pub fn seeds() -> Vec<Vec<u8>> {
    let passwd = "root:x:0:0:root:/root:/bin/sh\n# comment\nbad:x:-1:0::/:\napp:x:1000:1001:App:/:/bin/sh\n1234:x:5:6::/:\nlast:x:9:9";
    let group = "root:x:0:\nwheel:x:10:root,app\napp:x:1001:\nlog:x:20:x, app\nnone:x:30\nbad:x:y:app\n";
    let with = |user: &str| [user.as_bytes(), passwd.as_bytes(), group.as_bytes()].join(&SEPARATOR);
    let users =
        ["", "root", "app", "app:", "app:wheel", "1000:77", "55", "1234", ":log", "4294967295", "0:99999999999"];
    users.map(with).to_vec()
}

//! The parts of `init` that read files of the container: for any `/etc/passwd`, cut into any pieces, the search finds
//! the home directory of the uid's first entry and stays within its buffer; a path stays within its buffer.

use crate::init::passwd::Search;
use crate::init::path::PathBuffer;

pub fn run(data: &[u8]) -> bool {
    let Some((&[uid, room, size], file)) = data.split_first_chunk::<3>() else { return false };
    let (mut whole, mut pieces) = (vec![1u8; usize::from(room)], vec![1u8; usize::from(room)]);
    let found = Search::new(u32::from(uid), &mut whole).feed(file);
    let mut search = Search::new(u32::from(uid), &mut pieces);
    let in_pieces = file.chunks(usize::from(size).max(1)).find_map(|piece| search.feed(piece));
    assert_eq!(found, in_pieces, "the pieces make a difference");
    let home = found.map(|length| &whole[..length]);
    assert_eq!(home, expected(file, u32::from(uid), usize::from(room)), "another home directory");
    if let Some(length) = found {
        assert!(whole[length] == 0 && whole[..=length] == pieces[..=length], "no NUL at the end");
    }
    if let Ok(mut path) = PathBuffer::new(file) {
        while path.pop() {
            assert!(path.as_cstr().count_bytes() < 4096, "a long path");
        }
    }
    true
}

/// The home directory, found by splitting the file. Only complete lines count.
fn expected(file: &[u8], uid: u32, room: usize) -> Option<&[u8]> {
    let end = file.iter().rposition(|byte| *byte == b'\n')?;
    file[..end].split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let (number, home) = (*fields.get(2)?, *fields.get(5)?);
        let digits = number.iter().all(u8::is_ascii_digit);
        // An empty number is 0 here, as it is for atoi(3).
        let text = if number.is_empty() { "0" } else { std::str::from_utf8(number).ok()? };
        let same = digits && text.parse() == Ok(uid);
        (same && !home.is_empty() && home.len() < room).then_some(home)
    })
}

pub fn seeds() -> Vec<Vec<u8>> {
    let file = b"root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nbad:x:-1:0::/:\napp:x:100:1001:App:/home/app:\n\
        none:x:7:7:::\nnone:x:7:7::/seven\nlast:x:9:9::/last";
    [[0, 64, 7], [100, 64, 1], [7, 4, 3], [9, 255, 200]].iter().map(|head| [&head[..], file].concat()).collect()
}

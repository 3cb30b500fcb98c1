//! The parts of `init` that read files of the container: for any `/etc/passwd`, cut into any pieces, the search finds
//! the same home directory and stays within its buffer; a path stays within its buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tare::init::passwd::Search;
use tare::init::path::PathBuffer;

fuzz_target!(|data: &[u8]| {
    let Some((&[uid, room, size], file)) = data.split_first_chunk::<3>() else { return };
    let (mut whole, mut pieces) = (vec![1u8; usize::from(room)], vec![1u8; usize::from(room)]);
    let found = Search::new(u32::from(uid), &mut whole).feed(file);
    let mut search = Search::new(u32::from(uid), &mut pieces);
    let in_pieces = file.chunks(usize::from(size).max(1)).find_map(|piece| search.feed(piece));
    assert_eq!(found, in_pieces);
    if let Some(length) = found {
        assert!(whole[length] == 0 && whole[..=length] == pieces[..=length]);
        assert!(!whole[..length].contains(&b'\n') && !whole[..length].contains(&b':'));
    }
    if let Ok(mut path) = PathBuffer::new(file) {
        while path.pop() {
            assert!(path.as_cstr().count_bytes() < 4096);
        }
    }
});

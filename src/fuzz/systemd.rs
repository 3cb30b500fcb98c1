//! For any bytes from the bus the reader of messages does not panic and makes no more values than there are bytes; a
//! call ends with an answer or an error, and a unit counts as started only if systemd says so.
//!
//! The first byte chooses between one message, a text of a value, and a whole conversation.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use crate::cgroup::systemd::fuzzed;

pub fn run(data: &[u8]) -> bool {
    let Some((choice, data)) = data.split_first() else { return false };
    match choice % 8 {
        0 | 1 => fuzzed::message(data),
        2 => std::str::from_utf8(data).is_ok_and(fuzzed::text),
        choice => {
            let (mut peer, ours) = UnixStream::pair().expect("a pair of sockets");
            peer.set_nonblocking(true).expect("a socket of our own");
            // More than the socket holds is cut off, as by a peer that dies.
            let _ = peer.write_all(&data[..data.len().min(64 << 10)]);
            peer.shutdown(Shutdown::Write).expect("a socket of our own");
            let started = fuzzed::converse(ours, choice);
            let says = |word: &[u8]| data.windows(word.len()).any(|part| part == word);
            assert!(started.is_err() || choice != 3 || says(b"done") && says(b"JobRemoved"), "not started");
            true
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        fuzzed::conversations().into_iter().map(|(choice, bytes)| [vec![choice], bytes].concat()).collect();
    let texts = [
        "15",
        "-0x10",
        "1.5",
        "uint64 7",
        "@t 5",
        "\"a'b\"",
        "objectpath '/a'",
        "['a', 'b' ]",
        "@as []",
        "@a(st) [('/dev/sda', 1)]",
        "('x', true, [1])",
        "[byte 1, 0xff]",
    ];
    all.extend(texts.map(|text| [b"\x02", text.as_bytes()].concat()));
    all
}

//! Things that a process holds for long: a connection, a lock, the input of a terminal.

use super::{append, report, say};
use crate::kernel::errno_name;
use std::fs::{self, File};
use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// A TCP connection to itself that carries a growing number for ever. The received number is written to a file, and so
/// is the end of the connection.
pub fn connection(path: &str) -> ! {
    let ended = connected(path).map_or_else(|error| errno_name(&error), |()| "closed".into());
    let _ = fs::write(path, format!("connection: {ended}"));
    loop {
        std::thread::park();
    }
}

fn connected(path: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    drop(listener);
    for turn in 0u64.. {
        sender.write_all(&turn.to_ne_bytes())?;
        let mut bytes = [0; 8];
        receiver.read_exact(&mut bytes)?;
        fs::write(path, u64::from_ne_bytes(bytes).to_string())?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Locks a whole file (flock(2)) until the process ends.
pub fn lock(path: &str) {
    let locked = File::options().write(true).create(true).truncate(false).open(path).and_then(|file| {
        file.lock()?;
        std::mem::forget(file);
        Ok(())
    });
    report("lock", path, locked);
}

/// Appends every line of standard input to a file.
pub fn lines(path: &str) {
    for line in std::io::stdin().lock().lines() {
        match line {
            Ok(line) => drop(append(path, &(line + "\n"))),
            Err(error) => return say(format!("lines: {}", errno_name(&error))),
        }
    }
}

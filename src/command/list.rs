//! `list`: show all containers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Error, Result, bail};
use serde::Serialize;

use super::log::Log;
use super::shared::{print_bytes, root};
use super::table::Rows;
use crate::cli::{Global, ListArgs};
use crate::state::{Listing, Printed, Root, Scratch};
use crate::sys::{CallError, Errno, threads};

const HEADER: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

pub fn run(global: &Global, args: &ListArgs, log: &Log) -> Result<()> {
    let root = root(global)?;
    let form = match args.format.as_deref().unwrap_or("table") {
        "table" | "json" if args.quiet => ListFormat::Ids,
        "table" => ListFormat::Table,
        "json" => ListFormat::Json,
        format => bail!("invalid format option {format:?}: table or json"),
    };
    let listing = match Listing::of(&root.0) {
        Ok(listing) => listing,
        Err(Errno::ENOENT) if global.root.is_none() => return print_bytes(&form.text(&[])),
        Err(errno) => bail!(CallError::new(format_args!("open {}", root.0.display()), errno)),
    };
    let passwd = if form == ListFormat::Ids {
        String::new()
    } else {
        std::fs::read_to_string("/etc/passwd").unwrap_or_default()
    };
    let lister = Lister { root: &root, listing: &listing, form, users: users(&passwd) };
    let parts = threads::share(listing.ids.len(), |range| lister.part(&listing.ids[range]));
    for (id, error) in parts.iter().flat_map(|part| &part.left_out) {
        // On standard error only: the message is for the reader of the list, not for the log.
        log.aside(&format!("load container {id}: {error:#}"));
    }
    print_bytes(&form.text(&parts))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListFormat {
    Ids,
    Json,
    Table,
}

/// Works out the list. The threads share it.
struct Lister<'a> {
    root: &'a Root,
    listing: &'a Listing,
    form: ListFormat,
    users: BTreeMap<u32, &'a str>,
}

/// The list of some containers.
#[derive(Default)]
struct Listed<'a> {
    /// The ids, each with a line break, or the states as JSON, each with a comma.
    text: Vec<u8>,
    /// The rows of the table.
    rows: Rows<6>,
    /// The containers that cannot be loaded.
    left_out: Vec<(&'a str, Error)>,
}

impl<'a> Lister<'a> {
    fn part(&self, ids: &'a [String]) -> Listed<'a> {
        let mut part = Listed::default();
        let mut scratch = Scratch::new();
        for id in ids {
            if let Err(error) = self.add(id, &mut scratch, &mut part) {
                part.left_out.push((id, error));
            }
        }
        part
    }

    fn add(&self, id: &str, scratch: &mut Scratch, part: &mut Listed<'_>) -> Result<()> {
        if let Some(glance) = self.listing.glance(id, scratch) {
            if self.form == ListFormat::Ids {
                part.add_id(glance.id());
                return Ok(());
            }
            return part.add(&glance.printed(glance.status()?, &self.owner(id)), self.form);
        }
        let (directory, record) = self.root.load(id)?;
        if self.form == ListFormat::Ids {
            part.add_id(&record.id);
            return Ok(());
        }
        part.add(&record.printed(record.status(&directory)?, &self.owner(id)), self.form)
    }

    /// The name of the user that owns a container, or `#uid`.
    fn owner(&self, id: &str) -> Cow<'a, str> {
        let Some(uid) = self.listing.owner(id) else { return "".into() };
        self.users.get(&uid).map_or_else(|| format!("#{uid}").into(), |name| Cow::Borrowed(*name))
    }
}

/// The names of users. The code reads `/etc/passwd` itself: a static program cannot load the modules of NSS.
fn users(passwd: &str) -> BTreeMap<u32, &str> {
    let mut users = BTreeMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok()));
        if let (Some(name), Some(uid)) = (name, uid) {
            users.entry(uid).or_insert(name);
        }
    }
    users
}

impl Listed<'_> {
    fn add_id(&mut self, id: &str) {
        self.text.extend_from_slice(id.as_bytes());
        self.text.push(b'\n');
    }

    fn add(&mut self, state: &Printed<'_, impl Serialize>, form: ListFormat) -> Result<()> {
        if form == ListFormat::Json {
            serde_json::to_writer(&mut self.text, state)?;
            self.text.push(b',');
            return Ok(());
        }
        let mut digits = [0; 12];
        let pid = decimal(state.pid, &mut digits);
        let bundle = state.bundle.to_string_lossy();
        self.rows.push([state.id, pid, state.status.word(), &bundle, state.created, state.owner]);
        Ok(())
    }
}

/// The digits of a number, without memory from the heap, for which threads would wait.
fn decimal(number: i32, digits: &mut [u8; 12]) -> &str {
    let mut rest: &mut [u8] = digits;
    let _ = std::io::Write::write_fmt(&mut rest, format_args!("{number}"));
    let length = 12 - rest.len();
    std::str::from_utf8(&digits[..length]).unwrap_or_default()
}

impl ListFormat {
    /// The output.
    fn text(self, parts: &[Listed<'_>]) -> Vec<u8> {
        let mut text: Vec<u8> = Vec::new();
        if self == ListFormat::Table {
            let mut header = Rows::default();
            header.push(HEADER);
            let rows = std::iter::once(&header).chain(parts.iter().map(|part| &part.rows));
            return super::table::format(rows);
        }
        if self == ListFormat::Json {
            text.push(b'[');
        }
        parts.iter().for_each(|part| text.extend_from_slice(&part.text));
        if self == ListFormat::Json {
            match text.last_mut() {
                Some(last) if *last == b',' => *last = b']',
                // Go prints `null` for a nil slice.
                _ => text = b"null".to_vec(),
            }
            text.push(b'\n');
        }
        text
    }
}

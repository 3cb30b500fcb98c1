//! Sizes and names: no function longer than a screen, no file longer than 400 lines, no type name with two meanings.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The maximum number of lines of a function, with its signature.
const FUNCTION: usize = 60;
const FILE: usize = 400;

/// Files that may be longer, with the reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// A source file.
struct File {
    path: String,
    text: String,
}

fn files(folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let top = Path::new(env!("CARGO_MANIFEST_DIR"));
            let path = path.strip_prefix(top).expect("a path in the package").to_string_lossy().into_owned();
            found.push(File { path, text });
        }
    }
}

/// The text without comments, strings and character literals. Their line breaks stay.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => string(rest),
            'r' if !out.ends_with(is_name) => raw_string(rest).unwrap_or(0),
            '\'' => character(rest).unwrap_or(0),
            _ => 0,
        };
        match length {
            0 => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
            length => {
                out.extend(rest[..length].chars().filter(|letter| *letter == '\n'));
                rest = &rest[length..];
            }
        }
    }
    out
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The length of a string literal.
fn string(text: &str) -> usize {
    let mut escaped = true;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let (hashes, _) = text[1..].split_once('"').filter(|(hashes, _)| hashes.chars().all(|letter| letter == '#'))?;
    let start = hashes.len() + 2;
    let end = format!("\"{hashes}");
    Some(start + text[start..].find(&end)? + end.len())
}

/// The length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = &text[1..];
    let escape = if inner.starts_with('\\') { 2 } else { inner.chars().next()?.len_utf8() };
    let end = escape + inner.get(escape..)?.find('\'')?;
    (inner.starts_with('\\') || end == escape).then_some(end + 2)
}

/// The position after an item that begins at `start`: after its block or its semicolon.
fn end_of_item(code: &str, start: usize) -> usize {
    let mut depth = 0;
    for (at, letter) in code[start..].char_indices() {
        match letter {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(letter, '}' | ';') {
            return start + at + 1;
        }
    }
    code.len()
}

/// The code of a file without its tests.
fn production(text: &str) -> String {
    let mut code = blanked(text);
    while let Some(start) = code.find("#[cfg(test)]") {
        let attribute = start + "#[cfg(test)]".len();
        let end = end_of_item(&code, attribute);
        let breaks: String = code[start..end].chars().filter(|letter| *letter == '\n').collect();
        code.replace_range(start..end, &breaks);
    }
    code
}

/// The names that follow a keyword, with their positions.
fn names<'a>(code: &'a str, keyword: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    code.match_indices(keyword).filter_map(move |(at, _)| {
        let rest = code[at + keyword.len()..].strip_prefix(' ')?;
        let name = &rest[..rest.find(|letter| !is_name(letter)).unwrap_or(rest.len())];
        let apart = !code[..at].ends_with(is_name) && !name.is_empty();
        apart.then_some((at, name))
    })
}

/// The functions of a file that are too long.
fn long_functions(code: &str) -> Vec<String> {
    let lines = |at: usize| code[at..end_of_item(code, at)].lines().count();
    let long = names(code, "fn").map(|(at, name)| (name, lines(at))).filter(|(_, lines)| *lines > FUNCTION);
    long.map(|(name, lines)| format!("fn {name} has {lines} lines")).collect()
}

/// The types that a file defines, without associated types.
fn types(code: &str) -> Vec<String> {
    let at_start = |at: usize| code[..at].lines().last().is_none_or(|line| !line.starts_with(' '));
    let of = |keyword| {
        let found = names(code, keyword).filter(move |(at, _)| keyword != "type" || at_start(*at));
        found.map(|(_, name)| name.to_owned()).filter(|name| name.starts_with(char::is_uppercase)).collect::<Vec<_>>()
    };
    ["struct", "enum", "union", "trait", "type"].into_iter().flat_map(of).collect()
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || ["/tests/", "/house", "/golden.rs"].iter().any(|part| path.contains(part))
}

/// A line for everything that breaks a rule.
fn complaints(files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut homes = BTreeMap::<String, Vec<&str>>::new();
    for File { path, text } in files {
        let lines = text.lines().count();
        if lines > FILE && !LONG_FILES.iter().any(|(known, _)| known == path) {
            wrong.push(format!("{path} has {lines} lines"));
        }
        if !is_test(path) {
            let code = production(text);
            wrong.extend(long_functions(&code).into_iter().map(|text| format!("{path}: {text}")));
            types(&code).into_iter().for_each(|name| homes.entry(name).or_default().push(path));
        }
    }
    let twice = homes.into_iter().filter(|(_, homes)| homes.len() > 1);
    wrong.extend(twice.map(|(name, homes)| format!("{name} is a type of {}", homes.join(" and "))));
    wrong
}

#[test]
fn functions_and_files_are_short_and_type_names_have_one_meaning() {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let functions: usize = found.iter().map(|file| names(&production(&file.text), "fn").count()).sum();
    assert!(found.len() > 200 && functions > 1500, "only {} files and {functions} functions are seen", found.len());
    let wrong = complaints(&found);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rules report made-up sources that break them, and no others.
#[test]
fn a_broken_rule_is_seen() {
    let of = |path: &str, text: String| File { path: path.to_owned(), text };
    let function =
        |lines: usize| format!("fn f<'a>(c: char) {{\n{}}}\n", "    g('}', \"{{\", r#\"\"{\"#); // }\n".repeat(lines));
    let tests = format!("#[cfg(test)]\nmod tests {{\n    struct One;\n{}}}\n", function(100));
    for (files, wanted) in [
        (vec![of("src/a.rs", function(58))], vec![]),
        (vec![of("src/a.rs", function(59))], vec!["src/a.rs: fn f has 61 lines"]),
        (vec![of("src/a.rs", "\n".repeat(400))], vec![]),
        (vec![of("src/a.rs", "\n".repeat(401))], vec!["src/a.rs has 401 lines"]),
        (
            vec![of("src/a.rs", "pub struct One;\nimpl T for One {\n    type Two = ();\n}\n".to_owned() + &tests)],
            vec![],
        ),
        (
            vec![
                of("src/a.rs", "struct One;\nenum Two {}\n".to_owned()),
                of("src/b.rs", "pub type One = u8;\n".to_owned()),
            ],
            vec!["One is a type of src/a.rs and src/b.rs"],
        ),
        (vec![of("src/a.rs", "trait Two {}\n".to_owned()), of("src/a_tests.rs", "enum Two {}\n".to_owned())], vec![]),
    ] {
        assert_eq!(complaints(&files), wanted);
    }
}

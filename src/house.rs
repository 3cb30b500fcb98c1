//! Tests of the source itself. This file: no file and no module imports another one that imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod size;

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The source of a module without comments, strings and tests.
struct Source {
    /// The path of the module, such as `plan::order::tail`.
    module: String,
    code: String,
}

fn sources(folder: &Path, module: &str, found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("src can be read").map(|entry| entry.expect("an entry").path());
    for path in entries.collect::<BTreeSet<PathBuf>>() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let below = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
        if path.is_dir() {
            sources(&path, &below, found);
        } else {
            // Files of tests may import the code that they test.
            let is_test =
                name.ends_with("tests") || module.ends_with("tests") || name == "golden" || below.starts_with("house");
            let module = if matches!(name.as_str(), "mod" | "lib") { module.to_owned() } else { below };
            if !is_test && name != "main" {
                found.push(Source { module, code: code(&fs::read_to_string(&path).expect("a source file")) });
            }
        }
    }
}

/// The text up to the tests, without comments.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` line: `a::{b, c::{self, d}}` has three.
fn expand(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        match name {
            "" => {}
            "self" => paths.push(prefix.trim_end_matches("::").to_owned()),
            name => paths.push(format!("{prefix}{name}")),
        }
        return;
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let prefix = format!("{prefix}{}", head.trim());
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&inner[start..at], &prefix, paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&inner[start..], &prefix, paths);
}

/// Resolves `crate::`, `super::` and `self::` to a path from the crate's root; `None` for a path of another crate.
fn absolute(path: &str, module: &str) -> Option<String> {
    let mut here: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut parts = path.split("::").peekable();
    match *parts.peek()? {
        "crate" => {
            here.clear();
            parts.next();
        }
        "self" => _ = parts.next(),
        "super" => {
            while parts.next_if_eq(&"super").is_some() {
                here.pop();
            }
        }
        _ => return None,
    }
    here.extend(parts);
    Some(here.join("::"))
}

/// The imports of a file as absolute paths; re-exports (`pub use`) are the second list.
fn imports(source: &Source, below: &[&str]) -> (Vec<String>, Vec<String>) {
    let (mut used, mut handed_on) = (Vec::new(), Vec::new());
    for statement in source.code.split(';') {
        let Some(at) = statement.rfind("use ").filter(|at| !statement[*at..].contains('=')) else { continue };
        let before = statement[..at].lines().last().unwrap_or_default().trim();
        if !matches!(before, "" | "pub" | "pub(super)" | "pub(crate)") {
            continue;
        }
        let mut paths = Vec::new();
        expand(&statement[at + 4..], "", &mut paths);
        let list = if before.is_empty() { &mut used } else { &mut handed_on };
        // A `pub use` of a child module may begin with the name of that module.
        list.extend(paths.iter().filter_map(|path| {
            absolute(path, &source.module).or_else(|| (!before.is_empty()).then(|| join(&source.module, path)))
        }));
    }
    // Paths with `crate::` outside of `use` lines.
    for (at, _) in source.code.match_indices("crate::") {
        let path: String =
            source.code[at..].chars().take_while(|letter| letter.is_alphanumeric() || "_:".contains(*letter)).collect();
        used.extend(absolute(path.trim_end_matches(':'), &source.module));
    }
    // Paths that begin with a child module.
    let plain: Vec<&str> = source.code.split(';').filter(|statement| !statement.contains("use ")).collect();
    let plain = plain.join(";");
    for child in below {
        let starts = plain.match_indices(&format!("{child}::")).any(|(at, _)| {
            !plain[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':')
        });
        used.extend(starts.then(|| join(&source.module, child)));
    }
    (used, handed_on)
}

fn join(module: &str, path: &str) -> String {
    if module.is_empty() { path.to_owned() } else { format!("{module}::{path}") }
}

/// The module that defines the item of a path: the deepest module on the path, unless that re-exports the item.
fn home(path: &str, modules: &BTreeSet<&str>, handed_on: &BTreeMap<String, String>) -> Option<String> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        if let Some(further) = handed_on.get(&path) {
            path = further.clone();
            continue;
        }
        let mut module = path.as_str();
        loop {
            if modules.contains(module) {
                return Some(module.to_owned());
            }
            let (shorter, _) = module.rsplit_once("::")?;
            if let Some(further) = handed_on.get(module) {
                path = format!("{further}{}", &path[module.len()..]);
                break;
            }
            module = shorter;
        }
    }
    None
}

/// The modules that import themselves through others, each with its imports of that circle.
fn circles(arrows: &Arrows) -> Vec<String> {
    let reaches = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for next in arrows.get(module).into_iter().flatten() {
                if seen.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let circle: BTreeSet<&str> =
        arrows.keys().map(String::as_str).filter(|module| reaches(module).contains(module)).collect();
    let line = |module: &&str| {
        let back: Vec<&str> =
            arrows[*module].iter().map(String::as_str).filter(|it| reaches(it).contains(module)).collect();
        format!("{module} -> {}", back.join(", "))
    };
    circle.iter().map(line).collect()
}

#[test]
fn nothing_imports_what_imports_it() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    let modules: BTreeSet<&str> = found.iter().map(|source| source.module.as_str()).collect();
    let below = |module: &str| -> Vec<&str> {
        let child = |other: &&str| other.rsplit_once("::").unwrap_or(("", other)).0 == module && !other.is_empty();
        modules.iter().copied().filter(child).map(|other| other.rsplit("::").next().unwrap_or_default()).collect()
    };
    let imports: Vec<_> =
        found.iter().map(|source| (source.module.as_str(), imports(source, &below(&source.module)))).collect();
    let mut handed_on = BTreeMap::new();
    for (module, (_, paths)) in &imports {
        for path in paths {
            let name = path.rsplit("::").next().unwrap_or_default();
            handed_on.insert(join(module, name), path.clone());
        }
    }
    let (mut files, mut rooms) = (Arrows::new(), Arrows::new());
    let room = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    for (module, (used, _)) in &imports {
        for path in used {
            let Some(home) = home(path, &modules, &handed_on).filter(|home| home != module) else { continue };
            if room(module) != room(&home) {
                rooms.entry(room(module)).or_default().insert(room(&home));
            }
            files.entry((*module).to_owned()).or_default().insert(home);
        }
    }
    assert!(files.values().map(BTreeSet::len).sum::<usize>() > 500, "only some imports are seen: {files:?}");
    let (files, rooms) = (circles(&files), circles(&rooms));
    assert!(files.is_empty() && rooms.is_empty(), "files:\n{}\nmodules:\n{}", files.join("\n"), rooms.join("\n"));
}

//! Tests that `src/README.md`, the page for newcomers, is true and complete.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tables::limit::SCALARS;
use crate::tables::mount_option;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(top().join(path)).expect(path)
}

/// Every file that `src/README.md` names in backquotes exists.
#[test]
fn page_names_files_that_exist() {
    let (top, page) = (top(), text("src/README.md"));
    let quoted: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let (mut folder, mut seen) = (PathBuf::new(), 0);
    for name in quoted {
        let is_path = !name.contains(char::is_whitespace) && (name.ends_with(".rs") || name.ends_with('/'));
        if name.contains('/') && is_path {
            folder = top.join(name).parent().map(Path::to_owned).unwrap_or_default();
            if name.ends_with('/') {
                folder = top.join(name);
            }
        }
        let found = top.join(name).exists() || !name.contains('/') && folder.join(name).exists();
        assert!(!is_path || found, "{name}, alone or in {}", folder.display());
        seen += usize::from(is_path);
    }
    assert!(seen > 15, "only {seen} files are named");
}

/// Every limit of the table has a row in the black-box tests.
#[test]
fn limits_have_black_box_tests() {
    let rows = text("conformance/resources.rs");
    for scalar in SCALARS.iter().filter(|scalar| !scalar.field.ends_with(".madeUp")) {
        let row = format!("field: \"{}\"", scalar.field.trim_start_matches("linux.resources."));
        assert!(rows.contains(&row), "conformance/resources.rs has no row with {row}");
    }
}

/// Every option that sets or clears a flag of a mount has a row in the black-box tests.
#[test]
fn mount_flags_have_black_box_tests() {
    let rows = text("conformance/mount_words.rs");
    for option in mount_option::flags().into_iter().flat_map(|(_, set, clear)| [set, clear]) {
        assert!(rows.contains(&format!("(\"{option}\", ")), "conformance/mount_words.rs has no row for {option}");
    }
}

/// The text of the files in a folder and below, without the folder `describe`, whose matches name every operation.
fn texts(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder of src").map(|entry| entry.expect("an entry").path());
    let text = |path: PathBuf| match path.is_dir() {
        true if path.ends_with("describe") => String::new(),
        true => texts(&path),
        false => fs::read_to_string(&path).expect("a source file"),
    };
    entries.map(text).collect()
}

/// Whether `code` has this path, such as `Process::Umask`, and not only the beginning of a longer name.
fn names(code: &str, path: &str) -> bool {
    code.split(path).skip(1).any(|rest| !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_'))
}

/// The planner makes every operation of `init`.
#[test]
fn operations_are_planned() {
    let (operations, plan) = (texts(&top().join("src/init/op")), texts(&top().join("src/plan")));
    let mut seen = 0;
    for definition in operations.split("\npub enum ").skip(1) {
        let (kind, rest) = definition.split_once(" {\n").expect("an enum");
        let body = rest.split("\n}").next().unwrap_or_default();
        for line in body.lines().filter_map(|line| line.strip_prefix("    ")) {
            let variant: String = line.chars().take_while(|letter| letter.is_alphanumeric()).collect();
            if variant.starts_with(|letter: char| letter.is_uppercase()) {
                assert!(names(&plan, &format!("{kind}::{variant}")), "no code of src/plan makes {kind}::{variant}");
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "only {seen} operations are seen");
}

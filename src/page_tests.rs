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

//! Tests of the source itself: the page for newcomers is true.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file that `src/README.md` names in backquotes exists.
#[test]
fn page_names_files_that_exist() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(top.join("src/README.md")).expect("the page");
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
        let path = if name.contains('/') { top.join(name) } else { folder.join(name) };
        assert!(!is_path || path.exists(), "{name} ({})", path.display());
        seen += usize::from(is_path);
    }
    assert!(seen > 15, "only {seen} files are named");
}

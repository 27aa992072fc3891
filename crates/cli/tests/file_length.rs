//! Holds every source file to a length that a reader can keep in mind.

use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of lines of a file that are neither empty nor a comment.
const CODE_LINES_MAX: usize = 400;

#[test]
fn no_source_file_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for directory in ["crates", "bench", "fuzz"] {
        collect(&root.join(directory), &mut files);
    }
    let too_long: Vec<_> = files
        .iter()
        .filter_map(|path| {
            let lines = code_lines(&fs::read_to_string(path).expect("a source file"));
            (lines > CODE_LINES_MAX).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(files.len() > 500, "found only {} files", files.len());
    assert!(too_long.is_empty(), "split these files: {too_long:#?}");
}

#[test]
fn comments_and_empty_lines_are_not_counted() {
    assert_eq!(code_lines("//! A module.\n\n/// One.\nfn one() {\n    // Why.\n}\n"), 2);
}

fn code_lines(text: &str) -> usize {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

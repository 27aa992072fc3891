//! `docs/troubleshooting.md` quotes messages of the programs: each of them must stand
//! in the code, so that somebody who searches the page for a message finds it.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/troubleshooting.md";
const CRATES: [&str; 9] =
    ["core", "cli", "store", "gateway", "agent", "btrfs", "repository", "btrfs-host", "sendstream"];
/// Stands for the parts of a message that vary.
const VARIES: &str = "…";

#[test]
fn every_quoted_message_stands_in_the_code() {
    let page = fs::read_to_string(root().join(PAGE)).expect("the page");
    let messages: Vec<_> = page.lines().filter_map(quoted).collect();
    let sources: Vec<_> = CRATES.iter().flat_map(|name| sources(name)).collect();

    let missing: Vec<_> = messages
        .iter()
        .filter(|message| !sources.iter().any(|code| holds(code, message)))
        .collect();

    assert!(messages.len() > 100, "found only {} messages", messages.len());
    assert!(missing.is_empty(), "{PAGE} quotes messages that no program has: {missing:#?}");
}

#[test]
fn a_message_is_found_by_its_fixed_words() {
    let code =
        joined("write!(f, \"the {what} is\\\n      {found} bytes, \\\"{limit}\\\" allowed\")");

    assert!(holds(&code, "the … is… bytes, \"…\" allowed"));
    assert!(holds(&joined("write!(f, \"write $${{ for {name}\")"), "write $${ for …"));
    assert!(!holds(&code, "allowed … bytes"), "the words are in this order");
    assert!(!holds(&code, "the … was"));
    assert_eq!(quoted("> - ``start `…`: …``"), Some("start `…`: …"));
    assert_eq!(quoted("> - `one`"), Some("one"));
    assert_eq!(quoted("text `one`"), None);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The message of a line `> - `MESSAGE``.
fn quoted(line: &str) -> Option<&str> {
    let code = line.strip_prefix("> - `")?.strip_suffix('`')?;
    match code.strip_prefix('`') {
        Some(code) => code.strip_suffix('`'),
        None => Some(code),
    }
}

/// Returns whether the fixed words of `message` occur in `code` in this order, close to
/// each other.
fn holds(code: &str, message: &str) -> bool {
    /// A placeholder, with its arguments and the macros around it, is shorter.
    const GAP_MAX: usize = 200;
    let words: Vec<_> = message.split(VARIES).filter(|words| !words.trim().is_empty()).collect();
    let Some((first, rest)) = words.split_first() else { return false };
    code.match_indices(first).any(|(at, _)| {
        let mut end = at + first.len();
        rest.iter().all(|words| {
            let near = code[end..].find(words).filter(|gap| *gap <= GAP_MAX);
            end += near.map_or(0, |gap| gap + words.len());
            near.is_some()
        })
    })
}

fn sources(name: &str) -> Vec<String> {
    let mut sources = Vec::new();
    let mut folders = vec![root().join("crates").join(name).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(joined(&fs::read_to_string(path).expect("a source file")));
            }
        }
    }
    sources
}

/// Joins texts that are broken over lines, and removes the escapes of quotes and braces, so
/// that the texts are those that a program prints.
fn joined(code: &str) -> String {
    let mut lines = code.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let whole = lines.fold(first, |whole, line| whole + line.trim_start());
    whole.replace("\\\"", "\"").replace("{{", "{").replace("}}", "}")
}

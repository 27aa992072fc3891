//! `docs/troubleshooting.md` quotes messages of the programs. Each of them must be in the
//! code, and each error that ends with advice must be on the page, so that an operator
//! who searches the page for such a message finds it.
//!
//! Not checked: errors without advice, and texts that are not in an `#[error]`. Many of
//! them are causes that never end a program by themselves.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/troubleshooting.md";
const CRATES: [&str; 11] = [
    "core",
    "cli",
    "store",
    "gateway",
    "gateway-client",
    "agent",
    "btrfs",
    "repository",
    "btrfs-host",
    "sendstream",
    "stream-index",
];
/// Stands for the parts of a message that vary.
const VARIES: &str = "…";

#[test]
fn every_quoted_message_stands_in_the_code() {
    let page = fs::read_to_string(root().join(PAGE)).expect("the page");
    let messages: Vec<_> = page.lines().filter_map(quoted).collect();
    let sources: Vec<_> =
        CRATES.iter().flat_map(|name| sources(name)).map(|code| joined(&code)).collect();

    let missing: Vec<_> = messages
        .iter()
        .filter(|message| !sources.iter().any(|code| holds(code, message)))
        .collect();

    assert!(messages.len() > 100, "found only {} messages", messages.len());
    assert!(missing.is_empty(), "{PAGE} quotes messages that no program has: {missing:#?}");
}

#[test]
fn every_error_with_advice_is_on_the_page() {
    let page = fs::read_to_string(root().join(PAGE)).expect("the page");
    let messages: Vec<_> = page.lines().filter_map(quoted).collect();
    let sources: Vec<_> = CRATES.iter().flat_map(|name| sources(name)).collect();
    let errors: Vec<_> = sources.iter().flat_map(|code| errors(code)).collect();
    let with_advice: Vec<_> = errors.iter().filter(|error| has_advice(error)).collect();

    let missing: Vec<_> = with_advice
        .iter()
        .filter(|error| !messages.iter().any(|message| holds(error, message)))
        .collect();

    assert!(with_advice.len() > 40, "found only {} errors", with_advice.len());
    assert!(missing.is_empty(), "{PAGE} lacks these messages: {missing:#?}");
}

#[test]
fn the_texts_of_errors_are_found_in_the_code() {
    let code = "#[error(\"one\")]\nA,\n#[error(\n    \"{a:?} is \\\"b\\\"; \\\n     do c\"\n)]\n\
                #[error(transparent)]";

    assert_eq!(errors(code), ["one", "{a:?} is \"b\"; do c"]);
    assert!(has_advice("{a:?} is b; do c") && !has_advice("{a}: {b}; {c}") && !has_advice("one"));
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

/// Returns true if the fixed words of `message` occur in `code` in this order, close to
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
    let mut dirs = vec![root().join("crates").join(name).join("src")];
    while let Some(directory) = dirs.pop() {
        for entry in fs::read_dir(directory).expect("a directory of the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(fs::read_to_string(path).expect("a source file"));
            }
        }
    }
    sources
}

/// Returns the texts of all `#[error("...")]`.
fn errors(code: &str) -> Vec<String> {
    let attributes = code.split("#[error(").skip(1);
    let texts = attributes.filter_map(|rest| rest.trim_start().strip_prefix('"'));
    let text = |rest: &str| {
        let mut is_escaped = false;
        let end = rest.find(|letter| {
            let ends = letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            ends
        });
        joined(&rest[..end.expect("the end of a text")])
    };
    texts.map(text).collect()
}

/// Returns true if fixed words follow a semicolon.
fn has_advice(error: &str) -> bool {
    let Some((_, advice)) = error.split_once(';') else { return false };
    let fixed = advice.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    fixed.flat_map(str::chars).any(char::is_alphabetic)
}

/// Joins texts that are broken over lines, and removes the escapes of quotes and braces, so
/// that the texts are those that a program prints.
fn joined(code: &str) -> String {
    let mut lines = code.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let whole = lines.fold(first, |whole, line| whole + line.trim_start());
    whole.replace("\\\"", "\"").replace("{{", "{").replace("}}", "}")
}

//! `docs/events.md` lists every event that the programs log, with its levels and
//! fields as the code has them: operators alert on them.
//!
//! `S3UP_WRITE_GOLDEN=1` writes levels and fields again and keeps the meanings;
//! a new event gets an empty meaning, which fails until somebody writes one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/events.md";
/// Sections of the page, and the crates whose events they list.
const SECTIONS: [(&str, &[&str]); 4] = [
    ("## s3up-server", &["gateway"]),
    ("## s3up", &["agent"]),
    ("## btrfs-to-s3", &["btrfs", "repository", "btrfs-host", "pipe"]),
    ("## Every program that speaks S3", &["store", "cli"]),
];
const MACROS: [&str; 5] = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];

/// Levels and fields of one event, from all places that log it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
}

type Events = BTreeMap<String, Facts>;

#[test]
fn the_page_lists_every_event_with_its_levels_and_fields() {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).expect("the page");
    let mut written = page.clone();
    for (heading, crates) in SECTIONS {
        let events = events_of(crates);
        assert!(!events.is_empty(), "no event found for {heading}");
        written = with_section(&written, heading, &events);
    }
    if wants_writing() {
        fs::write(&path, &written).expect("write the page");
    }

    let difference = page.lines().zip(written.lines()).find(|(is, should)| is != should);
    assert!(
        page == written || wants_writing(),
        "{PAGE} is stale, first difference {difference:?}: S3UP_WRITE_GOLDEN=1 writes it"
    );
    let unexplained: Vec<_> = written.lines().filter(|line| line.ends_with("| |")).collect();
    assert!(unexplained.is_empty(), "say what these events mean: {unexplained:#?}");
}

#[test]
fn an_event_is_read_from_the_code_with_its_level_and_fields() {
    let code = r#"
        tracing::warn!(
            event = "cleanup_failed",
            %backup,
            objects = removed.len(),
            reason = %error_chain(&err),
            "cannot remove {reason}, (see \"x\")"
        );
        tracing::info!(event = if deletes { "orphans_deleted" } else { "orphans_found" }, bytes);
        tracing::debug!(event = plan.event(), ?step);
        let event = if denied { "prune_denied" } else { "prune_failed" };
        tracing::warn!(event, %subvolume, "{}", found.count);
        fn event(&self) -> &'static str { match self { A => "planned", B => "not_due" } }
        tracing::info!("no event");
    "#;
    let mut events = Events::new();
    read(code, &mut events);

    let shown = |name: &str| {
        let facts = &events[name];
        let join = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        format!("{}: {}", join(&facts.levels), join(&facts.fields))
    };
    assert_eq!(shown("cleanup_failed"), "warn: backup objects reason");
    assert_eq!(shown("orphans_deleted"), "info: bytes");
    assert_eq!(shown("orphans_found"), "info: bytes");
    assert_eq!(shown("planned"), "debug: step");
    assert_eq!(shown("not_due"), "debug: step");
    assert_eq!(shown("prune_denied"), "warn: subvolume");
    assert_eq!(shown("prune_failed"), "warn: subvolume");
    assert_eq!(events.len(), 7);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn wants_writing() -> bool {
    std::env::vars_os().any(|(name, value)| name == "S3UP_WRITE_GOLDEN" && value == "1")
}

fn events_of(crates: &[&str]) -> Events {
    let mut events = Events::new();
    for name in crates {
        for file in rust_files(&root().join("crates").join(name).join("src")) {
            let code = fs::read_to_string(&file).expect("a source file");
            // Tests of the log itself log as well.
            let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            read(code, &mut events);
        }
    }
    events
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_test =
        |path: &Path| path.file_name().is_some_and(|name| name == "tests.rs" || name == "tests");
    let files = paths.filter(|path| !is_test(path)).flat_map(|path| match path.is_dir() {
        true => rust_files(&path),
        false => vec![path],
    });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Adds every event that `code` logs.
fn read(code: &str, events: &mut Events) {
    for level in MACROS {
        for (at, _) in code.match_indices(&format!("tracing::{level}")) {
            let arguments = arguments(&code[at + "tracing::".len() + level.len()..]);
            let Some(named) = arguments.iter().find_map(|text| event(text)) else { continue };
            // The arguments of the message follow its text.
            let before = arguments.iter().take_while(|text| !text.starts_with('"'));
            let fields: BTreeSet<_> = before.filter_map(|text| field(text)).collect();
            for name in names(named, &code[..at], code) {
                let facts = events.entry(name).or_default();
                facts.levels.insert(level.trim_end_matches("!(").to_owned());
                facts.fields.extend(fields.iter().cloned());
            }
        }
    }
}

/// The arguments of a macro, split at its own commas.
fn arguments(text: &str) -> Vec<String> {
    let (mut all, mut one) = (Vec::new(), String::new());
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for letter in text.chars() {
        if quoted {
            (quoted, escaped) = (escaped || letter != '"', !escaped && letter == '\\');
            one.push(letter);
            continue;
        }
        match letter {
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(std::mem::take(&mut one));
                continue;
            }
            _ => {}
        }
        one.push(letter);
    }
    all.push(one);
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    all.into_iter().map(words).filter(|text| !text.is_empty()).collect()
}

/// The expression that names the event. A variable names it if it is called `event`.
fn event(argument: &str) -> Option<&str> {
    argument.strip_prefix("event = ").or_else(|| (argument == "event").then_some(argument))
}

/// The name of a field, `None` for the event itself and for the message.
fn field(argument: &str) -> Option<String> {
    let name = argument.split(" = ").next()?.trim_start_matches(['%', '?']);
    let is_name = !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.".contains(letter));
    (is_name && name != "event").then(|| name.to_owned())
}

/// The names that an expression may have: its literals, those of the variable `event`
/// that was bound `before`, or those of `fn event`.
fn names(expression: &str, before: &str, code: &str) -> Vec<String> {
    let of = |text: &str| -> Vec<String> {
        text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    };
    if expression == "event" {
        let (_, bound) = before.rsplit_once("let event = ").expect("a variable is bound");
        return of(bound.split_once(';').map_or(bound, |(bound, _)| bound));
    }
    if !expression.contains(".event()") {
        return of(expression);
    }
    let here = code.split_once("fn event(").map(|(_, rest)| rest.to_owned());
    let rest = here.unwrap_or_else(elsewhere);
    let body = rest.split_once('{').map(|(_, body)| arguments_of_body(body)).unwrap_or_default();
    of(&body)
}

/// The one `fn event` that names events for another file.
fn elsewhere() -> String {
    let files = SECTIONS.iter().flat_map(|(_, crates)| *crates);
    let mut files =
        files.flat_map(|name| rust_files(&root().join("crates").join(name).join("src")));
    let found = files.find_map(|file| {
        let code = fs::read_to_string(file).expect("a source file");
        code.split_once("fn event(").map(|(_, rest)| rest.to_owned())
    });
    found.expect("an `event()` has a `fn event`")
}

/// The text up to the brace that closes a body.
fn arguments_of_body(text: &str) -> String {
    let mut depth = 0;
    let end = text.find(|letter| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth < 0
    });
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The page with the table below `heading` made from `events`, its meanings kept.
fn with_section(page: &str, heading: &str, events: &Events) -> String {
    let start = format!("{heading}\n");
    let at = page.find(&format!("\n{start}")).unwrap_or_else(|| panic!("no section {heading}"));
    let (before, rest) = page.split_at(at + 1);
    let end = rest[start.len()..].find("\n## ").map_or(rest.len(), |end| start.len() + end + 1);
    let (section, after) = rest.split_at(end);
    let prose: Vec<_> = section.lines().filter(|line| !line.starts_with('|')).collect();
    let meanings: BTreeMap<_, _> = section.lines().filter_map(meaning).collect();
    let mut table = vec![
        "| event | level | fields | what happened |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ];
    table.extend(events.iter().map(|(name, facts)| {
        let levels: Vec<_> = facts.levels.iter().map(String::as_str).collect();
        let fields: Vec<_> = facts.fields.iter().map(|name| format!("`{name}`")).collect();
        let row = [format!("`{name}`"), levels.join(", "), fields.join(", ")];
        match meanings.get(name.as_str()) {
            Some(meaning) => format!("| {} | {meaning} |", row.join(" | ")),
            None => format!("| {} | |", row.join(" | ")),
        }
    }));
    let prose = prose.join("\n");
    let last = if after.is_empty() { "" } else { "\n" };
    format!("{before}{}\n\n{}\n{last}{after}", prose.trim_end(), table.join("\n"))
}

fn meaning(line: &str) -> Option<(&str, &str)> {
    let cells: Vec<_> = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ").collect();
    let name = cells.first()?.strip_suffix('`')?;
    (cells.len() == 4).then(|| (name, cells[3]))
}

//! Generates docs/s3-compatibility.md: every behaviour, and what each server does.
//!
//! Each server fills in its own column and leaves the others unchanged, so it takes
//! only one server to update the document: `S3UP_WRITE_COMPATIBILITY=1 ./check
//! --full`. Without that variable the test of a server only compares.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;

use super::behaviours;
use super::differences::{self, Difference};
use super::guarantees;
use super::servers::ServerName;
use super::suite::{Answer, Outcome};

const WRITE: &str = "S3UP_WRITE_COMPATIBILITY";
const NOT_RUN: &str = "not run";
const NOT_TESTED: &str = "not tested: ";
/// Title of the first column.
const HEAD: &str = "Behaviour";
/// Line of the preamble that stands for the table of guarantees.
const GUARANTEES: &str = "<!-- guarantees -->";
const PREAMBLE: &str = include_str!("document/preamble.md");
const INSTALL: &str = include_str!("../../../../../scripts/install.sh");

/// The cells by server, then by sentence.
type Columns = BTreeMap<ServerName, BTreeMap<String, String>>;

/// Compares the document with the answers of a server, or writes it.
pub fn problem(server: ServerName, answers: &[Answer]) -> Option<String> {
    let path = path();
    // The tests of several servers may write their columns at the same time.
    let lock = File::open(&path).expect("docs/s3-compatibility.md");
    lock.lock().expect("a lock on the document");
    let before = fs::read_to_string(&path).expect("docs/s3-compatibility.md");
    let mut columns = parse(&before);
    // A test on somebody's own bucket need not update the document.
    let was_never_run =
        server == ServerName::Aws && columns[&server].values().all(|cell| cell == NOT_RUN);
    columns.insert(server, answers.iter().map(cell).collect());
    let after = render(&columns);
    if env::var_os(WRITE).is_some() {
        fs::write(&path, after).expect("a written document");
        return None;
    }
    let is_stale = !was_never_run && before != after;
    is_stale.then(|| format!("docs/s3-compatibility.md is stale; write it with {WRITE}=1"))
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/s3-compatibility.md")
}

fn cell(answer: &Answer) -> (String, String) {
    let text = match &answer.outcome {
        Outcome::Held => "holds".to_owned(),
        Outcome::Differs(instead) => format!("**differs**: {}", escaped(instead)),
        Outcome::NotTested(reason) => format!("{NOT_TESTED}{reason}"),
    };
    (answer.behaviour.sentence(), text)
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

/// Reads the cells of a document. A missing cell, and every cell of a server whose
/// version has changed, is `not run`.
fn parse(document: &str) -> Columns {
    let rows: BTreeMap<String, Vec<&str>> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect::<Vec<_>>())
        .map(|cells| (cells[0].to_owned(), cells[1..].to_vec()))
        .collect();
    let column = |n: usize, name: ServerName| {
        let cell = |sentence: &str| {
            let is_of_this_version = *rows.get(HEAD)?.get(n)? == title(name);
            is_of_this_version.then_some((*rows.get(sentence)?.get(n)?).to_owned())
        };
        let all = behaviours::ALL.iter().map(|behaviour| behaviour.sentence());
        all.map(|sentence| {
            let cell = cell(&sentence).unwrap_or_else(|| NOT_RUN.to_owned());
            (sentence, cell)
        })
        .collect()
    };
    ServerName::ALL.into_iter().enumerate().map(|(n, name)| (name, column(n, name))).collect()
}

fn render(columns: &Columns) -> String {
    let guarantees = guarantees::rows(ServerName::ALL.iter().map(|name| &columns[name]));
    let guarantees = table("Guarantee") + guarantees.trim_end();
    let mut text = PREAMBLE.replace(GUARANTEES, &guarantees);
    let mut group = "";
    for behaviour in behaviours::ALL {
        if behaviour.group != group {
            group = behaviour.group;
            text += &head(group);
        }
        let sentence = behaviour.sentence();
        let cells = ServerName::ALL.map(|name| columns[&name][&sentence].as_str());
        writeln!(text, "| {sentence} | {} |", cells.join(" | "))
            .expect("writing to a String cannot fail");
    }
    text += "\n## Where servers differ, and what that means for you\n";
    for name in ServerName::ALL {
        text += &differences_of(name);
    }
    text
}

fn head(group: &str) -> String {
    format!("\n## {group}\n\n{}", table(HEAD))
}

/// Returns the first lines of a table with a column for each server.
fn table(first: &str) -> String {
    let titles = ServerName::ALL.map(title).join(" | ");
    let rule = "---|".repeat(ServerName::ALL.len() + 1);
    format!("| {first} | {titles} |\n|{rule}\n")
}

fn title(name: ServerName) -> String {
    let version = match name {
        ServerName::Moto => version("MOTO_VERSION"),
        ServerName::Garage => version("GARAGE_VERSION"),
        ServerName::Rgw => version("RGW_VERSION"),
        ServerName::Swift => version("SWIFT_VERSION"),
        ServerName::SeaweedFs => version("SEAWEEDFS_VERSION"),
        ServerName::Rclone => version("RCLONE_VERSION"),
        ServerName::Devstore | ServerName::Aws => None,
    };
    match version {
        Some(version) => format!("{} {version}", name.title()),
        None => name.title().to_owned(),
    }
}

/// Returns the version that `scripts/install.sh` pins.
fn version(name: &str) -> Option<&'static str> {
    INSTALL.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

fn differences_of(name: ServerName) -> String {
    let of_it: Vec<_> = differences::all().filter(|entry| entry.server == name).collect();
    if of_it.is_empty() {
        return String::new();
    }
    let mut text = format!("\n### {}\n\n", title(name));
    for entry in of_it {
        let claims: Vec<_> = entry.behaviours.iter().map(|name| name.replace('_', " ")).collect();
        let instead = escaped(entry.instead);
        writeln!(text, "- *{}*: {instead}. {}", claims.join("*, *"), entry.why)
            .expect("writing to a String cannot fail");
    }
    text
}

#[test]
fn the_document_agrees_with_the_lists() {
    let text = fs::read_to_string(path()).unwrap();

    let rendered = render(&parse(&text));

    if env::var_os(WRITE).is_none() {
        assert!(text == rendered, "docs/s3-compatibility.md is stale; write it with {WRITE}=1");
    }
}

/// The document agrees with the list of differences even for a server that cannot
/// run here.
#[test]
fn no_cell_contradicts_the_list_of_differences() {
    for (server, cells) in parse(&fs::read_to_string(path()).unwrap()) {
        for behaviour in behaviours::ALL {
            let found = &cells[&behaviour.sentence()];
            let entry = differences::of(server, behaviour.name);
            let differs = |entry: &Difference| Outcome::Differs(entry.instead.to_owned());
            let outcome = entry.map_or(Outcome::Held, differs);
            let (_, wanted) = cell(&Answer { behaviour, outcome });
            let is_untested = found == NOT_RUN || found.starts_with(NOT_TESTED);
            assert!(is_untested || *found == wanted, "{server:?}: {}: {found}", behaviour.name);
        }
    }
}

#[test]
fn answers_of_another_version_are_dropped() {
    let current = parse(&render(&parse(&fs::read_to_string(path()).unwrap())));
    let moto = title(ServerName::Moto);

    let after_update = parse(&render(&current).replace(&moto, "moto 0.0.1"));

    assert!(current[&ServerName::Moto].values().any(|cell| cell == "holds"));
    assert!(after_update[&ServerName::Moto].values().all(|cell| cell == NOT_RUN));
    assert_eq!(after_update[&ServerName::Devstore], current[&ServerName::Devstore]);
}

#[test]
fn the_pinned_versions_are_found() {
    for name in ServerName::ALL {
        let has_version = title(name).ends_with(|last: char| last.is_ascii_digit());
        let is_pinned = !matches!(name, ServerName::Devstore | ServerName::Aws);
        assert_eq!(has_version && title(name) != name.title(), is_pinned, "{}", title(name));
    }
}

//! Holds tables of the documents to the code: the keys of `server.yaml` and `client.yaml`,
//! and the exit codes. The keys of `config.toml` have a test of their own in `btrfs-to-s3`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_table_of_server_yaml_has_every_key_and_no_other() {
    assert_eq!(keys_of_page("## `server.yaml`"), keys_of_code("crates/gateway/src/config/raw.rs"));
}

#[test]
fn the_table_of_client_yaml_has_every_key_and_no_other() {
    assert_eq!(keys_of_page("## `client.yaml`"), keys_of_code("crates/agent/src/config/raw.rs"));
}

#[test]
fn the_table_of_exit_codes_has_every_code_and_no_other() {
    let code = read("crates/cli/src/exit.rs");
    let (_, rest) = code.split_once("pub enum Exit {").expect("the exit codes");
    let (variants, _) = rest.split_once("\n}").expect("the end of the exit codes");
    let number = |line: &str| line.trim().strip_suffix(',')?.split_once(" = ")?.1.parse().ok();
    let in_code: BTreeSet<u8> = variants.lines().filter_map(number).collect();

    let page = read("docs/exit-codes.md");
    let cells = page.lines().filter_map(first_cell);
    let in_page: BTreeSet<u8> =
        cells.flat_map(|cell| cell.split(", ")).filter_map(|code| code.parse().ok()).collect();

    assert!(in_code.len() > 5, "{in_code:?}");
    assert_eq!(in_page, in_code);
}

#[test]
fn the_table_of_fuzz_targets_has_every_target_and_no_other() {
    let page = read("docs/reliability.md");
    let (_, rest) = page.split_once("| bytes | from | fuzz target |").expect("the table");
    let (table, _) = rest.split_once("\n\n").expect("its end");
    let cells = table.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next());
    let names = cells.flat_map(|cell| cell.split(", "));
    let in_page: BTreeSet<_> =
        names.filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')).collect();

    let manifest = read("fuzz/Cargo.toml");
    let in_manifest: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .collect();

    assert!(in_manifest.len() > 10, "{in_manifest:?}");
    assert_eq!(in_page, in_manifest);
}

/// Pages of which a test runs every command, with that test.
const RUN_PAGES: [(&str, &str); 4] = [
    ("README.md", "crates/btrfs/tests/it/readme.rs"),
    ("docs/agent.md", "crates/agent/tests/it/agent_page.rs"),
    ("docs/quick-start.md", "crates/btrfs/tests/it/quick_start.rs"),
    ("docs/restore.md", "crates/btrfs/tests/it/restore_page.rs"),
];
/// Marks the commands of a section that no test runs.
const NOT_RUN: &str = "ot run by a test";

#[test]
fn every_command_of_the_documents_is_run_by_a_test_or_marked() {
    let mut marked = 0;
    for page in pages() {
        let text = read(&page);
        if let Some((_, test)) = RUN_PAGES.iter().find(|(run, _)| *run == page) {
            assert!(read(test).contains(&page), "{test} does not read {page}");
            continue;
        }
        // Before the first heading it counts for the whole page.
        let intro = text.split("\n## ").next().unwrap_or_default();
        for section in text.split("\n#").filter(|section| section.contains("```console")) {
            let heading = section.lines().next().unwrap_or_default();
            assert!(
                section.contains(NOT_RUN) || intro.contains(NOT_RUN),
                "{page}, {heading}: expected \"n{NOT_RUN}\" in this section"
            );
            marked += 1;
        }
    }
    assert!(marked > 3, "{marked}");
}

#[test]
fn every_link_to_a_file_and_a_heading_leads_there() {
    let mut links = 0;
    for page in pages() {
        let directory = Path::new(&page).parent().expect("a directory").to_owned();
        for link in links_of(&read(&page)) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => directory.join(file).display().to_string(),
            };
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            assert!(root.join(&target).exists(), "{page}: {link}");
            let is_there = heading.is_empty() || headings(&read(&target)).contains(heading);
            assert!(is_there, "{page}: {link} names no heading of {target}");
            links += 1;
        }
    }
    assert!(links > 50, "{links}");
}

/// Returns README and all documents.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = fs::read_dir(root.join("docs")).expect("the documents");
    let names = files.map(|file| file.expect("a file").file_name());
    let names = names.map(|name| format!("docs/{}", name.to_str().expect("UTF-8")));
    let mut pages: Vec<_> = names.filter(|name| name.ends_with(".md")).collect();
    pages.push("README.md".to_owned());
    pages.sort();
    pages
}

/// Returns the targets of the links of a page, without those to other sites.
fn links_of(page: &str) -> Vec<String> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// Returns the headings of a page in the form of links: `## A b` is `a-b`.
fn headings(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| line.starts_with('#'));
    let text = lines.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let mut found = BTreeSet::new();
    for text in text {
        let link = text.chars().filter(is_kept).collect::<String>().replace(' ', "-");
        // A heading that is there already gets a number.
        let mut numbered = (1..).map(|n| format!("{link}-{n}"));
        while !found.insert(link.clone()) && !found.insert(numbered.next().expect("endless")) {}
    }
    found
}

/// Returns the keys in the first column of the table below this heading.
fn keys_of_page(heading: &str) -> BTreeSet<String> {
    let page = read("docs/configuration.md");
    let (_, rest) = page.split_once(heading).expect("the heading");
    let (section, _) = rest.split_once("\n## ").expect("the next heading");
    let cells = section.lines().filter_map(first_cell).filter(|cell| cell.starts_with('`'));
    cells.flat_map(|cell| cell.split(", ")).map(|key| key.trim_matches('`').to_owned()).collect()
}

/// Returns the first cell of a row of a table.
fn first_cell(line: &str) -> Option<&str> {
    line.strip_prefix("| ")?.split(" | ").next()
}

/// Returns all keys, from the structs that mirror the file.
fn keys_of_code(file: &str) -> BTreeSet<String> {
    let code = read(file);
    let mut keys = BTreeSet::new();
    add_keys(&code, "Raw", "", &mut keys);
    keys
}

/// Adds the keys of a struct. A field whose type is a struct of the same file is a section.
fn add_keys(code: &str, name: &str, prefix: &str, keys: &mut BTreeSet<String>) {
    let fields = fields_of(code, name).unwrap_or_else(|| panic!("no struct {name}"));
    for (key, kind) in fields {
        let (kind, is_list) = match inner(kind, "Vec<") {
            Some(kind) => (kind, true),
            None => (inner(kind, "Option<").unwrap_or(kind), false),
        };
        if fields_of(code, kind).is_some() {
            let list = if is_list { "[]" } else { "" };
            add_keys(code, kind, &format!("{prefix}{key}{list}."), keys);
        } else {
            keys.insert(format!("{prefix}{key}"));
        }
    }
}

/// Returns the fields of a struct with their types, if the struct is in this file.
fn fields_of<'c>(code: &'c str, name: &str) -> Option<Vec<(&'c str, &'c str)>> {
    let (_, rest) = code.split_once(&format!("pub struct {name} {{"))?;
    let (body, _) = rest.split_once("\n}")?;
    let field = |line: &'c str| line.trim().strip_prefix("pub ")?.split_once(": ");
    let fields = body.lines().filter_map(field);
    Some(fields.map(|(name, kind)| (name, kind.trim_end_matches(','))).collect())
}

fn inner<'k>(kind: &'k str, wrapper: &str) -> Option<&'k str> {
    kind.strip_prefix(wrapper)?.strip_suffix('>')
}

fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(file)).unwrap_or_else(|err| panic!("{file}: {err}"))
}

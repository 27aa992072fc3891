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

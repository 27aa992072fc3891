//! Holds the threat model in `docs/security.md` to the tests: each claim names tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item};

const HEADING: &str = "## Threat model";

#[test]
fn every_claim_of_the_threat_model_names_tests_that_exist() {
    let tests = tests();
    let (mut claims, mut missing) = (0, Vec::new());
    for (claim, names) in claims_of(&read("docs/security.md")) {
        assert!(!names.is_empty(), "this claim names no test: {claim}");
        missing.extend(names.into_iter().filter(|name| !tests.contains(name)));
        claims += 1;
    }
    assert!(claims > 25, "{claims}");
    assert!(missing.is_empty(), "there is no such test: {missing:#?}");
}

#[test]
fn a_claim_without_a_test_and_a_name_that_is_no_test_are_found() {
    let page = format!(
        "| before | `x` |\n{HEADING}\n| claim | tests |\n| --- | --- |\n\
         | one, with `a key` | `a_test`, `other` |\n| two | none |\n## Next\n| three | `y` |\n"
    );
    let found: Vec<_> = claims_of(&page).into_iter().map(|(_, names)| names).collect();
    assert_eq!(found, [vec!["a_test".to_owned(), "other".to_owned()], vec![]]);

    let code = "#[test] fn a_test() {} fn helper() {} mod tests { #[tokio::test(flavor = \"x\")] \
                async fn inner() {} } proptest! { #[test] fn property(n in 0..9) {} }";
    let found = tests_of(code);
    assert_eq!(Vec::from_iter(found), ["a_test", "inner", "property"]);
}

/// Returns the claims of the threat model, with the names of their tests.
fn claims_of(page: &str) -> Vec<(String, Vec<String>)> {
    let (_, rest) = page.split_once(&format!("{HEADING}\n")).expect("a threat model");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let claims = rows.filter(|row| !row.starts_with("| ---") && !row.starts_with("| claim"));
    let claim = |row: &str| {
        let cells = row.trim_end_matches([' ', '|']).rsplit_once(" | ");
        let (claim, tests) = cells.expect("two cells");
        let names = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (claim.to_owned(), names)
    };
    claims.map(claim).collect()
}

/// Returns the names of all tests of the workspace.
fn tests() -> BTreeSet<String> {
    let crates = root().join("crates");
    let found: BTreeSet<_> = files(&crates)
        .iter()
        .flat_map(|path| tests_of(&fs::read_to_string(path).expect("a file")))
        .collect();
    assert!(found.len() > 500, "found only {} tests", found.len());
    found
}

/// Returns the names of the tests in a file. A property test is in a macro, whose text is searched.
fn tests_of(text: &str) -> BTreeSet<String> {
    let file = syn::parse_file(text).expect("Rust");
    let mut names = BTreeSet::new();
    add_tests(&file.items, &mut names);
    names
}

fn add_tests(items: &[Item], names: &mut BTreeSet<String>) {
    for item in items {
        if let Item::Fn(function) = item
            && function.attrs.iter().any(is_test)
        {
            names.insert(function.sig.ident.to_string());
        } else if let Item::Mod(module) = item
            && let Some((_, items)) = &module.content
        {
            add_tests(items, names);
        } else if let Item::Macro(invoked) = item
            && invoked.mac.path.segments.last().is_some_and(|name| name.ident == "proptest")
        {
            let text = invoked.mac.tokens.to_string();
            let functions = text.split("fn ").skip(1);
            names.extend(functions.filter_map(|rest| {
                let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
                (!name.is_empty()).then(|| name.to_owned())
            }));
        }
    }
}

fn is_test(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|name| name.ident == "test")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path if path.extension().is_some_and(|end| end == "rs") => vec![path],
            _ => vec![],
        })
        .collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect("a file")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

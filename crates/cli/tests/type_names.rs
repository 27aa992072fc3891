//! Holds every crate to the rule that a name of a type means one thing in it.
//!
//! Exempt: types that only their own file can name, `config/raw.rs`, whose types mirror the sections of
//! a configuration file and are named with their module (`raw::S3`), and alternatives that `cfg` selects
//! (`unsupported.rs`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Ident, Item, Visibility};

#[test]
fn a_name_of_a_type_means_one_thing_in_a_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("crates")).expect("the crates") {
        let source = entry.expect("an entry").path().join("src");
        let types: Vec<_> = files(&source)
            .into_iter()
            .flat_map(|path| {
                let text = fs::read_to_string(&path).expect("a file");
                names(&text).into_iter().map(move |name| (name, path.clone()))
            })
            .collect();
        seen += types.len();
        found.extend(doubles(types));
    }
    assert!(seen > 1000, "found only {seen} types");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_second_type_of_a_name_is_found() {
    fn of(path: &str, text: &str) -> Vec<(String, PathBuf)> {
        names(text).into_iter().map(|name| (name, path.into())).collect()
    }
    let one = "pub struct Entry; struct Private; mod tests { pub struct Inner; }";
    let two = "pub(super) enum Entry {} struct Private; #[cfg(unix)] pub type Only = u8;";
    let three = "#[cfg(not(unix))] pub type Only = u16;";

    let found = doubles([of("a.rs", one), of("b.rs", two), of("c.rs", three)].concat());

    assert_eq!(found, ["Entry: a.rs, b.rs"]);
}

fn doubles(types: Vec<(String, PathBuf)>) -> Vec<String> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, path) in types {
        files.entry(name).or_default().push(path.display().to_string());
    }
    files.retain(|_, paths| paths.len() > 1);
    files.into_iter().map(|(name, paths)| format!("{name}: {}", paths.join(", "))).collect()
}

/// Returns the types of a file that others can name.
fn names(text: &str) -> Vec<String> {
    let file = syn::parse_file(text).expect("Rust");
    let of_item = |item: &Item| {
        let (visibility, attributes, name) = declaration(item)?;
        let is_alternative = attributes.iter().any(|attribute| attribute.path().is_ident("cfg"));
        let is_visible = !matches!(visibility, Visibility::Inherited);
        (is_visible && !is_alternative).then(|| name.to_string())
    };
    file.items.iter().filter_map(of_item).collect()
}

/// Returns the parts of the declaration of a type; `None` for another item.
fn declaration(item: &Item) -> Option<(&Visibility, &[Attribute], &Ident)> {
    if let Item::Struct(it) = item {
        return Some((&it.vis, &it.attrs, &it.ident));
    }
    if let Item::Enum(it) = item {
        return Some((&it.vis, &it.attrs, &it.ident));
    }
    if let Item::Type(it) = item {
        return Some((&it.vis, &it.attrs, &it.ident));
    }
    let Item::Trait(it) = item else { return None };
    Some((&it.vis, &it.attrs, &it.ident))
}

/// Returns the source files of a crate without its tests and the exempt files.
fn files(source: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![source.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let is_exempt =
                ["config/raw.rs", "unsupported.rs", "tests"].iter().any(|end| path.ends_with(end));
            if path.is_dir() && !is_exempt {
                waiting.push(path);
            } else if !is_exempt && path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found
}

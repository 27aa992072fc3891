//! Holds every crate to the rule that its modules import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, UseTree};

/// A module, as the segments of its path below the crate root.
type Module = Vec<String>;

/// The paths that one file names in its code, without its tests.
#[derive(Default)]
struct Paths {
    imported: Vec<Vec<String>>,
    /// Paths in code and in attributes, which macros turn into code.
    named: Vec<Vec<String>>,
}

impl Paths {
    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(before, tree))
            }
            UseTree::Name(name) => self.imported.push(with(&name.ident)),
            UseTree::Rename(rename) => self.imported.push(with(&rename.ident)),
            UseTree::Glob(_) => self.imported.push(before.to_vec()),
        }
    }

    /// Returns all paths, each with the import that it begins with.
    fn all(self) -> Vec<Vec<String>> {
        let Paths { imported, named } = self;
        let whole = |path: Vec<String>| match imported.iter().find(|it| it.last() == path.first()) {
            Some(import) => [import, &path[1..]].concat(),
            None => path,
        };
        let named: Vec<_> = named.into_iter().map(whole).collect();
        [imported, named].concat()
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_item_mod(&mut self, module: &'a ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, import: &'a ItemUse) {
        self.add_tree(&[], &import.tree);
    }

    /// Skips `pub(super)`, which is no import.
    fn visit_vis_restricted(&mut self, _: &'a syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.named.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'a Attribute) {
        if let Meta::List(list) = &attribute.meta {
            let text = list.tokens.to_string().replace(" :: ", "::");
            let words =
                text.split(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter));
            let paths = words.filter(|word| word.contains("::"));
            self.named.extend(paths.map(|path| path.split("::").map(str::to_owned).collect()));
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
    })
}

/// Returns the files of a crate by their module. `main.rs` is a crate of its own, which
/// nothing imports, and is left out.
fn modules(source: &Path) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![source.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let below = path.strip_prefix(source).expect("a file of the crate").with_extension("");
            let mut module: Module = below
                .iter()
                .map(|segment| segment.to_str().expect("a name in UTF-8").to_owned())
                .collect();
            if matches!(module.last().map(String::as_str), Some("lib" | "mod")) {
                module.pop();
            }
            let is_test = module.iter().any(|segment| segment == "tests");
            if module != ["main"] && !is_test && path.extension().is_some_and(|end| end == "rs") {
                found.insert(module, path);
            }
        }
    }
    found
}

/// Returns the module that `path`, written in `from`, leads to. The root of a crate
/// re-exports items of all modules, so an import from there has no direction.
fn target(modules: &BTreeMap<Module, PathBuf>, from: &Module, path: &[String]) -> Option<Module> {
    let mut full = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => from.clone(),
        "super" => from[..from.len().saturating_sub(1)].to_vec(),
        // A child that is named without `self`; a single segment is a variable.
        name if path.len() > 1
            && modules.contains_key(&[&from[..], &[name.to_owned()]].concat()) =>
        {
            [&from[..], &[name.to_owned()]].concat()
        }
        _ => return None,
    };
    for segment in &path[1..] {
        match segment.as_str() {
            "super" => drop(full.pop()),
            name => full.push(name.to_owned()),
        }
    }
    while !full.is_empty() && !modules.contains_key(&full) {
        full.pop();
    }
    (!full.is_empty() && full != *from).then_some(full)
}

type Graph = BTreeMap<Module, BTreeSet<Module>>;

fn imports(modules: &BTreeMap<Module, PathBuf>) -> Graph {
    let edges = modules.iter().map(|(module, path)| {
        let file = syn::parse_file(&fs::read_to_string(path).expect("a file")).expect("Rust");
        let mut paths = Paths::default();
        for item in &file.items {
            if !matches!(item, Item::Mod(module) if is_test(&module.attrs)) {
                paths.visit_item(item);
            }
        }
        let paths = paths.all();
        let targets = paths.iter().filter_map(|path| target(modules, module, path));
        (module.clone(), targets.collect())
    });
    edges.collect()
}

/// Returns a circle of the graph, from a module back to itself, if there is one.
fn circle(graph: &Graph) -> Option<Vec<Module>> {
    fn walk(
        graph: &Graph,
        at: &Module,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> Option<Vec<Module>> {
        if let Some(start) = way.iter().position(|module| module == at) {
            return Some([&way[start..], std::slice::from_ref(at)].concat());
        }
        if !done.insert(at.clone()) {
            return None;
        }
        way.push(at.clone());
        let found = graph[at].iter().find_map(|next| walk(graph, next, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| walk(graph, module, &mut Vec::new(), &mut done))
}

#[test]
fn no_crate_has_a_circle_of_imports() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let crates = fs::read_dir(root.join("crates")).expect("the crates");
    let mut found = BTreeMap::new();
    let mut sources: Vec<_> =
        crates.map(|entry| entry.expect("an entry").path().join("src")).collect();
    sources.push(root.join("bench/src"));
    for source in &sources {
        let Some(circle) = circle(&imports(&modules(source))) else { continue };
        let names: Vec<_> = circle.iter().map(|module| module.join("::")).collect();
        let name = source.parent().and_then(Path::file_name).expect("a crate");
        found.insert(name.to_str().expect("UTF-8").to_owned(), names.join(" -> "));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_paths_of_attributes_count() {
    let code = "use crate::handlers; #[openapi(paths(handlers::put::put, x))] struct Api;";
    let mut paths = Paths::default();
    paths.visit_file(&syn::parse_file(code).expect("Rust"));
    assert!(paths.all().iter().any(|path| path.join("::") == "crate::handlers::put::put"));
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let graph = |edges: &[(&str, &[&str])]| -> Graph {
        let edges = edges.iter();
        edges.map(|(from, to)| (module(from), to.iter().map(|to| module(to)).collect())).collect()
    };
    let straight = graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert_eq!(circle(&straight), None);
    let round = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
    assert_eq!(circle(&round), Some(["b", "c", "b"].map(module).to_vec()));
}

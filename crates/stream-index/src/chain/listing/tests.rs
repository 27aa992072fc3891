//! Directories of damaged indexes.

use std::collections::BTreeMap;

use super::*;
use crate::record::{FileMetadata, FileType, ROOT, base_key};
use crate::table::directory::StreamId;
use crate::table::read::Table;
use crate::table::write::TableWriter;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn node(id: NodeId, file_type: FileType) -> Node {
    let metadata = FileMetadata { file_type: Some(file_type), ..FileMetadata::default() };
    Node { id, is_linked: false, metadata }
}

fn encoded(node: &Node) -> Vec<u8> {
    let mut bytes = Vec::new();
    node.put(&mut bytes);
    bytes
}

/// Returns the records of a full with these files in its root.
fn full(files: &[(&[u8], Node)]) -> Records {
    let root = (base_key(b"", ROOT), encoded(&node(ROOT, FileType::Directory)));
    let entry =
        |(name, file): &(&[u8], Node)| (entry_key(ROOT, name), Entry::New(file.clone()).encode());
    std::iter::once(root).chain(files.iter().map(entry)).collect()
}

fn chain(levels: &[Records]) -> IndexChain {
    let table = |(level, records): (usize, &Records)| {
        let is_incremental = level > 0;
        let stream = StreamId { bytes: 1, uuid: [1; 16], ctransid: 2, is_incremental };
        let mut writer = TableWriter::new(Vec::new(), stream).unwrap();
        records.iter().for_each(|(key, value)| writer.put(key, value).unwrap());
        let (bytes, _) = writer.finish().unwrap();
        Table::open("index".to_owned(), Box::new(bytes), None).unwrap()
    };
    IndexChain::new(levels.iter().enumerate().map(table).collect()).unwrap()
}

#[test]
fn names_and_targets_that_no_file_has_are_damage() {
    let with_target = |bytes: usize| {
        let mut link = node(1, FileType::Symlink);
        link.metadata.target = Some(vec![b't'; bytes]);
        link
    };
    let name = |bytes: usize| vec![b'n'; bytes];
    #[rustfmt::skip]
    let cases = [
        (name(255), with_target(4095), true),
        (name(256), with_target(1),    false),
        (name(1),   with_target(4097), false),
    ];
    for (name, file, is_read) in cases {
        let chain = chain(&[full(&[(&name, file)])]);
        let root = chain.lookup(b"").unwrap().unwrap();

        let listed = chain.list_page(&root, b"", 10);

        match listed {
            Ok(page) => assert!(is_read && page.entries.len() == 1),
            Err(IndexChainError::Table(err)) => assert!(!is_read && err.is_damage(), "{err}"),
            Err(err) => panic!("{err}"),
        }
    }
}

/// A page holds changes of the names that are in it, and of no others that an index claims.
#[test]
fn changes_of_names_that_the_parent_does_not_have_take_no_memory() {
    let full = full(&[(b"a", node(1, FileType::File)), (b"b", node(2, FileType::Directory))]);
    let mut changes = Records::new();
    changes.insert(base_key(b"", ROOT), encoded(&node(ROOT, FileType::Directory)));
    let mut change = |path: &str, id| {
        let changed = Node { metadata: FileMetadata::default(), ..node(id, FileType::File) };
        changes.insert(base_key(path.as_bytes(), id), encoded(&changed));
    };
    change("a", 1);
    change("b/file", 2);
    for n in 0..5000 {
        change(&format!("other {n}"), 10 + n);
        change(&format!("directory {n}/file"), 10_000 + n);
    }
    let chain = chain(&[full, changes]);
    let root = chain.lookup(b"").unwrap().unwrap();

    let page = chain.list_page(&root, b"", 10).unwrap();
    let is_inherited = |name: &[u8]| name == b"a" || name == b"b";
    let touched = chain.touched_below(1, b"", (b"", None), is_inherited).unwrap();

    let names: Vec<_> = page.entries.iter().map(|(name, _)| name.as_slice()).collect();
    assert_eq!(names, [b"a", b"b"]);
    assert_eq!(touched.nodes.keys().collect::<Vec<_>>(), [b"a"]);
    assert_eq!(touched.deeper.iter().collect::<Vec<_>>(), [b"b"]);
}

//! Trees of made indexes, compared with a diff that keeps everything.

use std::collections::{BTreeMap, BTreeSet};

use btrfs_stream_index::chain::HELD_ENTRIES_MAX;
use btrfs_stream_index::record::{Entry, Node, NodeId, ROOT, base_key, entry_key};
use btrfs_stream_index::table::write::TableWriter;
use btrfs_stream_index::{FileType, StreamId, Table};
use proptest::prelude::*;

use super::*;

/// Files by path, with their lengths; `None` is a directory. Directories above a path are in it.
type Tree = BTreeMap<Vec<u8>, Option<u64>>;

fn put(tree: &mut Tree, path: &[u8], length: Option<u64>) {
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        tree.insert(path[..at].to_vec(), None);
    }
    tree.entry(path.to_vec()).or_insert(length);
}

/// Returns the index of a full with this tree.
fn index(tree: &Tree) -> IndexChain {
    let node = |id, length: Option<u64>| {
        let file_type = if length.is_some() { FileType::File } else { FileType::Directory };
        let mut metadata = FileMetadata { file_type: Some(file_type), ..FileMetadata::default() };
        metadata.length.set(length.unwrap_or(0));
        Node { id, is_linked: false, metadata }
    };
    let mut directories = BTreeMap::from([(Vec::new(), ROOT)]);
    let mut records = BTreeMap::new();
    let mut root = Vec::new();
    node(ROOT, None).put(&mut root);
    records.insert(base_key(b"", ROOT), root);
    // A directory is before its content.
    for ((path, length), id) in tree.iter().zip(ROOT + 1..) {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) =
            slash.map_or((&b""[..], &path[..]), |at| (&path[..at], &path[at + 1..]));
        let above: NodeId = directories[above];
        records.insert(entry_key(above, name), Entry::New(node(id, *length)).encode());
        if length.is_none() {
            directories.insert(path.clone(), id);
        }
    }
    let stream = StreamId { bytes: 1, uuid: [1; 16], ctransid: 2, is_incremental: false };
    let mut writer = TableWriter::new(Vec::new(), stream).unwrap();
    records.iter().for_each(|(key, value)| writer.put(key, value).unwrap());
    let (bytes, _) = writer.finish().unwrap();
    IndexChain::new(vec![Table::open("index".to_owned(), Box::new(bytes), None).unwrap()]).unwrap()
}

/// Returns all differences, and the most entries and directories that were in memory at once.
fn diff(before: &Tree, after: &Tree) -> (Vec<(PathChange, Vec<u8>)>, usize) {
    let (before, after) = (index(before), index(after));
    let mut diff = TreeDiff::new(&before, &after, false).unwrap();
    let (mut changes, mut most) = (Vec::new(), 0);
    while let Some(change) = diff.next_change().unwrap() {
        changes.push(change);
        let waiting: usize = diff.entered.iter().map(|pair| pair.waiting.len()).sum();
        most = most.max(diff.held() + waiting);
    }
    (changes, most)
}

/// Returns the differences of whole trees, sorted at the end.
fn expected(before: &Tree, after: &Tree) -> Vec<(PathChange, Vec<u8>)> {
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let is_in_both =
        |path: &[u8]| before.get(path) == Some(&None) && after.get(path) == Some(&None);
    let is_below_one = |path: &[u8]| {
        let above = path.iter().rposition(|byte| *byte == b'/').map(|at| &path[..at]);
        above.is_some_and(|above| !is_in_both(above))
    };
    let change = |path: &Vec<u8>| match (before.get(path), after.get(path)) {
        (Some(old), Some(new)) => (old != new).then_some(PathChange::Changed),
        (Some(_), None) => Some(PathChange::Removed),
        (None, _) => Some(PathChange::Added),
    };
    let wanted = paths.into_iter().filter(|path| !is_below_one(path));
    wanted.filter_map(|path| change(path).map(|change| (change, path.clone()))).collect()
}

#[test]
fn the_content_of_a_directory_is_between_names_that_begin_with_its_own() {
    let (mut before, mut after) = (Tree::new(), Tree::new());
    for path in ["a", "a!/x", "a/-", "a-", "a-/y", "a-b", "a-b/z/z", "a.txt", "a0", "b/c"] {
        put(&mut after, path.as_bytes(), Some(1));
        put(&mut before, path.as_bytes(), Some(2));
    }
    let (changes, _) = diff(&before, &after);

    let paths: Vec<_> = changes.iter().map(|(_, path)| str::from_utf8(path).unwrap()).collect();
    assert_eq!(paths, ["a!/x", "a-/y", "a-b/z/z", "a.txt", "a/-", "a0", "b/c"]);
    assert!(changes.iter().all(|(change, _)| *change == PathChange::Changed));
}

fn trees() -> impl Strategy<Value = Tree> {
    let path =
        proptest::string::string_regex("[ab0](-|!|a|0){0,3}(/[ab](-|\\.){0,2}){0,3}").unwrap();
    let files = proptest::collection::vec((path, proptest::option::of(0..3_u64)), 0..40);
    files.prop_map(|files| {
        let mut tree = Tree::new();
        files.iter().for_each(|(path, length)| put(&mut tree, path.as_bytes(), *length));
        tree
    })
}

proptest! {
    #[test]
    fn a_diff_is_in_the_order_of_the_paths_and_complete(before in trees(), after in trees()) {
        let (found, _) = diff(&before, &after);
        prop_assert_eq!(found, expected(&before, &after));
    }
}

#[test]
fn the_memory_of_a_diff_does_not_depend_on_the_number_of_differences() {
    let tree = |count: u32, of: &str| {
        let mut tree = Tree::new();
        for n in 0..count {
            put(&mut tree, format!("many/file-{n:06}-{of}").as_bytes(), Some(0));
            put(&mut tree, format!("directories/d-{n:06}/file").as_bytes(), Some(of.len() as u64));
        }
        tree
    };
    let most = [3_000, 12_000].map(|count| {
        let (changes, most) = diff(&tree(count, "old"), &tree(count, "newer"));
        assert_eq!(changes.len() as u32, 3 * count);
        most
    });
    assert_eq!(most[0], most[1]);
    assert!(most[0] < 2_500, "{most:?} entries were in memory");
}

/// Each of the directories above is in the middle of its entries.
#[test]
fn the_memory_of_a_diff_does_not_depend_on_the_depth_of_the_trees() {
    let tree = |length| {
        let (mut tree, mut directory) = (Tree::new(), String::new());
        for _ in 0..40 {
            for n in 0..800 {
                put(&mut tree, format!("{directory}{n:03}").as_bytes(), Some(length));
            }
            directory += "100d/";
        }
        tree
    };
    let (before, after) = (tree(1), tree(2));

    let (changes, most) = diff(&before, &after);

    assert_eq!(changes, expected(&before, &after));
    assert!(changes.len() == 40 * 800 && most > HELD_ENTRIES_MAX / 2, "{most}");
    assert!(most <= HELD_ENTRIES_MAX + 2_500, "{most} entries were in memory");
}

//! An index with any records is read or refused, and so are any bytes. Who can write to the bucket can
//! write an index, so its checksums prove nothing.
#![no_main]

use std::collections::BTreeMap;

use btrfs_stream_index::chain::{ChainError, IndexChain};
use btrfs_stream_index::record::{base_key, content_key, entry_key};
use btrfs_stream_index::table::write::TableWriter;
use btrfs_stream_index::{StreamId, Table, TableError};
use libfuzzer_sys::fuzz_target;

/// Number of directories that are listed.
const LISTED_MAX: usize = 50;
/// Number of extents that are read of one file.
const EXTENTS_MAX: usize = 1000;

/// Ends the reading of a file.
struct Stop;

impl From<ChainError> for Stop {
    fn from(_: ChainError) -> Stop {
        Stop
    }
}

/// Kind, two numbers and text of the key, and the value.
type Records = Vec<((u8, u8, u8, Vec<u8>), Vec<u8>)>;

fuzz_target!(|input: (Records, Records, Vec<u8>)| {
    let (full, incremental, bytes) = input;
    open(bytes).ok();
    let levels = vec![table(full, false), table(incremental, true)];
    for chain in [1, 2].map(|count| levels[..count].to_vec()) {
        let tables = chain.into_iter().map(open).collect::<Result<_, _>>();
        let tables = tables.expect("a table that was written");
        walk(&IndexChain::new(tables).expect("a full and its incremental"));
    }
});

fn open(bytes: Vec<u8>) -> Result<Table, TableError> {
    Table::open("index".to_owned(), Box::new(bytes), None)
}

fn table(records: Records, is_incremental: bool) -> Vec<u8> {
    let id = StreamId { bytes: 1, uuid: [0; 16], ctransid: 1, is_incremental };
    let records = records.into_iter().map(|((kind, node, group, text), value)| {
        let key = match kind % 4 {
            0 => base_key(&text, node.into()),
            1 => entry_key(node.into(), &text),
            2 => content_key(node.into(), group.into()),
            _ => text,
        };
        (key, value)
    });
    let mut writer = TableWriter::new(Vec::new(), id).expect("a writer");
    for (key, value) in records.collect::<BTreeMap<_, _>>() {
        writer.put(&key, &value).expect("a record");
    }
    writer.finish().expect("a table").0
}

/// Lists directories from the root on, and reads the metadata of their files.
fn walk(chain: &IndexChain) {
    let mut paths = vec![Vec::new()];
    for n in 0..LISTED_MAX {
        let Some(path) = paths.get(n).cloned() else { return };
        let Ok(Some(file)) = chain.lookup(&path) else { continue };
        let mut extents = 0..EXTENTS_MAX;
        chain.extents::<Stop>(&file, |_| extents.next().map(drop).ok_or(Stop)).ok();
        chain.xattrs(&file).ok();
        let Ok(entries) = chain.list(&file) else { continue };
        for (name, _) in entries {
            paths.push(if path.is_empty() { name } else { [&path[..], b"/", &name].concat() });
        }
    }
}

//! Files whose clones lead through each other.

use super::*;
use crate::operation::CloneSource;
use crate::record::{Entry, FileMetadata, FileType, Node, ROOT, base_key, entry_key};
use crate::table::directory::StreamId;
use crate::table::read::Table;
use crate::table::write::TableWriter;

const BYTES: u64 = 1 << 20;

fn node(id: NodeId, file_type: FileType) -> Node {
    let mut metadata = FileMetadata { file_type: Some(file_type), ..FileMetadata::default() };
    metadata.length.set(BYTES);
    Node { id, is_linked: false, metadata }
}

/// Returns the index of a stream with these operations of each file, of which the first is node 1.
fn index(files: &[Vec<Operation>]) -> IndexChain {
    let stream = StreamId { bytes: 100, uuid: [1; 16], ctransid: 1, is_incremental: false };
    let mut writer = TableWriter::new(Vec::new(), stream).unwrap();
    let mut root = Vec::new();
    node(ROOT, FileType::Directory).put(&mut root);
    writer.put(&base_key(b"", ROOT), &root).unwrap();
    for id in 1..=files.len() as NodeId {
        let name = format!("file-{id:03}");
        let entry = Entry::New(node(id, FileType::File)).encode();
        writer.put(&entry_key(ROOT, name.as_bytes()), &entry).unwrap();
    }
    for (n, operations) in files.iter().enumerate() {
        let key = [&content_keys(n as NodeId + 1)[..], &0_u32.to_be_bytes()].concat();
        writer.put(&key, &operation::encode(operations)).unwrap();
    }
    let (bytes, _) = writer.finish().unwrap();
    let table = Table::open("index".to_owned(), Box::new(bytes), None).unwrap();
    IndexChain::new(vec![table]).unwrap()
}

fn write(at: u64, offset: u64, length: u64) -> Operation {
    Operation { at, change: Change::Write { offset, data: at + 10..at + 10 + length } }
}

fn clone(at: u64, offset: u64, length: u64, (source, source_offset): (NodeId, u64)) -> Operation {
    let source = CloneSource::Node(source);
    Operation { at, change: Change::Clone { offset, length, source, source_offset } }
}

/// Each file takes its pieces from the one before it, at moments between which that one changes: the
/// number of ways through the clones multiplies with each file.
fn multiplying(files: u64) -> IndexChain {
    const TURNS: u64 = 64;
    let length = BYTES / TURNS;
    // The files take turns, so that no content is right for two moments.
    let of_file = |n: u64| match n {
        0 => vec![write(0, 0, 10)],
        _ => (0..TURNS)
            .map(|turn| {
                let at = 1_000 + turn * 10_000 + n * 100;
                clone(at, turn * length, length, (n as NodeId, turn * length))
            })
            .collect(),
    };
    index(&(0..files).map(of_file).collect::<Vec<_>>())
}

fn extents(
    chain: &IndexChain,
    file: &str,
    limits: ReplayLimits,
) -> Result<Vec<Extent>, IndexChainError> {
    let file = chain.lookup(file.as_bytes())?.expect("a file");
    let mut extents = Vec::new();
    chain.extents_within::<IndexChainError>(&file, limits, |extent| {
        extents.push(extent);
        Ok(())
    })?;
    Ok(extents)
}

#[test]
fn clones_that_lead_through_each_other_in_too_many_ways_end_at_a_limit() {
    let chain = multiplying(100);
    let limits = ReplayLimits { extents: EXTENTS_MAX, steps: 100_000 };

    assert!(extents(&chain, "file-003", limits).is_ok());
    let refused = extents(&chain, "file-100", limits).unwrap_err();

    assert!(matches!(refused, IndexChainError::TooManySteps { level: 0, of: 1 }), "{refused}");
    assert!(refused.to_string().contains("restore the whole subvolume to btrfs"), "{refused}");
}

/// The files that the clones lead through hold too many extents together, so the file is read in
/// ranges.
#[test]
fn a_file_whose_clones_lead_through_many_extents_is_read_in_ranges() {
    const PIECES: u64 = 64;
    let (half, length) = (BYTES / 2, BYTES / PIECES);
    // Each file has extents of its own before it takes those of the one before it.
    let of_file = |n: u64| {
        let start = 1_000 + n * 10_000_000;
        let mut operations: Vec<_> =
            (0..PIECES / 2).map(|m| write(start + m * 20_000, m * length, length / 2)).collect();
        if n > 0 {
            operations.push(clone(start + PIECES * 20_000, half, half, (n as NodeId, 0)));
        }
        operations
    };
    let chain = index(&(0..20).map(of_file).collect::<Vec<_>>());
    let steps = 1_000_000;
    for (file, count) in [("file-001", 32), ("file-002", 64), ("file-020", 64)] {
        let whole = extents(&chain, file, ReplayLimits { extents: 4096, steps }).unwrap();
        assert_eq!(whole.len(), count);
        for limit in [1, 10, 40] {
            let limits = ReplayLimits { extents: limit, steps };
            assert_eq!(extents(&chain, file, limits).unwrap(), whole, "{file} {limit}");
        }
    }
}

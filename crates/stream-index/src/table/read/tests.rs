//! Damaged and hostile indexes.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::directory::BlockFacts;
use super::super::write::TableWriter;
use super::*;

/// Bytes whose largest read is noted, and the number of reads.
struct Watched(Vec<u8>, Arc<AtomicU64>, Arc<AtomicU64>);

impl ReadAt for Watched {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        self.1.fetch_max(range.end - range.start, Ordering::Relaxed);
        self.2.fetch_add(1, Ordering::Relaxed);
        self.0.read_at(range)
    }
}

fn stream() -> StreamId {
    StreamId { bytes: 1, uuid: [1; 16], ctransid: 2, is_incremental: false }
}

fn open(bytes: Vec<u8>) -> Result<Table, TableError> {
    Table::open("index 1".to_owned(), Box::new(bytes), None)
}

/// Returns an index with these blocks, whose content is `stored` in any form.
fn index(blocks: &[(BlockForm, u64)], stored: &[u8]) -> Vec<u8> {
    let mut bytes = [MAGIC, &VERSION.to_le_bytes()[..]].concat();
    let mut facts = Vec::new();
    for (n, (form, content_bytes)) in blocks.iter().enumerate() {
        facts.push(BlockFacts {
            first_key: vec![n as u8],
            offset: bytes.len() as u64,
            stored_bytes: stored.len() as u64,
            bytes: *content_bytes,
            form: *form,
            sha256: Sha256Digest::of(stored),
        });
        bytes.extend_from_slice(stored);
    }
    let directory = Directory { stream: stream(), blocks: facts }.encode();
    let offset = bytes.len() as u64;
    bytes.extend_from_slice(&directory);
    bytes.extend(offset.to_le_bytes());
    bytes.extend((directory.len() as u64).to_le_bytes());
    bytes.extend(Sha256Digest::of(&directory).0);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(MAGIC);
    bytes
}

#[test]
fn a_block_of_an_unknown_form_is_refused_and_is_no_damage() {
    let table = open(index(&[(BlockForm::Unknown(2), 10)], b"encrypted")).unwrap();

    let refused = table.get(b"\0").unwrap_err();

    let want = "the index index 1: expected blocks of form 1 (zstd), found one of form 2; use a \
                newer version of btrfs-to-s3";
    assert_eq!(refused.to_string(), want);
    assert!(!refused.is_damage(), "an index that a newer version wrote is not replaced");
}

#[test]
fn a_block_that_claims_too_much_is_damage() {
    let zstd = zstd::bulk::compress(&[0; 100], 3).unwrap();
    let cases = [
        (index(&[(BlockForm::Zstd, BLOCK_BYTES_MAX + 1)], &zstd), "at most 16777216 bytes"),
        (index(&[(BlockForm::Zstd, 10)], b""), "at most 16777216 bytes"),
        (index(&[(BlockForm::Zstd, 99)], &zstd), "content of zstd"),
        (index(&[(BlockForm::Zstd, 101)], &zstd), "a block of 101 bytes"),
        (index(&[(BlockForm::Zstd, 10)], b"no zstd"), "content of zstd"),
    ];
    for (bytes, want) in cases {
        let found = open(bytes).and_then(|table| table.get(b"\0"));
        let damage = found.unwrap_err();
        assert!(damage.is_damage() && damage.to_string().contains(want), "{damage}");
    }
}

#[test]
fn a_scan_holds_little_of_many_blocks_that_compress_well() {
    // 60 blocks of 1 MiB each, in some hundred bytes each.
    let mut writer = TableWriter::new(Vec::new(), stream()).unwrap();
    (0..60_u8).for_each(|n| writer.put(&[n], &vec![n; 1 << 20]).unwrap());
    let (bytes, _) = writer.finish().unwrap();
    let (length, largest) = (bytes.len() as u64, Arc::new(AtomicU64::new(0)));
    let watched = Watched(bytes, Arc::clone(&largest), Arc::default());
    let table = Table::open("index".to_owned(), Box::new(watched), None).unwrap();
    largest.store(0, Ordering::Relaxed);

    let mut count = 0;
    let scanned = table.scan::<TableError>(b"", |_, value| {
        count += usize::from(value.len() == 1 << 20);
        Ok(true)
    });

    scanned.unwrap();
    assert_eq!(count, 60);
    let most = length * SCAN_CONTENT_BYTES_MAX / (60 << 20);
    assert!(largest.load(Ordering::Relaxed) <= most, "{largest:?} of {length}");
    (0..60_u8).for_each(|n| assert!(table.get(&[n]).unwrap().is_some()));
    let cached = table.cached_bytes();
    assert!(cached <= 16 << 20, "{cached}");
}

#[test]
fn long_keys_that_share_their_beginning_are_in_short_blocks() {
    let mut writer = TableWriter::new(Vec::new(), stream()).unwrap();
    let key = |n: u32| [&[b'p'; 4000][..], &n.to_be_bytes()].concat();
    (0..2000).for_each(|n| writer.put(&key(n), b"value").unwrap());

    let (bytes, facts) = writer.finish().unwrap();

    let directory = Directory::decode(
        &bytes[bytes.len() - TRAILER_BYTES as usize - facts.directory_bytes as usize..]
            [..facts.directory_bytes as usize],
    );
    assert!(directory.unwrap().blocks.len() >= 7);
    let table = Table::open("t".to_owned(), Box::new(bytes), None).unwrap();
    assert_eq!(table.get(&key(1999)).unwrap().as_deref(), Some(&b"value"[..]));
}

/// The pages of a directory are scans that continue each other, here between lookups elsewhere.
#[test]
fn scans_that_continue_each_other_read_several_blocks_at_once() {
    let mut writer = TableWriter::new(Vec::new(), stream()).unwrap();
    let key = |n: u32| n.to_be_bytes();
    (0..4000).for_each(|n| writer.put(&key(n), &s3up_testkit::noise(4000)).unwrap());
    let (bytes, _) = writer.finish().unwrap();
    let reads = Arc::new(AtomicU64::new(0));
    let watched = Watched(bytes, Arc::default(), Arc::clone(&reads));
    let table = Table::open("index".to_owned(), Box::new(watched), None).unwrap();
    let blocks = table.directory.blocks.len() as u64;
    assert!(blocks > 200, "{blocks}");
    reads.store(0, Ordering::Relaxed);

    let mut next = 0;
    while next < 4000 {
        let end = next + 40;
        let scanned = table.scan_from::<TableError>(b"", &key(next), |found, _| {
            assert_eq!(found, key(next));
            next += 1;
            Ok(next < end)
        });
        scanned.unwrap();
    }

    let reads = reads.load(Ordering::Relaxed);
    assert!(reads < blocks / 8, "{reads} reads of {blocks} blocks");
}

#[test]
fn an_index_of_a_long_chain_keeps_few_blocks_whatever_is_read() {
    let mut writer = TableWriter::new(Vec::new(), stream()).unwrap();
    let key = |n: u32| n.to_be_bytes();
    (0..4000).for_each(|n| writer.put(&key(n), &s3up_testkit::noise(4000)).unwrap());
    let (bytes, _) = writer.finish().unwrap();
    let mut table = Table::open("index".to_owned(), Box::new(bytes), None).unwrap();
    for (backups, most) in [(1, 16 << 20), (100, 1 << 20), (1000, 512 << 10)] {
        table.limit_cache(CacheLimits::of_chain(backups));

        let mut count = 0;
        let scanned = table.scan::<TableError>(b"", |_, _| {
            count += 1;
            Ok(true)
        });
        scanned.unwrap();
        (0..4000).for_each(|n| assert!(table.get(&key(n)).unwrap().is_some()));

        let cached = table.cached_bytes();
        assert!(count == 4000 && 0 < cached && cached <= most, "{backups}: {cached}");
    }
}

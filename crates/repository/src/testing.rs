//! Manifests for the unit tests of several crates; built with the feature `testing` only.

use s3up_core::{Key, Sha256Digest};

use crate::chain::ChainEntry;
use crate::manifest::{Manifest, ManifestChunk, ManifestSnapshot, PartIndexRef};
use crate::names::{BackupKind, SnapshotName, SubvolumeName};
use crate::stamp::Stamp;

/// Returns backup number `n`, based on number `parent`.
pub fn entry(n: u32, parent: Option<u32>) -> ChainEntry {
    let made_at = jiff::Timestamp::from_second(1_000_000_000 + i64::from(n));
    let backup = SnapshotName {
        subvolume: SubvolumeName::parse("data").expect("a valid name"),
        stamp: Stamp::at(made_at.expect("a time near 2001")),
        kind: if parent.is_some() { BackupKind::Incremental } else { BackupKind::Full },
    };
    let planned = Manifest::planned(&backup, parent.map(|n| format!("m{n}")));
    let manifest = Manifest {
        snapshot: ManifestSnapshot {
            path: "/snapshots/data".to_owned(),
            uuid: Some(format!("uuid-{n}")),
            parent_uuid: parent.map(|n| format!("uuid-{n}")),
            ctransid: Some(u64::from(n)),
            parent_ctransid: parent.map(u64::from),
            ..planned.snapshot
        },
        chunks: vec![ManifestChunk {
            key: format!("c{n}"),
            size: 10,
            sha256: Sha256Digest::of(b""),
            etag: None,
            crc64nvme: None,
            part_size: None,
            form: None,
        }],
        total_bytes: 10,
        chunk_size: 100,
        ..planned
    };
    ChainEntry { key: Key::parse(&format!("m{n}")).expect("a short key"), manifest }
}

/// Returns a full with chunks of these lengths; if their parts have a length, with a part index.
pub fn manifest_with_chunks(sizes: &[u64], part_bytes: Option<u64>) -> ChainEntry {
    let ChainEntry { key, manifest } = entry(1, None);
    let chunk = |(n, size): (usize, &u64)| ManifestChunk {
        key: format!("c{n}"),
        size: *size,
        part_size: part_bytes,
        ..manifest.chunks[0].clone()
    };
    let chunks = sizes.iter().enumerate().map(chunk).collect();
    let index = PartIndexRef { key: "parts".to_owned(), sha256: Sha256Digest::of(b"") };
    let parts = part_bytes.map(|_| index);
    let total_bytes = sizes.iter().sum();
    ChainEntry { key, manifest: Manifest { chunks, parts, total_bytes, ..manifest } }
}

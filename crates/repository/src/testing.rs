//! Manifests for the unit tests of several crates; built with the feature `testing` only.

use s3up_core::{Key, Sha256Digest};

use crate::chain::ChainEntry;
use crate::manifest::{ChunkRecord, Manifest, S3Record, SnapshotRecord, VERSION};
use crate::names::Kind;
use crate::stamp::Stamp;

/// Returns backup number `n`, based on number `parent`.
pub fn entry(n: u32, parent: Option<u32>) -> ChainEntry {
    let made_at = jiff::Timestamp::from_second(1_000_000_000 + i64::from(n));
    let stamp = Stamp::at(made_at.expect("a time near 2001"));
    let manifest = Manifest {
        version: VERSION,
        subvolume: "data".to_owned(),
        kind: if parent.is_some() { Kind::Incremental } else { Kind::Full },
        created_at: stamp,
        snapshot: SnapshotRecord {
            name: format!("data__{stamp}__{}", if parent.is_some() { "inc" } else { "full" }),
            path: "/snapshots/data".to_owned(),
            uuid: Some(format!("uuid-{n}")),
            parent_uuid: parent.map(|n| format!("uuid-{n}")),
            ctransid: Some(u64::from(n)),
            parent_ctransid: parent.map(u64::from),
        },
        parent_manifest: parent.map(|n| format!("m{n}")),
        chunks: vec![ChunkRecord {
            key: format!("c{n}"),
            size: 10,
            sha256: Sha256Digest::of(b""),
            etag: None,
            crc64nvme: None,
            part_size: None,
        }],
        total_bytes: 10,
        chunk_size: 100,
        s3: S3Record { storage_class: None },
        parts: None,
        started_at: None,
        elapsed_seconds: None,
        host: None,
        tool: None,
        kernel: None,
        btrfs_progs: None,
        node_bytes: None,
        largest_xattr_bytes: None,
        stream_protocol: None,
        needs_btrfs_progs: None,
        parent_received: false,
        unplanned_full: None,
        origin: None,
        earlier_origins: Vec::new(),
    };
    ChainEntry { key: Key::parse(&format!("m{n}")).expect("a short key"), manifest }
}

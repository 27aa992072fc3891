//! Writes a bucket as the Python tool `btrfs_to_s3` does, after the description in
//! `docs/format.md`: without UUIDs, ETags and part indexes.

use std::path::Path;
use std::process::Command;

use s3up_core::Sha256Digest;
use s3up_testkit::BtrfsFs;
use serde_json::{Value, json};

use super::{CHUNK_BYTES, change, first, save};

const PREFIX: &str = "nas/subvol/data";
const FULL: &str = "20240101T020000Z";
const INCREMENTAL: &str = "20240108T020000Z";

pub fn write(directory: &Path) {
    let fs = BtrfsFs::create(1 << 30);
    let data = fs.subvolume("data");
    first().write(&data);
    let parent = fs.snapshot(&data, format!("data__{FULL}__full"));
    backup(directory, "full", FULL, &send(&[&parent]), Value::Null);
    change(&data);
    let snapshot = fs.snapshot(&data, format!("data__{INCREMENTAL}__inc"));
    let stream = send(&["-p".as_ref(), &parent, &snapshot]);
    let based_on = json!(format!("{PREFIX}/full/manifest-{FULL}.json"));
    backup(directory, "incremental", INCREMENTAL, &stream, based_on);
}

fn send(arguments: &[&Path]) -> Vec<u8> {
    let output = Command::new("btrfs").args(["send", "-q"]).args(arguments).output();
    let output = output.expect("btrfs");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn backup(directory: &Path, kind: &str, at: &str, stream: &[u8], parent_manifest: Value) {
    let mut chunks = Vec::new();
    for (n, chunk) in stream.chunks(CHUNK_BYTES as usize).enumerate() {
        let key = format!("{PREFIX}/{kind}/chunk-{at}-{n}.bin");
        save(directory, &key, chunk);
        let sha256 = Sha256Digest::of(chunk).to_string();
        chunks.push(json!({"key": key, "size": chunk.len(), "sha256": sha256, "etag": null}));
    }
    let suffix = if kind == "full" { "full" } else { "inc" };
    let name = format!("data__{at}__{suffix}");
    let manifest_key = format!("{PREFIX}/{kind}/manifest-{at}.json");
    let manifest = json!({
        "version": 1,
        "subvolume": "data",
        "kind": kind,
        "created_at": at,
        "snapshot": {
            "name": name,
            "path": format!("/srv/snapshots/{name}"),
            "uuid": null,
            "parent_uuid": null,
        },
        "parent_manifest": parent_manifest,
        "chunks": chunks,
        "total_bytes": stream.len(),
        "chunk_size": CHUNK_BYTES,
        "s3": {"storage_class": "DEEP_ARCHIVE"},
    });
    save(directory, &manifest_key, manifest.to_string().as_bytes());
    let pointer = json!({"manifest_key": manifest_key, "kind": kind, "created_at": at});
    save(directory, &format!("{PREFIX}/current.json"), pointer.to_string().as_bytes());
}

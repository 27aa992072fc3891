//! Holds `docs/format.md` to the code: it names every field that is written, and no
//! other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format.md"));

/// Collects the names of all fields as the page writes them: `chunks[].key`.
fn fields(value: &Value, name: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let dot = if name.is_empty() { "" } else { "." };
                fields(value, &format!("{name}{dot}{key}"), found);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter().for_each(|value| fields(value, &format!("{name}[]"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            found.insert(name.to_owned());
        }
    }
}

fn fields_of(document: &impl Serialize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    fields(&serde_json::to_value(document).unwrap(), "", &mut found);
    found
}

/// Returns the first word of each row of a section.
fn rows(section: &str) -> BTreeSet<String> {
    let text = PAGE.split("\n## ").find(|text| text.starts_with(&format!("{section}\n")));
    let text = text.unwrap_or_else(|| panic!("no section {section}"));
    let first =
        |line: &str| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned());
    text.lines().filter_map(first).collect()
}

fn origin() -> Origin {
    let text = || "x".to_owned();
    Origin {
        host: text(),
        host_id: Some(text()),
        filesystem_uuid: Some(text()),
        subvolume_uuid: Some(text()),
    }
}

/// Returns a manifest with a value in every field. The struct is spelled out, so a new
/// field must be added here.
fn full_manifest() -> Manifest {
    let (text, sha256) = (|| "x".to_owned(), Sha256Digest::of(b""));
    let stamp = Stamp::parse("20260131T235959Z").unwrap();
    Manifest {
        version: VERSION,
        subvolume: text(),
        kind: BackupKind::Full,
        created_at: stamp,
        snapshot: ManifestSnapshot {
            name: text(),
            path: text(),
            uuid: Some(text()),
            parent_uuid: Some(text()),
            ctransid: Some(1),
            parent_ctransid: Some(1),
        },
        parent_manifest: Some(text()),
        chunks: vec![ManifestChunk {
            key: text(),
            size: 1,
            sha256,
            etag: Some(text()),
            crc64nvme: Some(text()),
            part_size: Some(1),
            form: Some(text()),
        }],
        total_bytes: 1,
        chunk_size: 1,
        s3: ManifestS3 { storage_class: Some(text()) },
        parts: Some(PartIndexRef { key: text(), sha256 }),
        started_at: Some(stamp),
        elapsed_seconds: Some(1.0),
        host: Some(text()),
        tool: Some(text()),
        kernel: Some(text()),
        btrfs_progs: Some(text()),
        node_bytes: Some(1),
        largest_xattr_bytes: Some(1),
        stream_protocol: Some(1),
        needs_btrfs_progs: Some(text()),
        parent_received: true,
        unplanned_full: Some(text()),
        origin: Some(origin()),
        earlier_origins: vec![origin()],
    }
}

#[test]
fn the_page_names_every_field_and_no_other() {
    let parts = PartIndex {
        version: VERSION,
        chunks: vec![ChunkParts { key: "x".to_owned(), sha256: vec![Sha256Digest::of(b"")] }],
    };
    let pointer = Pointer {
        manifest_key: "x".to_owned(),
        kind: BackupKind::Full,
        created_at: Stamp::parse("20260131T235959Z").unwrap(),
        origin: Some(origin()),
        earlier_origins: vec![origin()],
    };
    for (section, fields) in [
        ("Manifest", fields_of(&full_manifest())),
        ("Part index", fields_of(&parts)),
        ("Pointer", fields_of(&pointer)),
    ] {
        assert_eq!(rows(section), fields, "{section}");
    }
}

#[test]
fn the_page_says_which_fields_the_python_tool_leaves_empty_or_out() {
    let read = |kind: &str, name: &str| {
        let path = format!(
            "{}/../../testdata/format/python/nas/subvol/data/{kind}/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap()
    };
    let mut found = BTreeSet::new();
    fields(&read("incremental", "manifest-20240108T020000Z.json"), "", &mut found);

    let line = |name: &str| {
        let start = format!("| `{name}` |");
        PAGE.lines()
            .filter(|line| line.starts_with(&start))
            .find(|line| line.matches('|').count() == 5)
    };
    for name in rows("Manifest") {
        let says = line(&name).unwrap_or_else(|| panic!("no row {name}"));
        let is_absent = says.ends_with("| no |");
        assert_eq!(found.contains(&name), !is_absent, "{says}");
    }
}

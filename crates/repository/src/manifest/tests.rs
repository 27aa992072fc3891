use super::*;

/// A manifest with the required fields only, as the Python tool writes it.
const LEAST: &str = r#"{
  "version": 1,
  "subvolume": "data",
  "kind": "full",
  "created_at": "20260131T235959Z",
  "snapshot": {"name": "data__20260131T235959Z__full", "path": "/srv/snapshots/data__20260131T235959Z__full", "uuid": null, "parent_uuid": null},
  "parent_manifest": null,
  "chunks": [
    {"key": "b/subvol/data/full/chunk-20260131T235959Z-0.bin", "size": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "etag": null}
  ],
  "total_bytes": 3,
  "chunk_size": 100,
  "s3": {"storage_class": "DEEP_ARCHIVE"}
}"#;

#[test]
fn a_minimal_manifest_survives_a_round_trip() {
    let manifest = Manifest::parse(LEAST.as_bytes()).unwrap();
    assert_eq!(manifest.snapshot.uuid, None);
    assert_eq!(manifest.parts, None);
    let written: serde_json::Value = serde_json::from_slice(&to_json(&manifest)).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(LEAST).unwrap());
}

#[test]
fn unknown_fields_are_ignored() {
    let text = LEAST.replace("\"version\": 1,", "\"version\": 1, \"colour\": {\"a\": [1]},");
    assert_eq!(
        Manifest::parse(text.as_bytes()).unwrap(),
        Manifest::parse(LEAST.as_bytes()).unwrap()
    );
}

#[test]
fn a_wrong_field_is_named() {
    #[rustfmt::skip]
    let cases = [
        ("\"version\": 1", "\"version\": 2", "expected version 1, found 2; use a newer version of btrfs-to-s3"),
        ("\"version\": 1,", "", "`version`: is missing"),
        ("\"total_bytes\": 3", "\"total_bytes\": 4", "`total_bytes`: expected 3, the sum of the chunks, found 4"),
        ("\"parent_manifest\": null", "\"parent_manifest\": \"a\"", "`parent_manifest`: a full must not have a parent"),
        ("\"kind\": \"full\"", "\"kind\": \"incremental\"", "`parent_manifest`: an incremental must have a parent"),
        ("b/subvol/data/full/chunk", "/../chunk", "`chunks[0].key`: "),
        ("\"kind\": \"full\"", "\"kind\": \"half\"", "expected the JSON of this document, found something else"),
        ("20260131T235959Z\",\n", "yesterday\",\n", "expected the JSON of this document, found something else"),
        ("\"size\": 3", "\"size\": 3, \"part_size\": 0", "`chunks[0].part_size`: expected 1 to 5368709120, found 0"),
        ("\"size\": 3", "\"size\": 3, \"part_size\": 5368709121", "`chunks[0].part_size`: expected 1 to 5368709120, found 5368709121"),
        ("\"size\": 3", "\"size\": 3, \"form\": \"aes256-gcm\"", "`chunks[0].form`: expected no form, for parts that are the bytes of the stream, found \"aes256-gcm\"; use a newer version of btrfs-to-s3"),
        ("\"size\": 3", "\"size\": 3, \"form\": 2", "expected the JSON of this document, found something else"),
        ("\"size\": 3", "\"size\": -3", "expected the JSON of this document, found something else"),
        ("ba7816bf", "", "expected the JSON of this document, found something else"),
    ];
    for (from, to, want) in cases {
        let text = LEAST.replacen(from, to, 1);
        assert_ne!(text, LEAST, "{from}");
        let err = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(err.starts_with(want), "{to}: {err}");
    }
    let empty = Manifest::parse(b"").unwrap_err();
    assert!(matches!(empty, DocumentError::Json(_)));
}

#[test]
fn a_part_index_belongs_to_its_manifest() {
    let mut manifest = Manifest::parse(LEAST.as_bytes()).unwrap();
    manifest.chunks[0].part_size = Some(2);
    let digest = Sha256Digest::of(b"");
    let parts = |key: &str, count: usize| PartIndex {
        version: VERSION,
        chunks: vec![ChunkParts { key: key.to_owned(), sha256: vec![digest; count] }],
    };
    let key = manifest.chunks[0].key.clone();
    #[rustfmt::skip]
    let cases = [
        (parts(&key, 2),                               Ok(())),
        (parts(&key, 1),                               Err("`chunks[0].sha256`: expected 2 parts, found 1")),
        (parts("other", 2),                            Err("`chunks[0].key`: expected \"b/subvol/data/full/chunk")),
        (PartIndex { version: VERSION, chunks: vec![] },   Err("`chunks`: expected 1, found 0")),
        (PartIndex { version: 7, ..parts(&key, 2) },       Err("expected version 1, found 7")),
    ];
    for (parts, want) in cases {
        let got = PartIndex::parse(&to_json(&parts), &manifest);
        match (got, want) {
            (Ok(got), Ok(())) => assert_eq!(got, parts),
            (Err(err), Err(want)) => assert!(err.to_string().starts_with(want), "{err}"),
            (got, want) => panic!("{got:?}, expected {want:?}"),
        }
    }
}

#[test]
fn a_pointer_survives_a_round_trip() {
    let pointer = Pointer {
        manifest_key: "b/subvol/data/full/manifest-20260131T235959Z.json".to_owned(),
        kind: BackupKind::Full,
        created_at: Stamp::parse("20260131T235959Z").unwrap(),
        origin: None,
        earlier_origins: Vec::new(),
    };
    assert_eq!(Pointer::parse(&to_json(&pointer)).unwrap(), pointer);
    let wrong = Pointer { manifest_key: "../x".to_owned(), ..pointer };
    assert!(
        Pointer::parse(&to_json(&wrong)).unwrap_err().to_string().starts_with("`manifest_key`: ")
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        at in 0..LEAST.len(),
        byte in proptest::prelude::any::<u8>(),
    ) {
        let mut changed = LEAST.as_bytes().to_vec();
        changed[at] = byte;
        for bytes in [&bytes[..], &changed[..]] {
            if let Ok(manifest) = Manifest::parse(bytes) {
                // An accepted manifest can be used.
                manifest.chunk_facts().unwrap();
                manifest.parent_key().unwrap();
                proptest::prop_assert!(PartIndex::parse(bytes, &manifest).is_err());
            }
            proptest::prop_assert!(Pointer::parse(bytes).is_err());
        }
    }
}

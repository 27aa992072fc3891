//! Every check of the end of a run fails on the fault that it is there for.

use std::collections::BTreeMap;

use s3up_devstore::Versioning;
use s3up_testkit::{S3Client, temp_dir};
use serde_json::json;
use tempfile::TempDir;

use super::*;

const MANIFEST: &str = "nas/subvol/data/full/manifest-20260101T000000Z.json";
const CHUNK: &str = "nas/subvol/data/full/chunk-20260101T000000Z-0.bin";
const PARTS: &str = "nas/subvol/data/full/manifest-20260101T000000Z-parts.json";
const INDEX: &str = "nas/subvol/data/full/manifest-20260101T000000Z-index.bin";
const POINTER: &str = "nas/subvol/data/current.json";

/// A bucket with one backup as the model has it.
fn backup() -> BTreeMap<String, Vec<u8>> {
    let manifest = json!({
        "chunks": [{ "key": CHUNK, "size": 5, "sha256": Sha256Digest::of(b"chunk").to_string() }],
        "parts": { "key": PARTS },
        "parent_manifest": null,
    });
    let objects: [(&str, Vec<u8>); 5] = [
        (MANIFEST, manifest.to_string().into()),
        (CHUNK, b"chunk".to_vec()),
        (PARTS, b"{}".to_vec()),
        (INDEX, b"index".to_vec()),
        (POINTER, json!({ "manifest_key": MANIFEST }).to_string().into()),
    ];
    objects.map(|(key, content)| (key.to_owned(), content)).into()
}

async fn bucket(name: &str, objects: &BTreeMap<String, Vec<u8>>) -> (TempDir, DevStore, S3Client) {
    let directory = temp_dir();
    let s3 = DevStore::start(Options::new(directory.path())).await.expect("an S3 server");
    s3.create_bucket(name, Versioning::Off).await.expect("a new bucket");
    let client = S3Client::new(&s3, name);
    for (key, content) in objects {
        client.put(key, content, "STANDARD").await;
    }
    (directory, s3, client)
}

/// Returns what the check of the backups says of these objects.
async fn backups_of(objects: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let (_directory, s3, _client) = bucket(SNAPSHOTS, objects).await;
    let checked = compare_backups(&s3, &mut Report::default()).await;
    s3.stop().await;
    checked.map_err(|err| format!("{err:#}"))
}

#[tokio::test]
async fn a_fault_of_a_backup_in_the_bucket_is_found() {
    assert_eq!(backups_of(&backup()).await, Ok(()));
    type Fault = fn(&mut BTreeMap<String, Vec<u8>>);
    let faults: [(Fault, &str); 8] = [
        (|it| drop(it.remove(CHUNK)), "-0.bin: None of"),
        (|it| drop(it.insert(CHUNK.to_owned(), b"chun".to_vec())), "-0.bin: Some(4) of"),
        (|it| drop(it.insert(CHUNK.to_owned(), b"chunq".to_vec())), "-0.bin: SHA-256 "),
        (
            |it| drop(it.insert(CHUNK.replace("-0", "-1"), b"orphan".to_vec())),
            "an object that no manifest names: nas/subvol/data/full/chunk-20260101T000000Z-1.bin",
        ),
        (
            |it| drop(it.insert("nas/subvol/x".to_owned(), b"x".to_vec())),
            "an object that no manifest names: nas/subvol/x",
        ),
        (|it| drop(it.insert(POINTER.to_owned(), b"{}".to_vec())), "names no manifest"),
        (
            |it| {
                drop(it.insert(POINTER.to_owned(), br#"{"manifest_key":"nas/gone.json"}"#.to_vec()))
            },
            "nas/gone.json is missing",
        ),
        (
            |it| {
                let manifest = String::from_utf8(it[MANIFEST].clone()).expect("text");
                let child = manifest.replace("null", r#""nas/subvol/data/full/gone.json""#);
                it.insert(MANIFEST.to_owned(), child.into());
            },
            "nas/subvol/data/full/gone.json is missing",
        ),
    ];
    for (plant, want) in faults {
        let mut objects = backup();
        plant(&mut objects);
        let found = backups_of(&objects).await.expect_err(want);
        assert!(found.contains(want), "expected {want:?}, found {found:?}");
    }
}

#[tokio::test]
async fn an_upload_that_is_left_in_a_bucket_is_found() {
    for (name, objects) in [(SNAPSHOTS, backup()), (FILES, BTreeMap::new())] {
        let (directory, s3, client) = bucket(name, &objects).await;
        client.begin_upload("left").await;
        let (up, report) = (directory.path().join("up"), &mut Report::default());
        fs::create_dir(&up).unwrap();

        let checked = match name {
            SNAPSHOTS => compare_backups(&s3, report).await,
            _ => compare_files(&up, &s3, report).await,
        };

        let found = format!("{:#}", checked.unwrap_err());
        assert!(found.starts_with("multipart uploads"), "{found}");
        s3.stop().await;
    }
}

#[tokio::test]
async fn a_file_that_differs_from_its_object_is_found() {
    let key = |name: &str| format!("{PREFIX}{CLIENT}/{REMOTE_PREFIX}{name}");
    let same = BTreeMap::from([(key("a/file-1"), b"content".to_vec())]);
    let and = |other: String| {
        let mut objects = same.clone();
        objects.insert(other, b"old".to_vec());
        objects
    };
    let cases = [
        (same.clone(), None),
        (BTreeMap::new(), Some("a/file-1 differs in S3")),
        (BTreeMap::from([(key("a/file-1"), b"other".to_vec())]), Some("a/file-1 differs in S3")),
        // An object of an earlier file is right; one that no file ever had is not.
        (and(key("file-2")), None),
        (and(key("a/other")), Some("an object that no file explains")),
        (and("sites/web2/x".to_owned()), Some("an object that no file explains")),
    ];
    for (objects, want) in cases {
        let (directory, s3, _client) = bucket(FILES, &objects).await;
        let up = directory.path().join("up");
        fs::create_dir_all(up.join("a")).unwrap();
        fs::write(up.join("a/file-1"), "content").unwrap();

        let checked = compare_files(&up, &s3, &mut Report::default()).await;

        let found = checked.err().map(|err| format!("{err:#}"));
        let is_as_expected = match (&found, want) {
            (None, None) => true,
            (Some(found), Some(want)) => found.contains(want),
            (Some(_), None) | (None, Some(_)) => false,
        };
        assert!(is_as_expected, "expected {want:?}, found {found:?}");
        s3.stop().await;
    }
}

#[test]
fn a_secret_and_a_panic_in_a_log_are_found() {
    let directory = temp_dir();
    let log = directory.path().join("gateway.log");
    let secret = |text: &str| format!("level=info key={text}\n");
    let cases = [
        ("level=info event=ready\n".to_owned(), None),
        (secret(KEYS[0]), Some("a secret in")),
        (secret(KEYS[1]), Some("a secret in")),
        (secret(ADMIN_KEY), Some("a secret in")),
        (secret(Options::SECRET_ACCESS_KEY), Some("a secret in")),
        ("thread 'main' panicked at src/main.rs:1:1\n".to_owned(), Some("panicked at")),
    ];
    for (text, want) in cases {
        fs::write(&log, &text).unwrap();

        let checked = check_logs(std::slice::from_ref(&log), &mut Report::default());

        let found = checked.err().map(|err| format!("{err:#}"));
        assert_eq!(found.is_some(), want.is_some(), "{text}: {found:?}");
        assert!(want.is_none_or(|want| found.unwrap_or_default().contains(want)), "{text}");
    }
}

/// The comparison of a restored tree with its snapshot.
#[test]
fn a_restored_tree_that_differs_is_found() {
    let directory = temp_dir();
    let (own, restored) = (directory.path().join("own"), directory.path().join("restored"));
    let make = |root: &Path| {
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("a/file-1"), "content").unwrap();
        fs::write(root.join("file-2"), "second").unwrap();
        for path in ["a/file-1", "file-2", "a", ""] {
            let file = fs::File::open(root.join(path)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    };
    let differences = || {
        s3up_testkit::differences(&s3up_testkit::observe(&own), &s3up_testkit::observe(&restored))
    };
    make(&own);
    make(&restored);
    assert_eq!(differences(), Vec::<String>::new());
    let faults: [fn(&Path); 4] = [
        |root| fs::write(root.join("a/file-1"), "contenT").unwrap(),
        |root| fs::remove_file(root.join("file-2")).unwrap(),
        |root| fs::write(root.join("a/more"), "").unwrap(),
        |root| {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(root.join("file-2"), mode).unwrap();
        },
    ];
    for plant in faults {
        fs::remove_dir_all(&restored).unwrap();
        make(&restored);
        plant(&restored);
        assert!(!differences().is_empty());
    }
}

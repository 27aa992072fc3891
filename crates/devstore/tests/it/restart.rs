//! Tests of a restart, regular and after a crash.

use std::fs;

use crate::support::{BUCKET, PART, list_of, server, versioned_server};

#[tokio::test]
async fn objects_versions_and_uploads_survive_a_restart() {
    let server = versioned_server().await;
    server.put("a", b"old").await;
    server.put("a", b"new").await;
    server.put("a/b", b"below").await;
    let id = server.start_upload("c").await;
    let part = server.put_part("c", &id, 1, &[1; PART]).await;

    let server = server.restart().await;

    assert_eq!(server.get("a").await, b"new");
    assert_eq!(server.get("a/b").await, b"below");
    let versions = server.client.list_object_versions().bucket(BUCKET).prefix("a").send().await;
    assert_eq!(versions.unwrap().versions().len(), 3);
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("c");
    complete.upload_id(id).multipart_upload(list_of([part])).send().await.unwrap();
    assert_eq!(server.get("c").await, [1; PART]);
}

#[tokio::test]
async fn a_write_after_a_restart_is_newer_than_those_before() {
    let server = versioned_server().await;
    server.put("key", b"before").await;

    let server = server.restart().await;
    server.put("key", b"after").await;
    let server = server.restart().await;

    assert_eq!(server.get("key").await, b"after");
}

#[tokio::test]
async fn leftovers_of_a_crash_are_removed_and_were_never_visible() {
    let server = server().await;
    server.put("key", b"whole").await;
    let root = server.dir.path().to_owned();
    let half = root.join("tmp/half");
    let orphan = root.join("blobs/ab/abcdef");
    let nameless = root.join("buckets").join(BUCKET).join("uploads/nameless");
    fs::write(&half, b"ha").unwrap();
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, b"orphan").unwrap();
    fs::create_dir_all(&nameless).unwrap();

    let server = server.restart().await;

    assert!(!half.exists() && !orphan.exists() && !nameless.exists());
    assert_eq!(server.keys().await, ["key"]);
    assert_eq!(server.get("key").await, b"whole");
}

/// Simulates a crash right after the object became visible.
#[tokio::test]
async fn a_completed_upload_is_not_listed_after_a_crash() {
    let server = server().await;
    let id = server.start_upload("key").await;
    let part = server.put_part("key", &id, 1, &[1; PART]).await;
    let uploads = server.dir.path().join("buckets").join(BUCKET).join("uploads");
    let (record, kept) = (uploads.join(&id).join("upload.json"), server.dir.path().join("kept"));
    fs::copy(&record, &kept).unwrap();
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
    complete.upload_id(&id).multipart_upload(list_of([part])).send().await.unwrap();
    fs::create_dir_all(uploads.join(&id)).unwrap();
    fs::copy(&kept, &record).unwrap();

    let server = server.restart().await;

    let listed = server.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    assert_eq!(listed.uploads().len(), 0);
    assert_eq!(server.get("key").await, [1; PART]);
}

#[tokio::test]
async fn a_server_with_a_damaged_record_does_not_start_and_names_it() {
    let server = server().await;
    server.put("key", b"x").await;
    let record = server.files("buckets").into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".null.json"))
    });
    let record = record.unwrap();
    fs::write(&record, b"{").unwrap();
    server.s3.stop().await;

    let options = s3up_devstore::Options::new(server.dir.path());
    let refused = s3up_devstore::DevStore::start(options).await.err().unwrap();

    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(cause, format!("read {}: expected a record of s3up-devstore", record.display()));
}

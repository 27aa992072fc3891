//! Objects: PUT, GET, HEAD and DELETE.

use aws_sdk_s3::types::{Delete, ObjectIdentifier, ServerSideEncryption, StorageClass};

use crate::support::{BUCKET, body, bytes, refusal, server, status, versioned_server};

#[tokio::test]
async fn a_body_of_any_length_comes_back_unchanged() {
    let server = server().await;
    for len in [0, 1, 1000, 256 * 1024, 512 * 1024 + 1, 3_000_000] {
        let sent: Vec<u8> = (0..=250).cycle().take(len).collect();

        server.put("key", &sent).await;

        assert!(server.get("key").await == sent, "{len} bytes changed on the way");
    }
}

#[tokio::test]
async fn all_attributes_of_an_object_are_returned() {
    let server = server().await;
    let put = server.client.put_object().bucket(BUCKET).key("key").body(bytes(b"x"));
    put.content_type("text/plain")
        .cache_control("no-store")
        .content_disposition("attachment")
        .content_encoding("br")
        .content_language("de")
        .metadata("sha256", "abc")
        .metadata("mtime-ns", "1")
        .storage_class(StorageClass::DeepArchive)
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id("key-id")
        .send()
        .await
        .unwrap();

    let head = server.client.head_object().bucket(BUCKET).key("key").send().await.unwrap();

    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.cache_control(), Some("no-store"));
    assert_eq!(head.content_disposition(), Some("attachment"));
    assert_eq!(head.content_encoding(), Some("br"));
    assert_eq!(head.content_language(), Some("de"));
    assert_eq!(head.metadata().unwrap()["sha256"], "abc");
    assert_eq!(head.metadata().unwrap()["mtime-ns"], "1");
    assert_eq!(head.storage_class(), Some(&StorageClass::DeepArchive));
    assert_eq!(head.server_side_encryption(), Some(&ServerSideEncryption::AwsKms));
    assert_eq!(head.ssekms_key_id(), Some("key-id"));
    assert_eq!(head.content_length(), Some(1));
}

#[tokio::test]
async fn attributes_that_were_not_set_are_not_returned() {
    let server = server().await;
    let etag = server.put("key", b"hello").await;

    let head = server.client.head_object().bucket(BUCKET).key("key").send().await.unwrap();

    assert_eq!(etag, "\"5d41402abc4b2a76b9719d911017c592\"");
    assert_eq!(head.e_tag(), Some(etag.as_str()));
    assert_eq!(head.storage_class(), None, "S3 does not name STANDARD");
    assert_eq!(head.server_side_encryption(), None);
    assert_eq!(head.version_id(), None);
    assert_eq!(head.checksum_crc64_nvme(), None, "it was not requested");
}

#[tokio::test]
async fn an_unknown_storage_class_is_refused() {
    let server = server().await;

    let put = server.client.put_object().bucket(BUCKET).key("key");
    let refused = put.storage_class(StorageClass::from("COLD")).send().await;

    assert_eq!(refusal(refused), "InvalidStorageClass");
}

#[tokio::test]
async fn ranges_of_an_object_are_read() {
    let server = server().await;
    server.put("key", b"0123456789").await;
    #[rustfmt::skip]
    let cases = [
        ("bytes=0-0",  "0",    "bytes 0-0/10"),
        ("bytes=2-4",  "234",  "bytes 2-4/10"),
        ("bytes=7-",   "789",  "bytes 7-9/10"),
        ("bytes=7-99", "789",  "bytes 7-9/10"),
        ("bytes=-4",   "6789", "bytes 6-9/10"),
    ];
    for (range, want, content_range) in cases {
        let get = server.client.get_object().bucket(BUCKET).key("key").range(range);
        let got = get.send().await.unwrap();

        assert_eq!(got.content_range(), Some(content_range), "{range}");
        assert_eq!(got.content_length(), Some(want.len() as i64), "{range}");
        assert_eq!(body(got).await, want.as_bytes(), "{range}");
    }
}

#[tokio::test]
async fn a_range_after_the_end_is_refused() {
    let server = server().await;
    server.put("key", b"0123456789").await;

    let get = server.client.get_object().bucket(BUCKET).key("key").range("bytes=10-");

    assert_eq!(refusal(get.send().await), "InvalidRange");
}

#[tokio::test]
async fn a_read_can_have_conditions_on_the_etag() {
    let server = server().await;
    let etag = server.put("key", b"one").await;
    let get = || server.client.get_object().bucket(BUCKET).key("key");

    let same = get().if_match(&etag).send().await.unwrap();
    let other = get().if_match("\"0\"").send().await;
    let unchanged = get().if_none_match(&etag).send().await;

    assert_eq!(body(same).await, b"one");
    assert_eq!(refusal(other), "PreconditionFailed");
    assert_eq!(status(unchanged), 304);
}

#[tokio::test]
async fn an_absent_object_is_not_found() {
    let server = server().await;

    let get = server.client.get_object().bucket(BUCKET).key("absent").send().await;
    let head = server.client.head_object().bucket(BUCKET).key("absent").send().await;

    assert_eq!(refusal(get), "NoSuchKey");
    assert_eq!(status(head), 404);
}

#[tokio::test]
async fn a_key_can_be_a_prefix_of_other_keys() {
    let server = server().await;
    server.put("a", b"1").await;
    server.put("a/b", b"2").await;
    server.put("a/b/", b"3").await;

    assert_eq!(server.keys().await, ["a", "a/b", "a/b/"]);
    assert_eq!(server.get("a").await, b"1");
    assert_eq!(server.get("a/b").await, b"2");
    assert_eq!(server.get("a/b/").await, b"3");
}

#[tokio::test]
async fn metadata_over_the_limit_is_refused() {
    let server = server().await;

    let put = server.client.put_object().bucket(BUCKET).key("key");
    let refused = put.metadata("k", "x".repeat(2048)).send().await;

    assert_eq!(refusal(refused), "MetadataTooLarge");
}

#[tokio::test]
async fn an_overwritten_object_leaves_no_bytes_behind() {
    let server = server().await;
    server.put("key", b"one").await;
    server.put("key", b"two").await;

    assert_eq!(server.get("key").await, b"two");
    assert_eq!(server.files("blobs").len(), 1);
    assert_eq!(server.files("tmp").len(), 0);
}

#[tokio::test]
async fn a_deleted_object_is_gone_and_can_be_deleted_again() {
    let server = server().await;
    server.put("key", b"one").await;

    for _ in 0..2 {
        server.client.delete_object().bucket(BUCKET).key("key").send().await.unwrap();
    }

    assert_eq!(server.keys().await, [""; 0]);
    assert_eq!(server.files("blobs").len(), 0);
}

#[tokio::test]
async fn a_batch_is_deleted_at_once() {
    let server = server().await;
    for key in ["a", "b", "c"] {
        server.put(key, b"1").await;
    }
    let object = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder().objects(object("a")).objects(object("c")).build().unwrap();

    let done = server.client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();

    assert_eq!(done.deleted().len(), 2);
    assert_eq!(done.errors().len(), 0);
    assert_eq!(server.keys().await, ["b"]);
}

#[tokio::test]
async fn a_reader_gets_all_of_the_object_that_it_opened() {
    let server = server().await;
    let old: Vec<u8> = (0..=250).cycle().take(8_000_000).collect();
    server.put("key", &old).await;
    let opened = server.client.get_object().bucket(BUCKET).key("key").send().await.unwrap();

    server.put("key", b"new").await;
    server.client.delete_object().bucket(BUCKET).key("key").send().await.unwrap();

    assert!(body(opened).await == old, "the reader got other bytes");
}

#[tokio::test]
async fn a_test_reads_the_bucket_without_calls() {
    let server = versioned_server().await;
    server.put("a", b"first").await;
    server.put("a", b"second").await;
    server.put("deleted", b"x").await;
    server.client.delete_object().bucket(BUCKET).key("deleted").send().await.unwrap();
    let id = server.start_upload("upload").await;
    server.put_part("upload", &id, 1, b"part").await;
    let calls = server.faults().calls_total();

    assert_eq!(server.s3.objects(BUCKET), [("a".to_owned(), 6)].into());
    assert_eq!(server.s3.object(BUCKET, "a").await.unwrap(), b"second");
    assert_eq!(server.s3.object(BUCKET, "deleted").await, None);
    assert_eq!(server.s3.uploads(BUCKET), ["upload"]);
    assert_eq!(server.s3.objects("no-such-bucket"), [].into());
    assert_eq!(server.faults().calls_total(), calls);
}

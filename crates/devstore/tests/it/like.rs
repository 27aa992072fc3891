//! The servers that the embedded one can behave like: what distinguishes each of them from
//! S3, as measured on them.

use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{
    ChecksumMode, CompletedPart, Delete, ObjectIdentifier, ObjectVersionStorageClass,
    RestoreRequest, ServerSideEncryption, StorageClass,
};
use s3up_devstore::{Behaviours, DevStore, Like, Options, Versioning};

use crate::support::{BUCKET, PART, Server, bytes, client, list_of, refusal, status};

/// ETag that no object of these tests has.
const OTHER: &str = "\"00000000000000000000000000000000\"";

#[tokio::test]
async fn rgw_takes_if_match_on_a_put_only_without_the_quotes() {
    let server = server(Like::Rgw).await;
    let etag = server.put("key", b"one").await;
    let put = |etag: &str| {
        server.client.put_object().bucket(BUCKET).key("key").if_match(etag).body(bytes(b"two"))
    };

    assert_eq!(refusal(put(&etag).send().await), "PreconditionFailed");
    assert_eq!(refusal(put(OTHER).send().await), "PreconditionFailed");
    assert_eq!(refusal(put(OTHER.trim_matches('"')).send().await), "PreconditionFailed");
    put(etag.trim_matches('"')).send().await.unwrap();
    assert_eq!(server.get("key").await, b"two");
    let new = server.client.put_object().bucket(BUCKET).key("key").if_none_match("*");
    assert_eq!(refusal(new.send().await), "PreconditionFailed");
    let missing = server.client.put_object().bucket(BUCKET).key("none").if_match(&etag);
    assert_eq!(status(missing.send().await), 412);
}

#[tokio::test]
async fn rgw_ignores_if_none_match_in_a_bucket_that_keeps_versions() {
    let server = versioned(Like::Rgw).await;
    let put = |body: &[u8]| server.client.put_object().bucket(BUCKET).key("key").body(bytes(body));

    put(b"one").if_none_match("*").send().await.unwrap();
    put(b"two").if_none_match("*").send().await.unwrap();
    let other = put(b"three").if_match(OTHER.trim_matches('"')).send().await;

    assert_eq!(refusal(other), "PreconditionFailed");
    assert_eq!(server.get("key").await, b"two");
}

#[tokio::test]
async fn rgw_completes_over_an_object_and_answers_an_empty_etag() {
    let server = server(Like::Rgw).await;
    server.put("key", b"one").await;

    for condition in ["*", OTHER] {
        let (id, part) = upload(&server).await;
        let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
        let complete = complete.upload_id(id).multipart_upload(list_of([part]));
        let complete = match condition {
            "*" => complete.if_none_match("*"),
            etag => complete.if_match(etag),
        };
        let completed = complete.send().await.unwrap();

        assert_eq!(completed.e_tag(), Some(""));
        let found = head(&server, "key").await;
        assert!(found.e_tag().unwrap().ends_with("-1\""), "{found:?}");
    }
}

#[tokio::test]
async fn rgw_ignores_encryption_and_refuses_a_class_without_a_sentence() {
    let server = server(Like::Rgw).await;
    let put = || server.client.put_object().bucket(BUCKET).key("key").body(bytes(b"x"));

    let sealed = put().server_side_encryption(ServerSideEncryption::Aes256).send().await.unwrap();
    assert_eq!(sealed.server_side_encryption(), None);
    assert_eq!(head(&server, "key").await.server_side_encryption(), None);
    let refused = put().storage_class(StorageClass::StandardIa).send().await.unwrap_err();
    let error = refused.into_service_error();
    assert_eq!(error.meta().code(), Some("InvalidArgument"));
    assert_eq!(error.meta().message(), None);
}

#[tokio::test]
async fn an_archive_class_is_told_and_the_object_can_be_read_at_once() {
    for (like, answer) in [(Like::Rgw, 501), (Like::SeaweedFs, 405), (Like::Rclone, 400)] {
        let server = server(like).await;
        let put = server.client.put_object().bucket(BUCKET).key("key").body(bytes(b"cold"));
        put.storage_class(StorageClass::DeepArchive).send().await.unwrap();

        let found = head(&server, "key").await;
        assert_eq!(found.storage_class(), Some(&StorageClass::DeepArchive), "{like:?}");
        assert_eq!(found.restore(), None, "{like:?}");
        assert_eq!(server.get("key").await, b"cold", "{like:?}");
        let request = RestoreRequest::builder().days(1).build();
        let restore = server.client.restore_object().bucket(BUCKET).key("key");
        let restored = restore.restore_request(request).send().await;
        assert_eq!(status(restored), answer, "{like:?}");
    }
}

#[tokio::test]
async fn swift_answers_501_to_a_conditional_put_and_412_to_if_match_of_a_completion() {
    let server = server(Like::Swift).await;
    let put = || server.client.put_object().bucket(BUCKET).key("key").body(bytes(b"x"));

    assert_eq!(status(put().if_none_match("*").send().await), 501);
    assert_eq!(status(put().if_match(OTHER).send().await), 501);
    let (id, part) = upload(&server).await;
    let complete = || {
        let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
        complete.upload_id(&id).multipart_upload(list_of([part.clone()]))
    };
    complete().if_none_match("*").send().await.unwrap();
    let etag = head(&server, "key").await.e_tag().unwrap().to_owned();
    let (id, part) = upload(&server).await;
    let again = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
    let again = again.upload_id(id).multipart_upload(list_of([part]));
    assert_eq!(status(again.clone().if_none_match("*").send().await), 412);
    assert_eq!(status(again.if_match(etag).send().await), 412);
}

#[tokio::test]
async fn swift_takes_no_batch_without_md5_and_no_checksums_in_a_completion() {
    let server = server(Like::Swift).await;
    server.put("key", b"x").await;
    let id = ObjectIdentifier::builder().key("key").build().unwrap();
    let batch = Delete::builder().objects(id).build().unwrap();
    let delete = server.client.delete_objects().bucket(BUCKET).delete(batch);
    let (id, part) = upload(&server).await;
    let part = CompletedPart::builder()
        .part_number(1)
        .e_tag(part.e_tag().unwrap())
        .checksum_crc64_nvme("AAAAAAAAAAA=")
        .build();
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
    let complete = complete.upload_id(id).multipart_upload(list_of([part]));

    assert_eq!(refusal(delete.send().await), "InvalidRequest");
    assert_eq!(refusal(complete.send().await), "MalformedXML");
    assert_eq!(server.get("key").await, b"x");
}

#[tokio::test]
async fn swift_accepts_a_thousand_parts_and_tells_no_version_of_a_completion() {
    let server = versioned(Like::Swift).await;
    let id = server.start_upload("key").await;
    let part = |number| {
        let part = server.client.upload_part().bucket(BUCKET).key("key").upload_id(&id);
        part.part_number(number).body(bytes(b"x")).send()
    };

    assert_eq!(refusal(part(1001).await), "InvalidArgument");
    part(1000).await.unwrap();
    let completed = completed(&server, "key").await;
    assert_eq!(completed.version_id(), None);
    assert!(completed.e_tag().is_some_and(|etag| etag.len() > 2));
    assert!(head(&server, "key").await.version_id().is_some());
}

#[tokio::test]
async fn swift_refuses_encryption_and_every_class_and_keeps_no_checksum() {
    let server = server(Like::Swift).await;
    let put = || server.client.put_object().bucket(BUCKET).key("key").body(bytes(b"x"));

    let sealed = put().server_side_encryption(ServerSideEncryption::Aes256).send().await;
    assert_eq!(status(sealed), 501);
    let archived = put().storage_class(StorageClass::DeepArchive).send().await;
    assert_eq!(refusal(archived), "InvalidStorageClass");
    let stored = put().checksum_crc64_nvme("AAAAAAAAAAA=").send().await.unwrap();
    assert_eq!(stored.checksum_crc64_nvme(), None);
    assert_eq!(head(&server, "key").await.checksum_crc64_nvme(), None);
}

#[tokio::test]
async fn seaweedfs_lists_a_part_once_for_each_sending_and_answers_500_to_encryption() {
    let server = server(Like::SeaweedFs).await;
    let id = server.start_upload("key").await;
    for body in [[1; PART], [1; PART], [2; PART]] {
        server.put_part("key", &id, 1, &body).await;
    }
    let last = server.put_part("key", &id, 2, b"end").await;

    let listed = server.client.list_parts().bucket(BUCKET).key("key").upload_id(&id);
    let listed = listed.send().await.unwrap();
    let numbers: Vec<_> = listed.parts().iter().filter_map(|part| part.part_number()).collect();
    assert_eq!(numbers, [1, 1, 1, 2]);
    assert_eq!(listed.parts()[3].e_tag(), last.e_tag());
    let put = server.client.put_object().bucket(BUCKET).key("sealed").body(bytes(b"x"));
    let sealed = put.server_side_encryption(ServerSideEncryption::Aes256).send().await;
    assert_eq!(status(sealed), 500);
    assert_eq!(server.keys().await, [""; 0]);
}

#[tokio::test]
async fn juicefs_tells_no_etag_except_of_writes() {
    let server = server(Like::JuiceFs).await;
    let etag = server.put("key", b"x").await;

    assert_eq!(head(&server, "key").await.e_tag(), None);
    let get = || server.client.get_object().bucket(BUCKET).key("key");
    assert_eq!(get().send().await.unwrap().e_tag(), None);
    assert_eq!(status(get().if_match(etag).send().await), 412);
    let listed = server.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!(listed.contents()[0].e_tag(), None);
    let put = server.client.put_object().bucket(BUCKET).key("key").if_none_match("*");
    put.body(bytes(b"y")).send().await.unwrap();
    assert_eq!(server.get("key").await, b"y");
}

#[tokio::test]
async fn rclone_repeats_what_was_asked_for_and_verifies_no_checksum() {
    let server = server(Like::Rclone).await;
    let put = server.client.put_object().bucket(BUCKET).key("key").body(bytes(b"x"));
    let put = put.server_side_encryption(ServerSideEncryption::Aes256);
    let put = put.storage_class(StorageClass::from("NO_SUCH_CLASS"));
    let stored = put.checksum_crc64_nvme("AAAAAAAAAAA=").send().await.unwrap();

    assert_eq!(stored.server_side_encryption(), None);
    let found = head(&server, "key").await;
    assert_eq!(found.server_side_encryption(), Some(&ServerSideEncryption::Aes256));
    assert_eq!(found.storage_class().map(StorageClass::as_str), Some("NO_SUCH_CLASS"));
    assert_eq!(found.checksum_crc64_nvme(), Some("AAAAAAAAAAA="));
}

#[tokio::test]
async fn rclone_names_the_answer_of_create_otherwise_and_tells_two_etags() {
    let server = server(Like::Rclone).await;

    // The SDK checks the root element.
    let started = server.client.create_multipart_upload().bucket(BUCKET).key("key").send().await;
    assert!(started.is_err() || started.unwrap().upload_id().is_none());
    let begun = server.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    let id = begun.uploads()[0].upload_id().unwrap();
    let part = server.put_part("key", id, 1, b"x").await;
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
    let completed = complete.upload_id(id).multipart_upload(list_of([part])).send().await.unwrap();
    assert!(completed.e_tag().unwrap().ends_with("-1\""), "{completed:?}");
    assert_ne!(head(&server, "key").await.e_tag(), completed.e_tag());
}

#[tokio::test]
async fn a_server_without_versions_refuses_to_keep_them() {
    for like in [Like::JuiceFs, Like::Rclone] {
        let server = server(like).await;

        let by_the_test = server.s3.create_bucket(BUCKET, Versioning::Enabled).await;
        assert!(by_the_test.is_err(), "{like:?}");
        let put = server.client.put_bucket_versioning().bucket(BUCKET);
        let keep = aws_sdk_s3::types::VersioningConfiguration::builder()
            .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
            .build();
        assert_eq!(status(put.versioning_configuration(keep).send().await), 501, "{like:?}");
    }
}

#[tokio::test]
async fn a_server_like_s3_tells_all_that_the_others_lack() {
    let server = with(Behaviours::default(), Versioning::Enabled).await;
    let put = server.client.put_object().bucket(BUCKET).key("sealed").body(bytes(b"x"));
    let sealed = put.server_side_encryption(ServerSideEncryption::Aes256).send().await.unwrap();
    assert_eq!(sealed.server_side_encryption(), Some(&ServerSideEncryption::Aes256));
    assert!(sealed.checksum_crc64_nvme().is_some());

    let completed = completed(&server, "key").await;

    let found = head(&server, "key").await;
    assert_eq!(found.e_tag(), completed.e_tag());
    assert_eq!(found.version_id(), completed.version_id());
    let versions = server.client.list_object_versions().bucket(BUCKET).send().await.unwrap();
    let classes: Vec<_> = versions.versions().iter().map(|v| v.storage_class()).collect();
    assert_eq!(classes, [Some(&ObjectVersionStorageClass::Standard); 2]);
}

async fn server(like: Like) -> Server {
    with(like.behaviours(), Versioning::Off).await
}

async fn versioned(like: Like) -> Server {
    with(like.behaviours(), Versioning::Enabled).await
}

async fn with(behaviours: Behaviours, versioning: Versioning) -> Server {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let part_bytes_min = PART as u64;
    let options = Options { part_bytes_min, behaviours, ..Options::new(dir.path()) };
    let s3 = DevStore::start(options).await.expect("the server starts");
    s3.create_bucket(BUCKET, versioning).await.expect("the bucket is created");
    let client = client(&s3.endpoint(), Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    Server { s3, client, dir }
}

async fn head(server: &Server, key: &str) -> HeadObjectOutput {
    let head = server.client.head_object().bucket(BUCKET).key(key);
    head.checksum_mode(ChecksumMode::Enabled).send().await.expect("the object is there")
}

/// Starts an upload of `key` with one part.
async fn upload(server: &Server) -> (String, CompletedPart) {
    let id = server.start_upload("key").await;
    let part = server.put_part("key", &id, 1, &[1; PART]).await;
    (id, part)
}

async fn completed(server: &Server, key: &str) -> CompleteMultipartUploadOutput {
    let (id, part) = upload(server).await;
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key(key);
    complete.upload_id(id).multipart_upload(list_of([part])).send().await.expect("completed")
}

//! CopyObject.

use aws_sdk_s3::operation::copy_object::builders::CopyObjectFluentBuilder;
use aws_sdk_s3::types::{MetadataDirective, StorageClass};

use crate::support::{
    BUCKET, PART, Server, body, bytes, list_of, refusal, server, versioned_server,
};

#[tokio::test]
async fn a_copy_has_the_bytes_and_metadata_of_its_source() {
    let server = server().await;
    let put = server.client.put_object().bucket(BUCKET).key("from ä/+%").metadata("k", "v");
    let put = put.content_type("text/plain").body(bytes(b"bytes")).send().await.unwrap();

    let copied = copy(&server, "from%20%C3%A4/%2B%25", "to").send().await.unwrap();

    let got = server.client.get_object().bucket(BUCKET).key("to").send().await.unwrap();
    assert_eq!(copied.copy_object_result().unwrap().e_tag(), put.e_tag());
    assert_eq!(got.metadata().unwrap()["k"], "v");
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(body(got).await, b"bytes");
}

#[tokio::test]
async fn a_copy_can_replace_the_metadata() {
    let server = server().await;
    let put = server.client.put_object().bucket(BUCKET).key("from").metadata("old", "1");
    put.body(bytes(b"bytes")).send().await.unwrap();

    let copy = copy(&server, "from", "to").metadata_directive(MetadataDirective::Replace);
    copy.metadata("new", "2").storage_class(StorageClass::StandardIa).send().await.unwrap();

    let head = server.client.head_object().bucket(BUCKET).key("to").send().await.unwrap();
    let metadata = head.metadata().unwrap();
    assert_eq!((metadata.len(), metadata["new"].as_str()), (1, "2"));
    assert_eq!(head.storage_class(), Some(&StorageClass::StandardIa));
}

#[tokio::test]
async fn a_copy_of_many_parts_has_one_part() {
    let server = server().await;
    let id = server.start_upload("from").await;
    let parts = [
        server.put_part("from", &id, 1, &[1; PART]).await,
        server.put_part("from", &id, 2, &[2]).await,
    ];
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("from");
    complete.upload_id(id).multipart_upload(list_of(parts)).send().await.unwrap();

    copy(&server, "from", "to").send().await.unwrap();

    let got = server.client.get_object().bucket(BUCKET).key("to").send().await.unwrap();
    assert!(!got.e_tag().unwrap().contains('-'), "{:?}", got.e_tag());
    assert_eq!(body(got).await, [&[1; PART][..], &[2]].concat());
}

#[tokio::test]
async fn a_copy_is_made_of_the_named_version() {
    let server = versioned_server().await;
    let put = server.client.put_object().bucket(BUCKET).key("from").body(bytes(b"old"));
    let old = put.send().await.unwrap().version_id.unwrap();
    server.put("from", b"new").await;

    let copied = copy(&server, &format!("from?versionId={old}"), "to").send().await.unwrap();

    assert_eq!(server.get("to").await, b"old");
    assert_eq!(copied.copy_source_version_id(), Some(old.as_str()));
}

#[tokio::test]
async fn a_copy_onto_itself_changes_the_storage_class() {
    let server = server().await;
    server.put("key", b"bytes").await;

    assert_eq!(refusal(copy(&server, "key", "key").send().await), "InvalidRequest");
    let moved = copy(&server, "key", "key").storage_class(StorageClass::Glacier);
    moved.send().await.unwrap();

    let get = server.client.get_object().bucket(BUCKET).key("key").send().await;
    assert_eq!(refusal(get), "InvalidObjectState");
    assert_eq!(server.files("blobs").len(), 1);
}

#[tokio::test]
async fn a_copy_can_require_the_etag_of_its_source() {
    let server = server().await;
    let etag = server.put("from", b"bytes").await;

    let other = copy(&server, "from", "to").copy_source_if_match("\"0\"").send().await;
    let same = copy(&server, "from", "to").copy_source_if_none_match(&etag).send().await;
    copy(&server, "from", "to").copy_source_if_match(&etag).send().await.unwrap();
    let absent = copy(&server, "absent", "to").send().await;

    assert_eq!(refusal(other), "PreconditionFailed");
    assert_eq!(refusal(same), "PreconditionFailed");
    assert_eq!(refusal(absent), "NoSuchKey");
    assert_eq!(server.get("to").await, b"bytes");
}

fn copy(server: &Server, from: &str, to: &str) -> CopyObjectFluentBuilder {
    let copy = server.client.copy_object().bucket(BUCKET).key(to);
    copy.copy_source(format!("{BUCKET}/{from}"))
}

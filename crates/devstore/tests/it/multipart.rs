//! Multipart uploads: parts, completion and its rules, abort.

use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedPart, ObjectAttributes,
    ServerSideEncryption, StorageClass,
};

use crate::support::{BUCKET, PART, Server, body, bytes, checking, list_of, refusal, server};

#[tokio::test]
async fn parts_become_one_object_in_the_order_of_their_numbers() {
    let server = server().await;
    let id = server.start_upload("key").await;
    let last = server.put_part("key", &id, 9, b"end").await;
    let first = server.put_part("key", &id, 2, &[1; PART]).await;

    let done = complete(&server, &id, [first, last]).send().await.unwrap();

    let want = [&[1; PART][..], b"end"].concat();
    assert_eq!(server.get("key").await, want);
    // MD5 of both MD5s in hexadecimal, and the number of parts.
    assert_eq!(done.e_tag(), Some("\"4e45d47a5606da5f79d24f67935aa21b-2\""));
    assert_eq!(server.files("buckets").len(), 2, "the bucket and the object");
}

#[tokio::test]
async fn a_range_can_span_parts() {
    let server = server().await;
    let id = server.start_upload("key").await;
    let mut parts = Vec::new();
    for number in 1..=3 {
        parts.push(server.put_part("key", &id, number, &[number as u8; PART]).await);
    }
    complete(&server, &id, parts).send().await.unwrap();

    let get = server.client.get_object().bucket(BUCKET).key("key").range("bytes=6-17");
    let got = body(get.send().await.unwrap()).await;

    assert_eq!(got, [&[1; 2][..], &[2; PART], &[3; 2]].concat());
}

#[tokio::test]
async fn the_attributes_of_an_upload_are_those_of_its_object() {
    let server = server().await;
    let start = server.client.create_multipart_upload().bucket(BUCKET).key("key");
    let start = start
        .content_type("text/plain")
        .metadata("sha256", "abc")
        .storage_class(StorageClass::Glacier)
        .server_side_encryption(ServerSideEncryption::Aes256);
    let started = start.send().await.unwrap();
    let id = started.upload_id().unwrap();
    let part = server.put_part("key", id, 1, b"x").await;
    complete(&server, id, [part]).send().await.unwrap();

    let head = server.client.head_object().bucket(BUCKET).key("key").send().await.unwrap();

    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.metadata().unwrap()["sha256"], "abc");
    assert_eq!(head.storage_class(), Some(&StorageClass::Glacier));
    assert_eq!(head.server_side_encryption().unwrap().as_str(), "AES256");
}

#[tokio::test]
async fn the_encryption_is_echoed_by_every_call_of_an_upload() {
    let server = server().await;
    let start = server.client.create_multipart_upload().bucket(BUCKET).key("key");
    let start = start.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id("a-key");
    let started = start.send().await.unwrap();
    let id = started.upload_id().unwrap();
    let part = server.client.upload_part().bucket(BUCKET).key("key").upload_id(id).part_number(1);
    let part = part.body(bytes(&[1; PART])).send().await.unwrap();
    let line = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag.clone()).build();
    let done = complete(&server, id, [line]).send().await.unwrap();

    let kms = Some(&ServerSideEncryption::AwsKms);
    assert_eq!((started.server_side_encryption(), started.ssekms_key_id()), (kms, Some("a-key")));
    assert_eq!((part.server_side_encryption(), part.ssekms_key_id()), (kms, Some("a-key")));
    assert_eq!((done.server_side_encryption(), done.ssekms_key_id()), (kms, Some("a-key")));
}

#[tokio::test]
async fn parts_in_the_wrong_order_are_refused() {
    let server = server().await;
    let id = server.start_upload("key").await;
    let one = server.put_part("key", &id, 1, &[1; PART]).await;
    let two = server.put_part("key", &id, 2, &[2; PART]).await;

    let refused = complete(&server, &id, [two, one]).send().await;

    assert_eq!(refusal(refused), "InvalidPartOrder");
    assert_eq!(server.keys().await, [""; 0]);
}

#[tokio::test]
async fn a_part_with_another_etag_is_refused() {
    let server = server().await;
    let id = server.start_upload("key").await;
    server.put_part("key", &id, 1, &[1; PART]).await;
    let other = CompletedPart::builder().part_number(1).e_tag("\"0\"").build();

    assert_eq!(refusal(complete(&server, &id, [other]).send().await), "InvalidPart");
    assert_eq!(server.keys().await, [""; 0]);
}

#[tokio::test]
async fn a_part_that_was_never_uploaded_is_refused() {
    let server = server().await;
    let id = server.start_upload("key").await;
    let one = server.put_part("key", &id, 1, &[1; PART]).await;
    let absent = CompletedPart::builder().part_number(2).e_tag("\"0\"").build();

    assert_eq!(refusal(complete(&server, &id, [one, absent]).send().await), "InvalidPart");
    assert_eq!(server.keys().await, [""; 0]);
}

#[tokio::test]
async fn a_short_part_is_refused_unless_it_is_the_last() {
    let server = server().await;
    let id = server.start_upload("key").await;
    let short = server.put_part("key", &id, 1, &[1; PART - 1]).await;
    let last = server.put_part("key", &id, 2, b"").await;

    let refused = complete(&server, &id, [short.clone(), last]).send().await;
    assert_eq!(refusal(refused), "EntityTooSmall");

    complete(&server, &id, [short]).send().await.unwrap();
}

#[tokio::test]
async fn a_part_that_is_uploaded_again_replaces_the_first() {
    let server = server().await;
    let id = server.start_upload("key").await;
    server.put_part("key", &id, 1, b"one").await;
    let again = server.put_part("key", &id, 1, b"again").await;

    complete(&server, &id, [again]).send().await.unwrap();

    assert_eq!(server.get("key").await, b"again");
    assert_eq!(server.files("blobs").len(), 1);
}

#[tokio::test]
async fn the_crc64nvme_of_the_whole_object_is_computed_and_verified() {
    let server = server().await;
    let (id, parts) = upload_with(&server, ChecksumAlgorithm::Crc64Nvme).await;

    let wrong = complete(&server, &id, parts.clone()).checksum_crc64_nvme("AAAAAAAAAAA=");
    assert_eq!(refusal(wrong.send().await), "BadDigest");

    // The checksum of "123456789123456789".
    let right = complete(&server, &id, parts).checksum_crc64_nvme("oyJKiIDYJOQ=");
    let done = right.checksum_type(ChecksumType::FullObject).send().await.unwrap();

    assert_eq!(done.checksum_crc64_nvme(), Some("oyJKiIDYJOQ="));
    let head = server.client.head_object().bucket(BUCKET).key("key");
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!(head.checksum_crc64_nvme(), Some("oyJKiIDYJOQ="));
    assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
}

#[tokio::test]
async fn a_composite_sha256_is_computed_from_those_of_the_parts() {
    let server = server().await;
    let (id, parts) = upload_with(&server, ChecksumAlgorithm::Sha256).await;

    let done = complete(&server, &id, parts).send().await.unwrap();

    assert_eq!(done.checksum_sha256(), Some("7BUeeAOE+48vhYy0Cw7HXBFHFesoFphl4nDVSo8wSho=-2"));
    assert_eq!(done.checksum_type(), Some(&ChecksumType::Composite));
}

#[tokio::test]
async fn an_object_of_another_size_than_announced_is_refused() {
    let server = server().await;
    let id = server.start_upload("key").await;
    let part = server.put_part("key", &id, 1, b"12345").await;

    let wrong = complete(&server, &id, [part.clone()]).mpu_object_size(6).send().await;
    assert_eq!(refusal(wrong), "InvalidRequest");

    complete(&server, &id, [part]).mpu_object_size(5).send().await.unwrap();
}

#[tokio::test]
async fn the_attributes_of_a_composite_object_list_its_parts_in_pages() {
    let server = server().await;
    let (id, parts) = upload_with(&server, ChecksumAlgorithm::Sha256).await;
    let done = complete(&server, &id, parts.clone()).send().await.unwrap();

    let mut after = None;
    for part in &parts {
        let attributes = server.client.get_object_attributes().bucket(BUCKET).key("key");
        let attributes = attributes
            .object_attributes(ObjectAttributes::ObjectParts)
            .object_attributes(ObjectAttributes::Checksum)
            .object_attributes(ObjectAttributes::Etag)
            .object_attributes(ObjectAttributes::StorageClass)
            .max_parts(1)
            .set_part_number_marker(after);
        let found = attributes.send().await.unwrap();

        let listed = found.object_parts().unwrap();
        assert_eq!(listed.total_parts_count(), Some(2));
        assert_eq!(listed.parts()[0].part_number(), part.part_number());
        assert_eq!(listed.parts()[0].size(), Some(9));
        assert_eq!(listed.parts()[0].checksum_sha256(), part.checksum_sha256());
        let checksum = found.checksum().unwrap().checksum_sha256().unwrap();
        assert_eq!(done.checksum_sha256(), Some(format!("{checksum}-2").as_str()));
        assert_eq!(found.e_tag(), done.e_tag());
        assert_eq!(found.storage_class(), Some(&StorageClass::Standard));
        after = listed.next_part_number_marker().map(str::to_owned);
        assert_eq!(listed.is_truncated(), Some(part.part_number() == Some(1)));
    }
}

#[tokio::test]
async fn the_attributes_of_a_full_object_have_only_the_number_of_parts() {
    let server = server().await;
    let (id, parts) = upload_with(&server, ChecksumAlgorithm::Crc64Nvme).await;
    complete(&server, &id, parts).send().await.unwrap();

    let attributes = server.client.get_object_attributes().bucket(BUCKET).key("key");
    let attributes = attributes.object_attributes(ObjectAttributes::ObjectParts);
    let found = attributes.send().await.unwrap();

    assert_eq!(found.object_parts().unwrap().total_parts_count(), Some(2));
    assert_eq!(found.object_parts().unwrap().parts().len(), 0);
}

#[tokio::test]
async fn one_part_of_a_composite_object_has_its_own_checksum() {
    let server = server().await;
    let (id, parts) = upload_with(&server, ChecksumAlgorithm::Sha256).await;
    complete(&server, &id, parts.clone()).send().await.unwrap();

    let head = server.client.head_object().bucket(BUCKET).key("key").part_number(2);
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();

    assert_eq!(head.checksum_sha256(), parts[1].checksum_sha256());
}

#[tokio::test]
async fn an_aborted_upload_leaves_no_file() {
    let server = server().await;
    let before = server.files("");
    let id = server.start_upload("key").await;
    server.put_part("key", &id, 1, &[1; PART]).await;
    server.put_part("key", &id, 2, &[2; PART]).await;

    let abort = server.client.abort_multipart_upload().bucket(BUCKET).key("key");
    abort.upload_id(&id).send().await.unwrap();

    assert_eq!(server.files(""), before);
    let late = server.client.upload_part().bucket(BUCKET).key("key").upload_id(&id);
    let late = late.part_number(3).body(bytes(b"x")).send().await;
    assert_eq!(refusal(late), "NoSuchUpload");
}

#[tokio::test]
async fn a_completed_upload_does_not_exist_any_more() {
    let server = server().await;
    let id = server.start_upload("key").await;
    let part = server.put_part("key", &id, 1, b"x").await;
    complete(&server, &id, [part.clone()]).send().await.unwrap();

    assert_eq!(refusal(complete(&server, &id, [part]).send().await), "NoSuchUpload");
    let listed = server.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    assert_eq!(listed.uploads().len(), 0);
}

#[tokio::test]
async fn an_upload_belongs_to_its_key() {
    let server = server().await;
    let id = server.start_upload("key").await;

    let part = server.client.upload_part().bucket(BUCKET).key("other").upload_id(id);

    assert_eq!(refusal(part.part_number(1).send().await), "NoSuchUpload");
}

#[tokio::test]
async fn a_part_number_out_of_range_is_refused() {
    let server = server().await;
    let id = server.start_upload("key").await;
    for number in [0, 10_001] {
        let part = server.client.upload_part().bucket(BUCKET).key("key").upload_id(&id);
        assert_eq!(refusal(part.part_number(number).send().await), "InvalidArgument", "{number}");
    }
}

fn complete(
    server: &Server,
    id: &str,
    parts: impl IntoIterator<Item = CompletedPart>,
) -> CompleteMultipartUploadFluentBuilder {
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
    complete.upload_id(id).multipart_upload(list_of(parts))
}

/// Starts an upload with two parts of "123456789" that have checksums.
async fn upload_with(
    server: &Server,
    algorithm: ChecksumAlgorithm,
) -> (String, Vec<CompletedPart>) {
    let start = server.client.create_multipart_upload().bucket(BUCKET).key("key");
    let started =
        start.checksum_algorithm(algorithm.clone()).send().await.expect("the upload starts");
    let id = started.upload_id.expect("an upload id");
    let mut parts = Vec::new();
    for number in 1..=2 {
        let part = server.client.upload_part().bucket(BUCKET).key("key").upload_id(&id);
        let part = part.part_number(number).body(bytes(b"123456789"));
        let put =
            part.checksum_algorithm(algorithm.clone()).customize().config_override(checking());
        let put = put.send().await;
        let put = put.expect("the part is put");
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(put.e_tag)
            .set_checksum_crc64_nvme(put.checksum_crc64_nvme)
            .set_checksum_sha256(put.checksum_sha256);
        parts.push(part.build());
    }
    (id, parts)
}

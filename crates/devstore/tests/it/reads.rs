//! Reads of one part, and reads with conditions.

use aws_sdk_s3::types::{ChecksumMode, CompletedPart};
use s3up_testkit::StatusRecorder;

use crate::support::{BUCKET, PART, Server, body, list_of, refusal, server, status};

#[tokio::test]
async fn one_part_of_an_object_is_read() {
    let server = server().await;
    parts(&server).await;

    for (number, want) in [(1, vec![1; PART]), (2, vec![2; 3])] {
        let get = server.client.get_object().bucket(BUCKET).key("key").part_number(number);
        let got = get.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        let head = server.client.head_object().bucket(BUCKET).key("key").part_number(number);
        let head = head.send().await.unwrap();

        assert_eq!(got.parts_count(), Some(2));
        assert_eq!(
            got.checksum_crc64_nvme(),
            None,
            "the checksum of the whole object is not that of a part"
        );
        assert_eq!(head.parts_count(), Some(2));
        assert_eq!(head.content_length(), Some(want.len() as i64));
        assert_eq!(got.content_range(), head.content_range());
        assert_eq!(body(got).await, want);
    }
}

#[tokio::test]
async fn an_object_of_a_single_put_has_one_part() {
    let server = server().await;
    server.put("key", b"whole").await;
    server.put("empty", b"").await;
    let get = |key: &str, number| {
        server.client.get_object().bucket(BUCKET).key(key).part_number(number).send()
    };

    let first = get("key", 1).await.unwrap();
    assert_eq!(first.parts_count(), None);
    assert_eq!(first.content_range(), Some("bytes 0-4/5"));
    assert_eq!(body(first).await, b"whole");
    assert_eq!(body(get("empty", 1).await.unwrap()).await, b"");
    let second = get("key", 2).await;
    assert_eq!(second.as_ref().unwrap_err().raw_response().unwrap().status().as_u16(), 416);
    assert_eq!(refusal(second), "InvalidPartNumber");
}

#[tokio::test]
async fn a_range_of_a_part_is_refused() {
    let server = server().await;
    server.put("key", b"whole").await;

    let get =
        server.client.get_object().bucket(BUCKET).key("key").part_number(1).range("bytes=0-1");

    assert_eq!(refusal(get.send().await), "InvalidRequest");
}

#[tokio::test]
async fn a_head_of_a_range_has_status_206_like_a_get() {
    let server = server().await;
    server.put("key", b"0123456789").await;
    let seen = StatusRecorder::default();

    let head = server.client.head_object().bucket(BUCKET).key("key").range("bytes=-4");
    let head = head.customize().interceptor(seen.clone()).send().await.unwrap();

    assert_eq!(seen.get(), 206);
    assert_eq!(head.content_range(), Some("bytes 6-9/10"));
}

#[tokio::test]
async fn a_condition_on_a_read_is_answered_412_or_304() {
    let server = server().await;
    let etag = server.put("key", b"bytes").await;
    let get = || server.client.get_object().bucket(BUCKET).key("key");
    let head = || server.client.head_object().bucket(BUCKET).key("key");

    assert!(get().if_match(&etag).send().await.is_ok());
    assert_eq!(status(get().if_match("\"0\"").send().await), 412);
    assert_eq!(status(get().if_none_match(&etag).send().await), 304);
    assert_eq!(status(head().if_match("\"0\"").send().await), 412);
    assert_eq!(status(head().if_none_match(&etag).send().await), 304);
    assert!(head().if_none_match("\"0\"").send().await.is_ok());
}

/// Puts `key` with two parts.
async fn parts(server: &Server) {
    let id = server.start_upload("key").await;
    let parts: [CompletedPart; 2] = [
        server.put_part("key", &id, 1, &[1; PART]).await,
        server.put_part("key", &id, 2, &[2; 3]).await,
    ];
    let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
    let complete = complete.upload_id(id).multipart_upload(list_of(parts));
    complete.send().await.expect("the upload is completed");
}

//! Injected faults: each fires in its call, and only there.

use std::time::Duration;

use s3up_devstore::{Fault, Op};
use s3up_testkit::StatusRecorder;

use crate::support::{BUCKET, PART, Server, bytes, is_broken, list_of, refusal, server, status};

#[tokio::test]
async fn only_the_nth_call_of_an_operation_fails() {
    let server = server().await;
    server.put("before", b"x").await;
    server.faults().inject(Op::PutObject, 2, Fault::InternalError);

    let first = put(&server, "first").await;
    let second = put(&server, "second").await;
    let third = put(&server, "third").await;

    assert!(first.is_ok() && third.is_ok());
    assert_eq!(status(second), 500);
    assert_eq!(server.keys().await, ["before", "first", "third"]);
    assert_eq!(server.faults().unfired(), []);
}

#[tokio::test]
async fn a_slow_down_can_have_a_retry_after_header() {
    let server = server().await;
    let fault = Fault::SlowDown { retry_after_seconds: Some(7) };
    server.faults().inject(Op::PutObject, 1, fault);

    let refused = put(&server, "key").await;

    let answer = refused.as_ref().unwrap_err().raw_response().unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert_eq!(answer.headers().get("retry-after"), Some("7"));
    assert_eq!(refusal(refused), "SlowDown");
}

#[tokio::test]
async fn a_refused_call_reads_its_body_so_that_the_client_gets_the_refusal() {
    let server = server().await;
    server.faults().inject(Op::PutObject, 1, Fault::InternalError);

    let large =
        server.client.put_object().bucket(BUCKET).key("key").body(bytes(&vec![0; 32 << 20]));

    assert_eq!(status(large.send().await), 500);
}

#[tokio::test]
async fn a_stalled_call_neither_answers_nor_does_its_work() {
    let server = server().await;
    server.faults().inject(Op::PutObject, 1, Fault::Stall);
    let stalled = tokio::spawn(server.client.put_object().bucket(BUCKET).key("key").send());

    server.faults().called(Op::PutObject, 1).await;

    assert_eq!(server.keys().await, [""; 0]);
    assert!(!stalled.is_finished());
    assert_eq!(server.faults().unfired(), []);
    // The server still stops.
    tokio::time::timeout(Duration::from_secs(10), server.s3.stop()).await.unwrap();
    assert!(is_broken(&stalled.await.unwrap()));
}

#[tokio::test]
async fn a_cut_body_ends_after_exactly_the_given_bytes() {
    let server = server().await;
    server.put("key", &[7; 4_000_000]).await;
    for cut in [0, 5, 262_144, 3_999_999] {
        server.faults().inject(Op::GetObject, 1, Fault::CutBody { after_bytes: cut });

        let mut got = server.client.get_object().bucket(BUCKET).key("key").send().await.unwrap();
        let mut len = 0;
        let broken = loop {
            match got.body.try_next().await {
                Ok(Some(chunk)) => len += chunk.len() as u64,
                Ok(None) => break false,
                Err(_) => break true,
            }
        };

        assert_eq!((len, broken), (cut, true));
        assert_eq!(server.faults().unfired(), []);
    }
    assert_eq!(server.get("key").await, [7; 4_000_000]);
}

#[tokio::test]
async fn a_flipped_byte_is_the_only_one_that_changes() {
    let server = server().await;
    server.put("key", &[7; 1_000_000]).await;
    server.faults().inject(Op::GetObject, 1, Fault::FlipByte { offset: 700_000 });

    let got = server.get("key").await;

    let changed: Vec<_> = (0..got.len()).filter(|n| got[*n] != 7).collect();
    assert_eq!(changed, [700_000]);
    assert_eq!(server.faults().unfired(), []);
}

#[tokio::test]
async fn a_fault_beyond_the_end_of_a_body_does_not_fire() {
    let server = server().await;
    server.put("key", b"short").await;
    server.faults().inject(Op::GetObject, 1, Fault::FlipByte { offset: 5 });

    assert_eq!(server.get("key").await, b"short");

    assert_eq!(server.faults().unfired().len(), 1);
}

#[tokio::test]
async fn an_answer_is_lost_after_the_work_is_done() {
    let server = server().await;
    server.faults().inject(Op::PutObject, 1, Fault::LoseAnswer);

    let lost = put(&server, "key").await;

    assert!(is_broken(&lost), "{lost:?}");
    assert_eq!(server.keys().await, ["key"]);
    assert_eq!(server.faults().unfired(), []);
}

#[tokio::test]
async fn a_late_error_comes_after_the_work_is_done() {
    let server = server().await;
    server.faults().inject(Op::PutObject, 1, Fault::LateInternalError);

    let refused = put(&server, "key").await;

    assert_eq!(status(refused), 500);
    assert_eq!(server.keys().await, ["key"]);
}

#[tokio::test]
async fn a_cut_upload_stores_nothing() {
    let server = server().await;
    let body = vec![7; 4_000_000];
    for after_bytes in [0, 1_000_000, 3_999_999] {
        server.faults().inject(Op::PutObject, 1, Fault::CutUpload { after_bytes });

        let put = server.client.put_object().bucket(BUCKET).key("key").body(bytes(&body));
        let broken = put.send().await;

        assert!(is_broken(&broken), "{broken:?}");
        assert_eq!(server.faults().unfired(), []);
        assert_eq!(server.keys().await, [""; 0]);
    }
    assert_eq!(server.files("blobs").len() + server.files("tmp").len(), 0);
    server.put("key", &body).await;
}

#[tokio::test]
async fn a_body_that_ends_before_the_cut_is_not_cut() {
    let server = server().await;
    server.faults().inject(Op::PutObject, 1, Fault::CutUpload { after_bytes: 5 });

    server.put("key", b"12345").await;

    assert_eq!(server.faults().unfired().len(), 1);
}

#[tokio::test]
async fn a_cut_part_does_not_affect_other_parts() {
    let server = server().await;
    let id = server.start_upload("key").await;
    server.put_part("key", &id, 1, &[1; PART]).await;
    server.faults().inject(Op::UploadPart, 1, Fault::CutUpload { after_bytes: 3 });

    let part = server.client.upload_part().bucket(BUCKET).key("key").upload_id(&id);
    let broken = part.part_number(2).body(bytes(&[2; PART])).send().await;

    assert!(is_broken(&broken), "{broken:?}");
    let listed = server.client.list_parts().bucket(BUCKET).key("key").upload_id(&id);
    assert_eq!(listed.send().await.unwrap().parts().len(), 1);
}

#[tokio::test]
async fn a_completion_can_fail_with_status_200() {
    for (fault, keys) in [(Fault::ErrorIn200, 0), (Fault::LateErrorIn200, 1)] {
        let server = server().await;
        let id = server.start_upload("key").await;
        let part = server.put_part("key", &id, 1, &[1; PART]).await;
        server.faults().inject(Op::CompleteMultipartUpload, 1, fault.clone());
        let complete = || {
            let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
            complete.upload_id(&id).multipart_upload(list_of([part.clone()]))
        };
        let seen = StatusRecorder::default();

        let failed = complete().customize().interceptor(seen.clone()).send().await;

        assert_eq!(seen.get(), 200);
        assert_eq!(refusal(failed), "InternalError");
        assert_eq!(server.keys().await.len(), keys, "{fault:?}");
        assert_eq!(server.faults().unfired(), []);
        assert_eq!(complete().send().await.is_ok(), keys == 0, "{fault:?}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_operation_and_their_headers_are_kept() {
    let server = server().await;
    server.put("one", b"x").await;
    let put = server.client.put_object().bucket(BUCKET).key("two").body(bytes(b"123456789"));
    put.checksum_crc32_c("4waSgw==").send().await.unwrap();
    server.keys().await;

    let faults = server.faults();
    assert_eq!(faults.calls(Op::PutObject), 2);
    assert_eq!(faults.calls(Op::ListObjectsV2), 1);
    assert_eq!(faults.calls(Op::GetObject), 0);
    let headers = faults.headers(Op::PutObject, 2).unwrap();
    assert_eq!(headers["x-amz-checksum-crc32c"], "4waSgw==");
}

type Put = Result<
    aws_sdk_s3::operation::put_object::PutObjectOutput,
    aws_sdk_s3::error::SdkError<aws_sdk_s3::operation::put_object::PutObjectError>,
>;

async fn put(server: &Server, key: &str) -> Put {
    server.client.put_object().bucket(BUCKET).key(key).body(bytes(b"x")).send().await
}

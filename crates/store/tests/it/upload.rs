//! Uploads of one object.

use std::io;

use bytes::Bytes;
use s3up_core::{Key, Sha256Digest};
use s3up_devstore::{Fault, Op};
use s3up_store::{Length, Overwrite, Put, Sse, StoreErrorKind, UploadError};

use tokio_util::io::StreamReader;

use crate::fixture::{BUDGET, PART, World, noise, put};

#[tokio::test]
async fn a_stream_of_any_length_comes_back_unchanged() {
    let world = World::start().await;
    for len in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 17] {
        let key = format!("len-{len}");
        let body = noise(len);

        let stored = world.store.upload(put(&key), &body[..]).await.unwrap();

        assert_eq!((stored.facts.len, stored.facts.sha256), (len, Sha256Digest::of(&body)));
        assert!(world.read(&key).await.unwrap() == body, "{len} bytes changed in transit");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_stream_that_fits_one_part_is_one_call() {
    let world = World::start().await;

    world.store.upload(put("a"), &noise(PART)[..]).await.unwrap();

    assert_eq!(world.calls(Op::PutObject), 1);
    assert_eq!(world.calls(Op::CreateMultipartUpload), 0);
    world.stop().await;
}

#[tokio::test]
async fn nothing_is_visible_before_the_commit() {
    let world = World::start().await;
    for len in [10, 2 * PART] {
        let staged = world.store.stage(put("a"), &noise(len)[..]).await.unwrap();
        assert_eq!(world.head("a").await, None);
        staged.abort().await;
        assert_eq!(world.head("a").await, None);
    }
    assert_eq!(world.calls(Op::AbortMultipartUpload), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_leaves_nothing() {
    let world = World::start().await;
    let pieces = [Ok(Bytes::from(noise(PART + 1))), Err(io::Error::other("btrfs send died"))];
    let broken = StreamReader::new(futures::stream::iter(pieces));

    let err = world.store.upload(put("broken"), broken).await.unwrap_err();

    assert!(matches!(err, UploadError::Source { .. }), "{err}");
    assert_eq!(world.head("broken").await, None);
    assert_eq!(world.calls(Op::AbortMultipartUpload), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_dropped_upload_is_aborted_by_a_detached_task() {
    let world = World::start().await;
    let (mut feed, source) = tokio::io::duplex(64 << 10);
    let store = world.store.clone();
    let upload = tokio::spawn(async move { store.upload(put("dropped"), source).await });
    tokio::io::AsyncWriteExt::write_all(&mut feed, &noise(PART + 10)).await.unwrap();
    world.s3.faults().called(Op::UploadPart, 1).await;

    upload.abort();

    world.s3.faults().called(Op::AbortMultipartUpload, 1).await;
    assert_eq!(world.head("dropped").await, None);
    world.stop().await;
}

#[tokio::test]
async fn an_upload_with_another_length_or_digest_than_announced_stores_nothing() {
    let world = World::start().await;
    for len in [10, PART + 10] {
        let body = noise(len);
        let wrong = Some(Sha256Digest::of(b"other"));
        let digest = Put { expect_sha256: wrong, ..put("a") };
        let longer = Put { length: Length::Exactly(len + 1), ..put("a") };
        let shorter = Put { length: Length::Exactly(len - 1), ..put("a") };

        let digest = world.store.upload(digest, &body[..]).await.unwrap_err();
        let longer = world.store.upload(longer, &body[..]).await.unwrap_err();
        let shorter = world.store.upload(shorter, &body[..]).await.unwrap_err();

        assert!(matches!(digest, UploadError::Digest { .. }), "{digest}");
        assert!(matches!(longer, UploadError::TooShort { .. }), "{longer}");
        assert!(matches!(shorter, UploadError::TooLong { .. }), "{shorter}");
        assert_eq!(world.head("a").await, None);
    }
    world.stop().await;
}

#[tokio::test]
async fn an_object_has_the_requested_attributes() {
    let world = World::with(|settings| s3up_store::Settings {
        storage_class: Some("STANDARD_IA".to_owned()),
        sse: Sse::Aes256,
        ..settings
    })
    .await;
    for len in [3, PART + 3] {
        let body = noise(len);
        let digest = Sha256Digest::of(&body);
        let with_facts = Put {
            content_type: Some("text/plain".to_owned()),
            metadata: [("mode".to_owned(), "0644".to_owned())].into(),
            expect_sha256: Some(digest),
            ..put("a")
        };

        let stored = world.store.upload(with_facts, &body[..]).await.unwrap();

        let found = world.head("a").await.unwrap();
        assert_eq!(found.size, len);
        assert_eq!(found.content_type.as_deref(), Some("text/plain"));
        assert_eq!(found.metadata["mode"], "0644");
        assert_eq!(found.sha256, Some(digest));
        assert_eq!(found.crc64nvme, Some(stored.facts.crc64nvme));
        assert_eq!(found.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(found.sse.as_deref(), Some("AES256"));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_key_that_must_be_new_is_not_overwritten() {
    let world = World::start().await;
    for len in [3, PART + 3] {
        let key = format!("new-{len}");
        let never = || Put { overwrite: Overwrite::Never, ..put(&key) };
        world.store.upload(never(), &noise(len)[..]).await.unwrap();

        let err = world.store.upload(never(), &b"other"[..]).await.unwrap_err();

        assert!(matches!(err, UploadError::Store(err) if err.kind == StoreErrorKind::Precondition));
        assert!(world.read(&key).await.unwrap() == noise(len), "{len} bytes");
    }
    world.stop().await;
}

#[tokio::test]
async fn the_checksum_of_every_body_is_on_the_wire_and_the_payload_is_not_hashed_twice() {
    let world = World::start().await;
    let body = noise(PART + 1);
    world.store.upload(put("small"), &b"x"[..]).await.unwrap();
    world.store.upload(put("long"), &body[..]).await.unwrap();

    let header = |op, call, name: &str| {
        let headers = world.s3.faults().headers(op, call).expect("a call");
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    for (op, call) in [(Op::PutObject, 1), (Op::UploadPart, 1), (Op::UploadPart, 2)] {
        assert!(header(op, call, "x-amz-checksum-crc64nvme").is_some(), "{op:?} {call}");
    }
    // The payload of the first call to an unknown server is signed. Then the server
    // has shown that it verifies the checksum.
    assert_ne!(header(Op::PutObject, 1, "x-amz-content-sha256").unwrap(), "UNSIGNED-PAYLOAD");
    assert_eq!(header(Op::UploadPart, 1, "x-amz-content-sha256").unwrap(), "UNSIGNED-PAYLOAD");
    assert!(header(Op::CompleteMultipartUpload, 1, "x-amz-checksum-crc64nvme").is_some());
    assert_eq!(
        header(Op::CompleteMultipartUpload, 1, "x-amz-mp-object-size").unwrap(),
        body.len().to_string()
    );
    world.stop().await;
}

#[tokio::test]
async fn an_upload_survives_one_failure_of_any_call() {
    let body = noise(2 * PART + 1);
    let ops =
        [Op::CreateMultipartUpload, Op::UploadPart, Op::ListParts, Op::CompleteMultipartUpload];
    let faults = [
        Fault::InternalError,
        Fault::SlowDown { retry_after_seconds: Some(0) },
        Fault::LoseAnswer,
        Fault::LateInternalError,
    ];
    for op in ops {
        for fault in &faults {
            let world = World::start().await;
            world.s3.faults().inject(op, 1, fault.clone());

            let stored = world.store.upload(put("a"), &body[..]).await;

            let stored = stored.unwrap_or_else(|err| panic!("{op:?} {fault:?}: {err}"));
            assert_eq!(stored.facts.sha256, Sha256Digest::of(&body));
            assert!(world.read("a").await.unwrap() == body, "{op:?} {fault:?}");
            world.stop().await;
        }
    }
}

#[tokio::test]
async fn many_uploads_share_the_buffer_budget_and_all_succeed() {
    let world = World::start().await;
    let body = noise(3 * PART);
    let uploads = (0..8).map(|n| {
        let (store, body) = (world.store.clone(), body.clone());
        async move { store.upload(put(&format!("many/{n}")), &body[..]).await.map(drop) }
    });

    // The used bytes never exceed the budget (the tests of the pool show that);
    // this test shows that no upload starves.
    futures::future::try_join_all(uploads).await.unwrap();

    assert!(world.store.pool().budget_bytes() == BUDGET);
    for n in 0..8 {
        assert!(world.read(&format!("many/{n}")).await.unwrap() == body, "{n}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_part_over_the_budget_fails_at_once() {
    let world = World::start().await;
    let huge = Put { part_bytes: 2 * BUDGET, length: Length::Exactly(2 * BUDGET), ..put("a") };

    let err = world.store.upload(huge, tokio::io::empty()).await.unwrap_err();

    assert!(matches!(err, UploadError::Buffers { .. }), "{err}");
    world.stop().await;
}

#[tokio::test]
async fn an_error_names_the_operation_and_the_key() {
    let world = World::start().await;
    let once = Put { retry_for: std::time::Duration::ZERO, ..put("dir/a") };
    world.s3.faults().inject(Op::PutObject, 1, Fault::InternalError);

    let err = world.store.upload(once, &b"x"[..]).await.unwrap_err();

    assert_eq!(
        err.to_string(),
        "put dir/a: S3 is busy or unreachable; check the network and `endpoint`"
    );
    assert_eq!(
        world
            .store
            .head(&Key::parse("dir/a").unwrap(), None, crate::fixture::RETRY_FOR)
            .await
            .unwrap(),
        None
    );
    world.stop().await;
}

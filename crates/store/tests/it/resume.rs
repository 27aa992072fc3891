//! A stream that broke off is uploaded again: S3 gets nothing twice, and nothing of
//! two different streams is mixed.

use std::io;

use bytes::Bytes;
use futures::StreamExt;
use s3up_core::Key;
use s3up_devstore::Op;
use s3up_store::{
    AlreadyUploaded, Chunk, Overwrite, ProgressEvent, PutChunks, ResumeLog, UploadError,
};
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, watch};
use tokio_util::io::StreamReader;

use crate::fixture::{RETRY_FOR, SMALL_PART as PART, World, noise};

/// Four parts.
const CHUNK: u64 = 4 * PART;

fn key_of(number: u64) -> Key {
    Key::parse(&format!("chunk-{number}.bin")).expect("a key")
}

fn put() -> PutChunks<'static> {
    PutChunks {
        key_of: &key_of,
        chunk_bytes: CHUNK,
        part_bytes: PART,
        chunk_count_max: 100,
        content_type: None,
        metadata: [("run".to_owned(), "ours".to_owned())].into(),
        overwrite: Overwrite::Never,
        storage_class: None,
        in_flight: 3,
        retry_for: RETRY_FOR,
    }
}

#[tokio::test]
async fn an_acknowledged_part_is_not_sent_again() {
    let world = World::small().await;
    // Two chunks and three parts of the third.
    let body = noise(3 * CHUNK - 5);
    let recorded = break_off(&world, None, &body, 2 * CHUNK + 3 * PART + 9).await;
    let parts = world.calls(Op::UploadPart);
    let completed = world.calls(Op::CompleteMultipartUpload);
    assert_eq!(world.s3.uploads("backups"), ["chunk-2.bin"], "the unfinished upload is kept");

    let (chunks, _) = send(&world, Some(recorded), &body[..]).await;

    let chunks = chunks.unwrap();
    assert_eq!(world.calls(Op::UploadPart) - parts, 1);
    assert_eq!(world.calls(Op::CompleteMultipartUpload) - completed, 1);
    assert_is(&world, &chunks, &body).await;
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test]
async fn a_completed_chunk_without_a_recorded_completion_is_found() {
    let world = World::small().await;
    let body = noise(2 * CHUNK + 100);
    let (chunks, mut recorded) = send(&world, None, &body[..]).await;
    // The last chunk is one PUT, of which nothing is recorded before it is stored.
    recorded.remove(&2);
    for chunk in recorded.values_mut() {
        chunk.etag = None;
    }
    let (parts, puts) = (world.calls(Op::UploadPart), world.calls(Op::PutObject));

    let (again, recorded) = send(&world, Some(recorded), &body[..]).await;

    assert_eq!(again.unwrap(), chunks.unwrap());
    assert_eq!((world.calls(Op::UploadPart), world.calls(Op::PutObject)), (parts, puts));
    assert!(recorded.values().all(|chunk| chunk.etag.is_some()), "{recorded:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_stream_that_differs_is_uploaded_from_the_first_mismatch_on() {
    for at in [0, PART - 1, PART, 3 * PART - 1] {
        let world = World::small().await;
        let body = noise(CHUNK + 2 * PART);
        let mut other = body.clone();
        other[at as usize] ^= 1;
        let recorded = break_off(&world, None, &body, 3 * PART + 9).await;
        let parts = world.calls(Op::UploadPart);

        let (chunks, _) = send(&world, Some(recorded), &other[..]).await;

        assert_is(&world, &chunks.unwrap(), &other).await;
        // Nothing of the earlier stream counts after the first mismatch.
        assert_eq!(world.calls(Op::UploadPart) - parts, 6 - at / PART, "{at}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_shorter_stream_keeps_nothing_of_the_longer_one() {
    for len in [PART, 2 * PART, 2 * PART - 3, 100] {
        let world = World::small().await;
        let body = noise(CHUNK + PART);
        let recorded = break_off(&world, None, &body, 3 * PART + 9).await;

        let (chunks, _) = send(&world, Some(recorded), &body[..len as usize]).await;

        assert_is(&world, &chunks.unwrap(), &body[..len as usize]).await;
        world.stop().await;
    }
}

#[tokio::test]
async fn an_existing_chunk_of_another_stream_is_an_error_and_stays() {
    for at in [CHUNK, 2 * CHUNK - 1] {
        let world = World::small().await;
        let body = noise(3 * CHUNK);
        let mut other = body.clone();
        other[at as usize] ^= 1;
        let recorded = break_off(&world, None, &body, 2 * CHUNK + PART + 9).await;

        let (outcome, _) = send(&world, Some(recorded), &other[..]).await;

        let err = outcome.unwrap_err();
        assert!(matches!(err, UploadError::ForeignChunk { chunk: 1, .. }), "{err}");
        assert!(
            world.read("chunk-1.bin").await.unwrap() == body[CHUNK as usize..][..CHUNK as usize]
        );
        world.stop().await;
    }
}

#[tokio::test]
async fn an_existing_chunk_after_a_mismatch_is_not_used() {
    let world = World::small().await;
    let body = noise(CHUNK + 2 * PART);
    let (_, recorded) = send(&world, None, &body[..]).await;
    // As if the first chunk had been the slower one.
    world.store.delete(&key_of(0), RETRY_FOR).await.unwrap();

    let mut other = body.clone();
    other[0] ^= 1;
    let (outcome, recorded) = send(&world, Some(recorded), &other[..]).await;
    assert!(outcome.is_ok(), "nothing is recorded of the first chunk, so nothing differs");
    world.store.delete(&key_of(0), RETRY_FOR).await.unwrap();
    let mut recorded = break_off(&world, Some(recorded), &other, 3 * PART + 9).await;
    recorded.entry(1).or_default().etag = None;

    let (outcome, _) = send(&world, Some(recorded), &body[..]).await;

    let err = outcome.unwrap_err();
    assert!(matches!(err, UploadError::ForeignChunk { chunk: 1, .. }), "{err}");
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_gone_is_started_over() {
    let world = World::small().await;
    let body = noise(CHUNK);
    let recorded = break_off(&world, None, &body, 3 * PART + 9).await;
    assert_eq!(world.sweep_all().await, 1);

    let (chunks, _) = send(&world, Some(recorded), &body[..]).await;

    assert_is(&world, &chunks.unwrap(), &body).await;
    world.stop().await;
}

#[tokio::test]
async fn an_object_of_another_writer_never_passes_for_ours() {
    let world = World::small().await;
    let body = noise(CHUNK);
    let theirs = PutChunks { metadata: std::collections::BTreeMap::new(), ..put() };
    world.store.upload_chunks(&theirs, &body[..]).await.unwrap();

    let (outcome, _) = send(&world, Some(AlreadyUploaded::new()), &body[..]).await;

    let UploadError::Store(err) = outcome.unwrap_err() else { panic!("another error") };
    assert_eq!(err.kind, s3up_store::StoreErrorKind::Precondition);
    let found = world.head("chunk-0.bin").await.unwrap();
    assert!(!found.metadata.contains_key("run"), "their object stays: {found:?}");
    world.stop().await;
}

/// Uploads the stream; returns the record after it.
async fn send(
    world: &World,
    already_uploaded: Option<AlreadyUploaded>,
    source: impl AsyncRead + Unpin + Send,
) -> (Result<Vec<Chunk>, UploadError>, AlreadyUploaded) {
    let (acknowledged_parts, _) = watch::channel(0);
    send_and_count(world, already_uploaded, source, &acknowledged_parts).await
}

/// Uploads a source that fails after `at` bytes, once S3 has acknowledged its
/// complete parts. Returns the record after it.
async fn break_off(
    world: &World,
    already_uploaded: Option<AlreadyUploaded>,
    body: &[u8],
    at: u64,
) -> AlreadyUploaded {
    let (acknowledged_parts, mut parts) = watch::channel(0);
    let all = at / PART;
    let breaking = async move {
        parts.wait_for(|parts| *parts == all).await.expect("the counter exists");
        Err(io::Error::other("killed"))
    };
    let bytes = Bytes::copy_from_slice(&body[..at as usize]);
    let pieces = futures::stream::once(async move { Ok(bytes) });
    let pieces = pieces.chain(futures::stream::once(breaking));
    let source = StreamReader::new(Box::pin(pieces));
    let (outcome, recorded) =
        send_and_count(world, already_uploaded, source, &acknowledged_parts).await;
    let err = outcome.expect_err("the source failed");
    assert!(matches!(err, UploadError::Source { .. }), "{err}");
    recorded
}

async fn send_and_count(
    world: &World,
    already_uploaded: Option<AlreadyUploaded>,
    source: impl AsyncRead + Unpin + Send,
    acknowledged_parts: &watch::Sender<u64>,
) -> (Result<Vec<Chunk>, UploadError>, AlreadyUploaded) {
    let (tx, mut rx) = mpsc::channel::<ProgressEvent>(2);
    let mut recorded = already_uploaded.clone().unwrap_or_default();
    let recording = async {
        while let Some(event) = rx.recv().await {
            let is_part = matches!(event, ProgressEvent::PartUploaded { .. });
            event.apply_to(&mut recorded);
            acknowledged_parts.send_modify(|parts| *parts += u64::from(is_part));
        }
    };
    let put = put();
    let sending =
        world.store.upload_chunks_resumable(&put, ResumeLog { already_uploaded, tx }, source);
    let (outcome, ()) = tokio::join!(sending, recording);
    (outcome, recorded)
}

async fn assert_is(world: &World, chunks: &[Chunk], body: &[u8]) {
    let mut stored = Vec::new();
    for chunk in chunks {
        let bytes = world.read(chunk.key.as_str()).await.expect("an object");
        let facts = chunk.stored.facts;
        assert_eq!(facts.len, bytes.len() as u64);
        assert_eq!(facts.sha256, s3up_core::Sha256Digest::of(&bytes));
        let parts: Vec<_> = s3up_core::part::parts(facts.len, PART)
            .map(|part| &bytes[part.start as usize..part.end as usize])
            .map(s3up_core::Sha256Digest::of)
            .collect();
        assert_eq!(chunk.part_sha256, parts, "{}", chunk.key);
        stored.extend(bytes);
    }
    assert!(stored == body, "the chunks are not the stream");
}

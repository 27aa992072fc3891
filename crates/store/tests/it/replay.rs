//! A stream that broke off is sent again: what S3 has is not sent twice, and what
//! differs is never mixed with what it had.

use std::io;

use bytes::Bytes;
use futures::StreamExt;
use s3up_core::Key;
use s3up_devstore::Op;
use s3up_store::{Acknowledged, Chunk, Known, Noted, Overwrite, PutChunks, UploadError};
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
async fn what_was_acknowledged_is_not_sent_again() {
    let world = World::small().await;
    // Two chunks and three parts of the third.
    let body = noise(3 * CHUNK - 5);
    let known = break_off(&world, None, &body, 2 * CHUNK + 3 * PART + 9).await;
    let parts = world.calls(Op::UploadPart);
    let completed = world.calls(Op::CompleteMultipartUpload);
    assert_eq!(world.s3.uploads("backups"), ["chunk-2.bin"], "it is kept");

    let (chunks, _) = send(&world, Some(known), &body[..]).await;

    let chunks = chunks.unwrap();
    assert_eq!(world.calls(Op::UploadPart) - parts, 1);
    assert_eq!(world.calls(Op::CompleteMultipartUpload) - completed, 1);
    assert_is(&world, &chunks, &body).await;
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test]
async fn a_chunk_whose_completion_was_not_heard_of_is_found() {
    let world = World::small().await;
    let body = noise(2 * CHUNK + 100);
    let (chunks, mut known) = send(&world, None, &body[..]).await;
    // The last chunk is one PUT, of which nothing is noted before it is there.
    known.remove(&2);
    for chunk in known.values_mut() {
        chunk.etag = None;
    }
    let (parts, puts) = (world.calls(Op::UploadPart), world.calls(Op::PutObject));

    let (again, noted) = send(&world, Some(known), &body[..]).await;

    assert_eq!(again.unwrap(), chunks.unwrap());
    assert_eq!((world.calls(Op::UploadPart), world.calls(Op::PutObject)), (parts, puts));
    assert!(noted.values().all(|chunk| chunk.etag.is_some()), "{noted:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_stream_that_differs_is_sent_anew_from_there() {
    for at in [0, PART - 1, PART, 3 * PART - 1] {
        let world = World::small().await;
        let body = noise(CHUNK + 2 * PART);
        let mut other = body.clone();
        other[at as usize] ^= 1;
        let known = break_off(&world, None, &body, 3 * PART + 9).await;
        let parts = world.calls(Op::UploadPart);

        let (chunks, _) = send(&world, Some(known), &other[..]).await;

        assert_is(&world, &chunks.unwrap(), &other).await;
        // Nothing of the earlier stream counts after the first difference.
        assert_eq!(world.calls(Op::UploadPart) - parts, 6 - at / PART, "{at}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_shorter_stream_takes_nothing_of_the_longer_one() {
    for len in [PART, 2 * PART, 2 * PART - 3, 100] {
        let world = World::small().await;
        let body = noise(CHUNK + PART);
        let known = break_off(&world, None, &body, 3 * PART + 9).await;

        let (chunks, _) = send(&world, Some(known), &body[..len as usize]).await;

        assert_is(&world, &chunks.unwrap(), &body[..len as usize]).await;
        world.stop().await;
    }
}

#[tokio::test]
async fn a_chunk_that_stands_and_differs_is_said_to() {
    for at in [CHUNK, 2 * CHUNK - 1] {
        let world = World::small().await;
        let body = noise(3 * CHUNK);
        let mut other = body.clone();
        other[at as usize] ^= 1;
        let known = break_off(&world, None, &body, 2 * CHUNK + PART + 9).await;

        let (outcome, _) = send(&world, Some(known), &other[..]).await;

        let err = outcome.unwrap_err();
        assert!(matches!(err, UploadError::Differs { chunk: 1, .. }), "{err}");
        assert!(
            world.read("chunk-1.bin").await.unwrap() == body[CHUNK as usize..][..CHUNK as usize]
        );
        world.stop().await;
    }
}

#[tokio::test]
async fn a_chunk_that_stands_after_a_difference_is_not_used() {
    let world = World::small().await;
    let body = noise(CHUNK + 2 * PART);
    let (_, known) = send(&world, None, &body[..]).await;
    // As if the first chunk had been the slower one.
    world.store.delete(&key_of(0), RETRY_FOR).await.unwrap();

    let mut other = body.clone();
    other[0] ^= 1;
    let (outcome, known) = send(&world, Some(known), &other[..]).await;
    assert!(outcome.is_ok(), "nothing was known of the first chunk, so nothing differs");
    world.store.delete(&key_of(0), RETRY_FOR).await.unwrap();
    let mut known = break_off(&world, Some(known), &other, 3 * PART + 9).await;
    known.entry(1).or_default().etag = None;

    let (outcome, _) = send(&world, Some(known), &body[..]).await;

    let err = outcome.unwrap_err();
    assert!(matches!(err, UploadError::Differs { chunk: 1, .. }), "{err}");
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_gone_is_begun_anew() {
    let world = World::small().await;
    let body = noise(CHUNK);
    let known = break_off(&world, None, &body, 3 * PART + 9).await;
    assert_eq!(world.sweep_all().await, 1);

    let (chunks, _) = send(&world, Some(known), &body[..]).await;

    assert_is(&world, &chunks.unwrap(), &body).await;
    world.stop().await;
}

#[tokio::test]
async fn an_object_of_somebody_else_is_never_taken_for_ours() {
    let world = World::small().await;
    let body = noise(CHUNK);
    let theirs = PutChunks { metadata: std::collections::BTreeMap::new(), ..put() };
    world.store.upload_chunks(&theirs, &body[..]).await.unwrap();

    let (outcome, _) = send(&world, Some(Known::new()), &body[..]).await;

    let UploadError::Store(err) = outcome.unwrap_err() else { panic!("another error") };
    assert_eq!(err.kind, s3up_store::Kind::Precondition);
    world.stop().await;
}

/// Sends, and returns what is known then.
async fn send(
    world: &World,
    known: Option<Known>,
    source: impl AsyncRead + Unpin + Send,
) -> (Result<Vec<Chunk>, UploadError>, Known) {
    let (told_parts, _) = watch::channel(0);
    send_telling(world, known, source, &told_parts).await
}

/// The source breaks off after so many bytes, once all whole parts of it have
/// arrived. Returns what is known then.
async fn break_off(world: &World, known: Option<Known>, body: &[u8], at: u64) -> Known {
    let (told_parts, mut parts) = watch::channel(0);
    let all = at / PART;
    let breaking = async move {
        parts.wait_for(|parts| *parts == all).await.expect("somebody counts");
        Err(io::Error::other("killed"))
    };
    let bytes = Bytes::copy_from_slice(&body[..at as usize]);
    let pieces = futures::stream::once(async move { Ok(bytes) });
    let pieces = pieces.chain(futures::stream::once(breaking));
    let source = StreamReader::new(Box::pin(pieces));
    let (outcome, known) = send_telling(world, known, source, &told_parts).await;
    let err = outcome.expect_err("the source broke off");
    assert!(matches!(err, UploadError::Source { .. }), "{err}");
    known
}

async fn send_telling(
    world: &World,
    known: Option<Known>,
    source: impl AsyncRead + Unpin + Send,
    told_parts: &watch::Sender<u64>,
) -> (Result<Vec<Chunk>, UploadError>, Known) {
    let (tell, mut told) = mpsc::channel::<Acknowledged>(2);
    let mut noted = known.clone().unwrap_or_default();
    let taking = async {
        while let Some(acknowledged) = told.recv().await {
            let is_part = matches!(acknowledged, Acknowledged::Part { .. });
            acknowledged.note_in(&mut noted);
            told_parts.send_modify(|parts| *parts += u64::from(is_part));
        }
    };
    let put = put();
    let sending = world.store.upload_chunks_noted(&put, Noted { known, tell }, source);
    let (outcome, ()) = tokio::join!(sending, taking);
    (outcome, noted)
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

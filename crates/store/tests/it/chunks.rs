//! Uploads of one stream as several objects.

use std::io;

use bytes::Bytes;
use s3up_core::part::parts;
use s3up_core::{Key, Sha256Digest};
use s3up_devstore::{Fault, Op};
use s3up_store::{Overwrite, PutChunks, StoreErrorKind, UploadError};
use tokio_util::io::StreamReader;

use crate::fixture::{PART, RETRY_FOR, World, noise};

fn key_of(number: u64) -> Key {
    Key::parse(&format!("chunk-{number}.bin")).expect("a key")
}

fn put(chunk_bytes: u64) -> PutChunks<'static> {
    PutChunks {
        key_of: &key_of,
        chunk_bytes,
        part_bytes: PART,
        chunk_count_max: 100,
        content_type: None,
        metadata: std::collections::BTreeMap::new(),
        overwrite: Overwrite::Allowed,
        storage_class: None,
        in_flight: 3,
        retry_for: RETRY_FOR,
    }
}

#[tokio::test]
async fn a_stream_of_any_length_is_split_exactly() {
    let world = World::start().await;
    let chunk = 2 * PART + 1;
    for chunk_bytes in [1000, PART, chunk] {
        for len in [0, 1, chunk_bytes - 1, chunk_bytes, chunk_bytes + 1, 3 * chunk_bytes] {
            let body = noise(len);

            let chunks = world.store.upload_chunks(&put(chunk_bytes), &body[..]).await.unwrap();

            let ranges: Vec<_> = parts(len, chunk_bytes).collect();
            assert_eq!(chunks.len(), ranges.len(), "{len} in chunks of {chunk_bytes}");
            for (number, (chunk, range)) in (0..).zip(chunks.iter().zip(ranges)) {
                let want = &body[range.start as usize..range.end as usize];
                assert_eq!(chunk.key, key_of(number));
                assert_eq!(chunk.stored.facts.sha256, Sha256Digest::of(want));
                assert_eq!(chunk.part_sha256, sha256_of_parts(want));
                assert!(world.read(chunk.key.as_str()).await.unwrap() == want, "{number}");
            }
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_chunk_that_is_being_completed_does_not_hold_up_the_next() {
    let world = World::start().await;
    let faults = world.s3.faults();
    faults.inject(Op::CompleteMultipartUpload, 1, Fault::Stall);
    let store = world.store.clone();
    let body = noise(5 * PART);

    let upload =
        tokio::spawn(
            async move { store.upload_chunks(&put(2 * PART), &body[..]).await.map(|_| ()) },
        );

    // All parts of both long chunks, and the short last chunk.
    faults.called(Op::UploadPart, 4).await;
    faults.called(Op::PutObject, 1).await;
    faults.called(Op::CompleteMultipartUpload, 1).await;
    assert_eq!(world.head("chunk-0.bin").await, None);
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    faults.called(Op::AbortMultipartUpload, 1).await;
    world.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_leaves_no_half_chunk() {
    let world = World::start().await;
    let pieces = [Ok(Bytes::from(noise(5 * PART))), Err(io::Error::other("btrfs send died"))];
    let broken = StreamReader::new(futures::stream::iter(pieces));

    let err = world.store.upload_chunks(&put(2 * PART), broken).await.unwrap_err();

    assert!(matches!(err, UploadError::Source { .. }), "{err}");
    for whole in ["chunk-0.bin", "chunk-1.bin"] {
        assert_eq!(world.head(whole).await.unwrap().size, 2 * PART);
    }
    assert_eq!(world.head("chunk-2.bin").await, None);
    world.stop().await;
}

#[tokio::test]
async fn a_stream_of_chunks_survives_one_failure_of_any_call() {
    let ops = [
        Op::CreateMultipartUpload,
        Op::UploadPart,
        Op::ListParts,
        Op::CompleteMultipartUpload,
        Op::PutObject,
    ];
    let faults = [
        Fault::InternalError,
        Fault::SlowDown { retry_after_seconds: None },
        Fault::LoseAnswer,
        Fault::LateInternalError,
    ];
    let world = World::start().await;
    let body = noise(4 * PART + 7);
    for (op, fault) in ops.iter().flat_map(|op| faults.iter().map(move |fault| (op, fault))) {
        world.s3.faults().inject(*op, 1, fault.clone());

        let chunks = world.store.upload_chunks(&put(2 * PART), &body[..]).await.unwrap();

        let mut back = Vec::new();
        for chunk in &chunks {
            back.extend(world.read(chunk.key.as_str()).await.unwrap());
        }
        assert!(back == body, "{op:?} {fault:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn more_chunks_than_allowed_are_an_error() {
    let world = World::start().await;
    let two = PutChunks { chunk_count_max: 2, ..put(1000) };

    world.store.upload_chunks(&two, &noise(2000)[..]).await.unwrap();
    let err = world.store.upload_chunks(&two, &noise(2001)[..]).await.unwrap_err();

    assert!(matches!(err, UploadError::TooManyChunks { limit: 2 }), "{err}");
    world.stop().await;
}

#[tokio::test]
async fn a_chunk_that_must_be_new_is_not_overwritten() {
    let world = World::start().await;
    let never = || PutChunks { overwrite: Overwrite::Never, ..put(2 * PART) };
    let (ours, theirs) = (noise(2 * PART + 5), noise(2 * PART));
    world.store.upload_chunks(&never(), &ours[..]).await.unwrap();

    let err = world.store.upload_chunks(&never(), &theirs[..]).await.unwrap_err();

    let UploadError::Store(err) = err else { panic!("{err}") };
    assert_eq!(err.kind, StoreErrorKind::Precondition);
    assert_eq!(world.read("chunk-0.bin").await.unwrap(), ours[..2 * PART as usize]);
    world.stop().await;
}

#[tokio::test]
async fn a_call_that_fails_for_good_ends_the_stream() {
    let world = World::start().await;
    let mut body = noise(6 * PART);
    let once = PutChunks { retry_for: std::time::Duration::ZERO, ..put(2 * PART) };
    for op in [Op::CreateMultipartUpload, Op::UploadPart, Op::CompleteMultipartUpload] {
        // An object of an earlier turn must not pass for one of this turn.
        body.iter_mut().step_by(PART as usize).for_each(|byte| *byte = byte.wrapping_add(1));
        world.s3.faults().inject(op, 2, Fault::InternalError);

        let err = world.store.upload_chunks(&once, &body[..]).await.unwrap_err();

        let UploadError::Store(err) = err else { panic!("{op:?}: {err}") };
        assert_eq!(err.kind, StoreErrorKind::Transient, "{op:?}");
    }
    world.stop().await;
}

fn sha256_of_parts(bytes: &[u8]) -> Vec<Sha256Digest> {
    let part = |range: std::ops::Range<u64>| {
        Sha256Digest::of(&bytes[range.start as usize..range.end as usize])
    };
    parts(bytes.len() as u64, PART).map(part).collect()
}

//! Downloads of several objects as one stream.

use std::sync::Arc;

use s3up_core::Sha256Digest;
use s3up_devstore::{Fault, Op};
use s3up_store::{DownloadSequence, Get, StoreError, StoreErrorKind};

use crate::fixture::{RETRY_FOR, SMALL_PART, World, get, noise, put_small};

/// Lengths of one part, of several, of none, and again of several.
const LENGTHS: [u64; 4] = [1000, 3 * SMALL_PART + 5, 0, 2 * SMALL_PART];

#[tokio::test]
async fn a_sequence_of_objects_is_read_in_order() {
    let (world, gets, whole) = world().await;

    let (bytes, err) = read(world.store.download_sequence(gets)).await;

    assert!(err.is_none() && bytes == whole);
    world.stop().await;
}

#[tokio::test]
async fn the_next_object_is_requested_before_this_one_is_read() {
    let (world, gets, _) = world().await;
    let gets = [gets[0].clone(), gets[1].clone()].map(|get| Get { in_flight: 3, ..get });
    let mut sequence = world.store.download_sequence(gets.into());

    let first = sequence.next().await.unwrap().unwrap();

    assert_eq!((first.object, first.bytes.len()), (0, 1000));
    world.s3.faults().called(Op::GetObject, 3).await;
    drop((sequence, first));
    world.stop().await;
}

#[tokio::test]
async fn a_sequence_survives_one_failure_of_any_range() {
    let faults =
        [Fault::CutBody { after_bytes: 3 }, Fault::InternalError, Fault::Stall, Fault::LoseAnswer];
    for nth in 1..=7 {
        for fault in &faults {
            let (world, gets, whole) = fill(World::impatient().await).await;
            world.s3.faults().inject(Op::GetObject, nth, fault.clone());

            let (bytes, err) = read(world.store.download_sequence(gets)).await;

            assert!(err.is_none() && bytes == whole, "{nth} {fault:?}: {err:?}");
            world.stop().await;
        }
    }
}

#[tokio::test]
async fn a_part_that_is_damaged_in_transit_is_fetched_again() {
    for nth in 1..=7 {
        let (world, gets, whole) = world().await;
        world.s3.faults().inject(Op::GetObject, nth, Fault::FlipByte { offset: 3 });

        let (bytes, err) = read(world.store.download_sequence(gets)).await;

        assert!(err.is_none() && bytes == whole, "{nth}: {err:?}");
        assert_eq!(world.calls(Op::GetObject), 8);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_part_that_is_damaged_at_rest_is_an_error_that_names_key_and_part() {
    let (world, mut gets, whole) = world().await;
    // The same damage twice looks like damage at rest.
    gets[1].in_flight = 1;
    gets[0].in_flight = 1;
    for nth in [3, 4] {
        world.s3.faults().inject(Op::GetObject, nth, Fault::FlipByte { offset: 3 });
    }

    let (bytes, err) = read(world.store.download_sequence(gets)).await;

    let err = err.unwrap();
    assert_eq!((err.kind, err.subject.as_str()), (StoreErrorKind::Corrupt, "object-1"));
    let cause = std::error::Error::source(&err).unwrap().to_string();
    assert!(
        cause.starts_with("part 2 (bytes 32768-65535): SHA-256 mismatch: expected "),
        "{cause}"
    );
    assert!(bytes == whole[..1000 + SMALL_PART as usize], "only the parts before it are returned");
    assert_eq!(world.calls(Op::GetObject), 4);
    world.stop().await;
}

#[tokio::test]
async fn each_object_of_a_sequence_is_verified_as_a_whole() {
    let (world, gets, whole) = world().await;
    let gets: Vec<_> =
        gets.into_iter().map(|get| Get { part_sha256: None, in_flight: 1, ..get }).collect();
    world.s3.faults().inject(Op::GetObject, 3, Fault::FlipByte { offset: 3 });

    let (bytes, err) = read(world.store.download_sequence(gets)).await;

    let err = err.unwrap();
    assert_eq!((err.kind, err.subject.as_str()), (StoreErrorKind::Corrupt, "object-1"));
    assert!(bytes.len() < 1000 + LENGTHS[1] as usize, "its end is not returned");
    assert!(bytes[..1000] == whole[..1000]);
    world.stop().await;
}

async fn world() -> (World, Vec<Get>, Vec<u8>) {
    fill(World::small().await).await
}

async fn fill(world: World) -> (World, Vec<Get>, Vec<u8>) {
    let whole = noise(LENGTHS.iter().sum());
    let mut gets = Vec::new();
    let mut rest = &whole[..];
    for (n, len) in LENGTHS.iter().enumerate() {
        let (body, behind) = rest.split_at(*len as usize);
        rest = behind;
        let key = format!("object-{n}");
        world.store.upload(put_small(&key), body).await.expect("an object");
        let facts = world.head(&key).await.expect("an object");
        let part_sha256: Arc<[_]> =
            body.chunks(SMALL_PART as usize).map(Sha256Digest::of).collect();
        gets.push(Get {
            part_bytes: SMALL_PART,
            part_sha256: Some(part_sha256),
            retry_for: RETRY_FOR,
            ..get(&key, facts)
        });
    }
    (world, gets, whole)
}

async fn read(mut sequence: DownloadSequence) -> (Vec<u8>, Option<StoreError>) {
    let mut bytes = Vec::new();
    loop {
        match sequence.next().await {
            Ok(Some(next)) => bytes.extend_from_slice(&next.bytes),
            Ok(None) => return (bytes, None),
            Err(err) => return (bytes, Some(err)),
        }
    }
}

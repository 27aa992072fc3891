//! Downloads of one object.

use s3up_devstore::{Fault, Op};
use s3up_store::{Get, StoreErrorKind};

use crate::fixture::{PART, World, get, noise, put};

#[tokio::test]
async fn a_broken_connection_resumes_at_its_offset() {
    let world = World::start().await;
    let body = noise(3 * PART);
    world.store.upload(put("a"), &body[..]).await.unwrap();
    let faults = world.s3.faults();
    faults.inject(Op::GetObject, 1, Fault::CutBody { after_bytes: 1000 });
    faults.inject(Op::GetObject, 2, Fault::CutBody { after_bytes: 0 });
    faults.inject(Op::GetObject, 3, Fault::InternalError);

    assert!(world.read("a").await.unwrap() == body);
    assert_eq!(world.calls(Op::GetObject), 6);
    world.stop().await;
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_an_error_before_the_last_bytes() {
    let body = noise(2 * PART + 5);
    for (range, offset) in [(1, 0), (1, PART - 1), (2, 77), (3, 4)] {
        let world = World::start().await;
        world.store.upload(put("a"), &body[..]).await.unwrap();
        world.s3.faults().inject(Op::GetObject, range, Fault::FlipByte { offset });
        let in_order = Get { in_flight: 1, ..get("a", world.head("a").await.unwrap()) };
        let mut download = world.store.download(in_order);
        let mut got = 0;

        let err = loop {
            match download.next().await {
                Ok(Some(bytes)) => got += bytes.len(),
                Ok(None) => panic!("a damaged object passed for an intact one"),
                Err(err) => break err,
            }
        };

        assert_eq!(err.kind, StoreErrorKind::Corrupt);
        assert!(err.to_string().starts_with("get a: "), "{err}");
        assert!(got < body.len());
        drop(download);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_concurrent_overwrite_never_mixes_two_contents() {
    let world = World::start().await;
    world.store.upload(put("a"), &noise(4 * PART)[..]).await.unwrap();
    let facts = world.head("a").await.unwrap();
    let one_at_a_time = Get { in_flight: 1, ..get("a", facts) };
    let mut download = world.store.download(one_at_a_time);
    download.next().await.unwrap();

    world.store.upload(put("a"), &vec![7; 4 * PART as usize][..]).await.unwrap();
    let err = download.next().await.unwrap_err();

    assert_eq!(err.kind, StoreErrorKind::Precondition);
    drop(download);
    world.stop().await;
}

#[tokio::test]
async fn any_range_can_be_read() {
    let world = World::start().await;
    let body = noise(2 * PART);
    world.store.upload(put("a"), &body[..]).await.unwrap();
    let facts = world.head("a").await.unwrap();
    for range in [0..1, 5..5, PART - 1..PART + 1, 100..2 * PART, 2 * PART - 1..2 * PART] {
        let ranged = Get { range: range.clone(), ..get("a", facts.clone()) };
        let mut download = world.store.download(ranged);
        let mut got = Vec::new();
        while let Some(bytes) = download.next().await.unwrap() {
            got.extend_from_slice(&bytes);
        }
        assert!(got == body[range.start as usize..range.end as usize], "{range:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_reader_that_stops_holds_no_more_than_its_ranges_in_flight() {
    let world = World::start().await;
    world.store.upload(put("a"), &noise(20 * PART)[..]).await.unwrap();
    let mut download = world.store.download(get("a", world.head("a").await.unwrap()));

    let first = download.next().await.unwrap();

    assert!(first.is_some());
    assert!(world.store.pool().used_bytes() <= 3 * PART);
    drop((first, download));
    // Running fetches release their buffers when they end.
    while world.store.pool().used_bytes() > 0 {
        tokio::task::yield_now().await;
    }
    world.stop().await;
}

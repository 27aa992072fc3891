//! Uploads that are dropped: a client went away, or the process stops.
//!
//! A future can be dropped at any await. Each test drops its upload after one poll,
//! after two, after three, until one completes; detached tasks abort what was
//! running.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use s3up_core::Key;
use s3up_devstore::{Fault, Op};
use s3up_store::PutChunks;

use crate::fixture::{RETRY_FOR, SMALL_PART, World, noise, put_small};

/// Upper bound for the polls to test: an upload takes about forty.
const POLLS_MAX: usize = 200;

#[tokio::test]
async fn an_upload_leaves_nothing_wherever_it_is_dropped() {
    let body = noise(3 * SMALL_PART + 5);
    for polls in 1..POLLS_MAX {
        let world = World::small().await;

        let upload = world.store.upload(put_small("a"), &body[..]);
        let is_done = dropped_after(polls, upload).await.is_some();

        world.store.wait_for_aborts().await;
        assert_eq!(world.sweep_all().await, 0, "after {polls} polls");
        if world.calls(Op::CompleteMultipartUpload) == 0 {
            assert_eq!(world.head("a").await, None, "after {polls} polls");
        } else if world.head("a").await.is_some() {
            assert!(world.read("a").await.unwrap() == body, "after {polls} polls");
        }
        world.stop().await;
        if is_done {
            return;
        }
    }
    panic!("expected an end after fewer than {POLLS_MAX} polls, found none");
}

#[tokio::test]
async fn a_stream_leaves_only_complete_chunks_wherever_it_is_dropped() {
    let body = noise(5 * SMALL_PART + 5);
    let put = PutChunks {
        chunk_count_max: 100,
        metadata: std::collections::BTreeMap::new(),
        overwrite: s3up_store::Overwrite::Allowed,
        key_of: &|number| Key::parse(&format!("chunk-{number}")).expect("a key"),
        chunk_bytes: 2 * SMALL_PART,
        part_bytes: SMALL_PART,
        content_type: None,
        storage_class: None,
        in_flight: 2,
        retry_for: RETRY_FOR,
    };
    for polls in 1..POLLS_MAX {
        let world = World::small().await;

        let upload = world.store.upload_chunks(&put, &body[..]);
        let is_done = dropped_after(polls, upload).await.is_some();

        world.store.wait_for_aborts().await;
        assert_eq!(world.sweep_all().await, 0, "after {polls} polls");
        for (number, chunk) in body.chunks(2 * SMALL_PART as usize).enumerate() {
            let key = format!("chunk-{number}");
            if world.head(&key).await.is_some() {
                assert!(world.read(&key).await.unwrap() == chunk, "{key} after {polls} polls");
            }
        }
        world.stop().await;
        if is_done {
            return;
        }
    }
    panic!("expected an end after fewer than {POLLS_MAX} polls, found none");
}

#[tokio::test]
async fn an_upload_that_is_dropped_while_it_starts_is_aborted() {
    let world = World::small().await;
    let faults = world.s3.faults();
    // The call is made, and its answer takes a while.
    faults.set_latency(Duration::from_millis(200));
    let body = noise(2 * SMALL_PART);
    {
        let mut upload = pin!(world.store.upload(put_small("a"), &body[..]));
        tokio::select! {
            _ = &mut upload => panic!("S3 has not answered yet"),
            () = faults.called(Op::CreateMultipartUpload, 1) => {}
        }
    }

    world.store.wait_for_aborts().await;

    assert_eq!(world.sweep_all().await, 0);
    world.stop().await;
}

#[tokio::test]
async fn a_start_that_is_never_answered_does_not_block_the_end_of_a_process() {
    let world = World::small().await;
    let faults = world.s3.faults();
    faults.inject(Op::CreateMultipartUpload, 1, Fault::Stall);
    let body = noise(2 * SMALL_PART);
    {
        let mut upload = pin!(world.store.upload(put_small("a"), &body[..]));
        tokio::select! {
            _ = &mut upload => panic!("S3 has not answered yet"),
            () = faults.called(Op::CreateMultipartUpload, 1) => {}
        }
    }

    let settled = tokio::time::timeout(RETRY_FOR, world.store.wait_for_aborts()).await;

    assert!(settled.is_ok(), "a call may take a minute, the end of a process may not");
    world.stop().await;
}

/// Returns the result, if it took no more than `polls` polls.
async fn dropped_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut polled = 0;
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            polled += 1;
            if polled == polls { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

//! Uploads and downloads that find no free buffer.

use std::pin::pin;
use std::time::Duration;

use s3up_devstore::Op;
use s3up_store::{Get, Put, UploadError};

use crate::fixture::{SMALL_PART, World, get, noise, put_small};

/// Time in which a call that gives up has done so.
const MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_upload_in_progress_waits_for_buffers_and_a_new_one_is_refused() {
    let world = World::small().await;
    let store = world.store.with_buffer_budget(2 * SMALL_PART);
    let body = noise(5 * SMALL_PART);
    let impatient = |key| Put { buffer_wait: Some(Duration::ZERO), ..put_small(key) };
    let held = [1, 2].map(|call| world.s3.faults().hold_op(Op::UploadPart, call));

    let mut upload = pin!(store.upload(impatient("a"), &body[..]));
    let both_held = async {
        held[0].reached().await;
        held[1].reached().await;
    };
    tokio::select! {
        uploaded = &mut upload => panic!("it needs a third buffer: {uploaded:?}"),
        () = both_held => {}
    }
    assert!(tokio::time::timeout(MOMENT, &mut upload).await.is_err(), "it waits");
    let refused = store.upload(impatient("b"), &b"x"[..]).await;
    assert!(matches!(refused, Err(UploadError::Buffers { .. })), "{refused:?}");
    for held in held {
        held.release();
    }

    upload.await.expect("an upload");
    assert!(world.read("a").await.expect("an object") == body);
    world.stop().await;
}

#[tokio::test]
async fn a_download_in_progress_waits_for_buffers_and_a_new_one_is_refused() {
    let world = World::small().await;
    let store = world.store.with_buffer_budget(SMALL_PART);
    let body = noise(3 * SMALL_PART);
    store.upload(put_small("a"), &body[..]).await.expect("an upload");
    let facts = world.head("a").await.expect("facts");
    let impatient = || {
        let get = get("a", facts.clone());
        Get { part_bytes: SMALL_PART, buffer_wait: Some(Duration::ZERO), ..get }
    };

    let mut download = store.download(impatient());
    let first = download.next().await.expect("bytes").expect("bytes");
    let mut second = pin!(download.next());
    assert!(tokio::time::timeout(MOMENT, &mut second).await.is_err(), "it waits");
    assert!(store.download(impatient()).next().await.is_err(), "a new one is refused");
    let mut read = first.to_vec();
    drop(first);
    read.extend_from_slice(&second.await.expect("bytes").expect("bytes"));

    assert!(read == body[..read.len()] && read.len() > SMALL_PART as usize);
    world.stop().await;
}

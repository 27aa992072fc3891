//! The operations during which a call fails, and the checks of the bucket after
//! them.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use s3up_core::Key;
use s3up_store::{
    ArchiveState, Get, Overwrite, PutChunks, PutDocument, StoreError, ThawRequest, Tier,
    UploadError,
};
use s3up_testkit::CLOCK;

use crate::fixture::{RETRY_FOR, SMALL_PART, World, get, noise, put_small};

pub fn nothing(_: &World) -> BoxFuture<'_, ()> {
    futures::future::ready(()).boxed()
}

pub async fn upload(world: &World, len: u64, retry_for: Duration) -> Result<(), String> {
    let body = noise(len);
    let put = s3up_store::Put { retry_for, ..put_small("a") };
    world.store.upload(put, &body[..]).await.map_err(message)?;
    Ok(())
}

pub async fn is_stored(world: &World, len: u64) {
    assert!(world.read("a").await.expect("what was uploaded") == noise(len));
}

pub async fn upload_chunks(world: &World, retry_for: Duration) -> Result<(), String> {
    let body = noise(5 * SMALL_PART + 3);
    let put = PutChunks {
        chunk_count_max: 100,
        metadata: std::collections::BTreeMap::new(),
        overwrite: s3up_store::Overwrite::Allowed,
        key_of: &|number| key(&format!("chunk-{number}")),
        chunk_bytes: 2 * SMALL_PART,
        part_bytes: SMALL_PART,
        content_type: None,
        storage_class: None,
        in_flight: 2,
        retry_for,
    };
    let chunks = world.store.upload_chunks(&put, &body[..]).await.map_err(message)?;
    assert_eq!(chunks.len(), 3);
    Ok(())
}

pub async fn chunks_are_stored(world: &World) {
    let mut back = Vec::new();
    for number in 0..3 {
        back.extend(world.read(&format!("chunk-{number}")).await.expect("a chunk"));
    }
    assert!(back == noise(5 * SMALL_PART + 3));
}

pub async fn publish_first(world: &World) {
    let manifest = document("manifest-1", Overwrite::Never, RETRY_FOR);
    world.store.write(manifest, b"first").await.expect("a manifest");
    let pointer = document("pointer", Overwrite::Never, RETRY_FOR);
    world.store.write(pointer, b"manifest-1").await.expect("a pointer");
}

/// Writes a new manifest, and then the pointer to it.
pub async fn publish_second(world: &World, retry_for: Duration) -> Result<(), String> {
    let store = &world.store;
    let old = store.read(&key("pointer"), 100, retry_for).await.map_err(store_message)?;
    let etag = old.expect("a pointer").facts.etag;
    let manifest = document("manifest-2", Overwrite::Never, retry_for);
    store.write(manifest, b"second").await.map_err(message)?;
    let pointer = document("pointer", Overwrite::Only { etag }, retry_for);
    store.write(pointer, b"manifest-2").await.map_err(message)?;
    Ok(())
}

pub async fn is_published(world: &World) {
    assert_eq!(world.read("manifest-2").await.expect("a manifest"), b"second");
    assert_eq!(world.read("pointer").await.expect("a pointer"), b"manifest-2");
}

pub async fn prepare_object(world: &World) {
    let body = noise(2 * SMALL_PART + 5);
    world.store.upload(put_small("a"), &body[..]).await.expect("an object");
}

pub async fn download(world: &World, retry_for: Duration) -> Result<(), String> {
    let facts = world.store.head(&key("a"), None, retry_for).await.map_err(store_message)?;
    let facts = facts.expect("an object");
    let get = Get { part_bytes: SMALL_PART, retry_for, ..get("a", facts) };
    let mut download = world.store.download(get);
    let mut bytes = Vec::new();
    while let Some(next) = download.next().await.map_err(store_message)? {
        bytes.extend_from_slice(&next);
    }
    assert!(bytes == noise(2 * SMALL_PART + 5));
    Ok(())
}

pub async fn read(world: &World, retry_for: Duration) -> Result<(), String> {
    let read = world.store.read(&key("pointer"), 100, retry_for).await.map_err(store_message)?;
    assert_eq!(read.expect("a pointer").bytes, b"manifest-1");
    Ok(())
}

pub async fn list(world: &World, retry_for: Duration) -> Result<(), String> {
    let mut listing = world.store.list("manifest", retry_for);
    let page = listing.next_page().await.map_err(store_message)?.expect("a page");
    assert_eq!((page.len(), page[0].key.as_str()), (1, "manifest-1"));
    Ok(())
}

pub async fn delete(world: &World, retry_for: Duration) -> Result<(), String> {
    world.store.delete(&key("a"), retry_for).await.map_err(store_message)
}

pub async fn is_gone(world: &World) {
    assert_eq!(world.head("a").await, None);
}

pub async fn delete_many(world: &World, retry_for: Duration) -> Result<(), String> {
    let keys = ["manifest-1", "pointer"].map(key);
    let left = world.store.delete_many(&keys, retry_for).await.map_err(store_message)?;
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

pub async fn is_all_gone(world: &World) {
    for key in ["manifest-1", "pointer"] {
        assert_eq!(world.head(key).await, None, "{key}");
    }
}

pub async fn archive(world: &World) {
    world.s3.set_restore_delay(Duration::from_secs(3600));
    for key in ["cold/1", "cold/2"] {
        let storage_class = Some("GLACIER".to_owned());
        let put = s3up_store::Put { storage_class, ..put_small(key) };
        world.store.upload(put, &b"x"[..]).await.expect("an object");
    }
}

pub async fn thaw(world: &World, retry_for: Duration) -> Result<(), String> {
    let thaw = ThawRequest { tier: Tier::Bulk, days: 1, speeds_up: false, in_flight: 2, retry_for };
    let keys = ["cold/1", "cold/2"].map(key);
    let thawed = world.store.thaw(&keys, &thaw, world.s3.now()).await.map_err(store_message)?;
    thawed.into_iter().try_for_each(|it| it.outcome.map(drop)).map_err(store_message)
}

pub async fn is_requested(world: &World) {
    let keys = ["cold/1", "cold/2"].map(key);
    let states = world.store.archive_states(&keys, 2, RETRY_FOR, world.s3.now()).await;
    let states = states.expect("states");
    assert!(states.values().all(|state| *state == ArchiveState::InProgress), "{states:?}");
}

pub async fn leave_uploads(world: &World) {
    for n in 0..3 {
        world.leave_upload(&format!("a/{n}")).await;
    }
}

pub async fn sweep(world: &World, retry_for: Duration) -> Result<(), String> {
    let later = CLOCK.now() + Duration::from_secs(3600);
    world.store.sweep("a/", later, retry_for).await.map_err(store_message).map(drop)
}

pub fn document(name: &str, overwrite: Overwrite, retry_for: Duration) -> PutDocument {
    PutDocument {
        metadata: std::collections::BTreeMap::new(),
        key: key(name),
        content_type: "text/plain",
        storage_class: None,
        overwrite,
        retry_for,
    }
}

pub fn key(name: &str) -> Key {
    Key::parse(name).expect("a key")
}

pub fn message(err: UploadError) -> String {
    s3up_core::error_chain(&err)
}

pub fn store_message(err: StoreError) -> String {
    s3up_core::error_chain(&err)
}

//! Documents, listings, deletes and sweeps.

use std::time::Duration;

use futures::StreamExt;
use s3up_core::{Key, Sha256Digest};
use s3up_devstore::{Fault, Op};
use s3up_store::{Get, Overwrite, PutDocument, SWEEP_AGE, StoreError, StoreErrorKind, UploadError};
use s3up_testkit::CLOCK;

use crate::fixture::{PART, RETRY_FOR, World, get, noise, put};

fn document(key: &str, overwrite: Overwrite) -> PutDocument {
    PutDocument {
        key: Key::parse(key).expect("a key"),
        content_type: "application/json",
        metadata: std::collections::BTreeMap::new(),
        storage_class: Some("STANDARD_IA".to_owned()),
        overwrite,
        retry_for: RETRY_FOR,
    }
}

#[tokio::test]
async fn a_document_is_replaced_only_by_a_writer_that_read_it() {
    let world = World::start().await;
    let key = Key::parse("current.json").unwrap();
    let store = &world.store;
    assert!(store.read(&key, 100, RETRY_FOR).await.unwrap().is_none());
    store.write(document("current.json", Overwrite::Never), b"one").await.unwrap();
    let read = store.read(&key, 100, RETRY_FOR).await.unwrap().unwrap();
    assert_eq!(read.bytes, b"one");
    assert_eq!(read.facts.storage_class.as_deref(), Some("STANDARD_IA"));
    let only = Overwrite::Only { etag: read.facts.etag };

    store.write(document("current.json", only.clone()), b"two").await.unwrap();
    let late = store.write(document("current.json", only), b"three").await;

    assert_eq!(kind(late), StoreErrorKind::Precondition);
    let again = store.write(document("current.json", Overwrite::Never), b"four").await;
    assert_eq!(kind(again), StoreErrorKind::Precondition);
    assert_eq!(store.read(&key, 100, RETRY_FOR).await.unwrap().unwrap().bytes, b"two");
    let short = store.read(&key, 2, RETRY_FOR).await.unwrap_err();
    assert_eq!(short.kind, StoreErrorKind::TooLong);
    world.stop().await;
}

#[tokio::test]
async fn metadata_is_replaced_without_the_content() {
    let world = World::start().await;
    let (store, key) = (&world.store, Key::parse("a dir/ä+%41").unwrap());
    store.write(document(key.as_str(), Overwrite::Allowed), b"content").await.unwrap();
    let before = store.head(&key, None, RETRY_FOR).await.unwrap().unwrap();
    let metadata: std::collections::BTreeMap<_, _> =
        [("mode".to_owned(), "0600".to_owned())].into();
    for loses_answer in [false, true] {
        let found = store.head(&key, None, RETRY_FOR).await.unwrap().unwrap();
        if loses_answer {
            world.s3.faults().inject(Op::CopyObject, 1, Fault::LoseAnswer);
        }

        let now = store.replace_metadata(&key, &found, &metadata, RETRY_FOR).await.unwrap();

        assert_eq!(now.metadata, metadata);
        assert_eq!(now.content_type, before.content_type);
        assert_eq!(now.storage_class, before.storage_class);
    }
    assert_eq!(world.read(key.as_str()).await.unwrap(), b"content");

    store.write(document(key.as_str(), Overwrite::Allowed), b"newer").await.unwrap();
    let late = store.replace_metadata(&key, &before, &metadata, RETRY_FOR).await;

    assert_eq!(late.unwrap_err().kind, StoreErrorKind::Precondition);
    assert_eq!(world.read(key.as_str()).await.unwrap(), b"newer");
    world.stop().await;
}

#[tokio::test]
async fn a_conditional_write_with_a_lost_answer_counts_as_stored() {
    let world = World::start().await;
    let store = &world.store;
    for fault in [Fault::LoseAnswer, Fault::LateInternalError] {
        let stored = store.write(document("a", Overwrite::Allowed), b"before").await.unwrap();
        world.s3.faults().inject(Op::PutObject, 1, fault);

        let only = Overwrite::Only { etag: stored.etag };
        store.write(document("a", only), b"after").await.unwrap();

        assert_eq!(world.read("a").await.unwrap(), b"after");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_directory_has_what_is_directly_in_it_on_every_page() {
    let world = World::start().await;
    let store = &world.store;
    for key in ["a/x", "a/y+ä %41", "a/b/1", "a/b/2", "a/c d/1", "ab", "a"] {
        store.write(document(key, Overwrite::Allowed), b"x").await.unwrap();
    }
    let (mut directories, mut objects, mut token) = (Vec::new(), Vec::new(), None);
    let mut pages = 0;
    loop {
        let page = store.list_directory("a/", token.as_deref(), 2, RETRY_FOR).await.unwrap();
        directories.extend(page.directories);
        objects.extend(page.objects.into_iter().map(|object| object.key));
        pages += 1;
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!((directories, pages), (vec!["a/b/".to_owned(), "a/c d/".to_owned()], 2));
    assert_eq!(objects, ["a/x", "a/y+ä %41"]);
    let wrong = store.list_directory("a/", Some("no token"), 2, RETRY_FOR).await;
    assert_eq!(wrong.unwrap_err().kind, StoreErrorKind::Permanent);
    world.stop().await;
}

#[tokio::test]
async fn a_listing_has_every_page() {
    let world = World::start().await;
    for n in 0..1001 {
        let put = document(&format!("many/{n:04}"), Overwrite::Allowed);
        world.store.write(put, b"x").await.unwrap();
    }
    world.store.write(document("other", Overwrite::Allowed), b"x").await.unwrap();

    let mut listing = world.store.list("many/", RETRY_FOR);
    let mut pages = Vec::new();
    while let Some(page) = listing.next_page().await.unwrap() {
        pages.push(page);
    }

    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1]);
    assert_eq!(pages[1][0].key, "many/1000");
    assert_eq!((pages[1][0].size, pages[1][0].storage_class.as_deref()), (1, Some("STANDARD_IA")));
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_object_is_gone_and_may_be_deleted_again() {
    let world = World::start().await;
    let key = Key::parse("a").unwrap();
    world.store.write(document("a", Overwrite::Allowed), b"x").await.unwrap();

    world.store.delete(&key, RETRY_FOR).await.unwrap();
    world.store.delete(&key, RETRY_FOR).await.unwrap();

    assert_eq!(world.head("a").await, None);
    world.stop().await;
}

#[tokio::test]
async fn a_sweep_aborts_only_old_uploads_below_the_prefix() {
    let world = World::start().await;
    let ours = world.store.stage(put("ours/a"), &noise(PART + 1)[..]).await.unwrap();
    let other = world.store.stage(put("other/a"), &noise(PART + 1)[..]).await.unwrap();
    let hour = Duration::from_secs(3600);

    let young = world.store.sweep("ours/", CLOCK.now() - hour, RETRY_FOR).await.unwrap();
    let old = world.store.sweep("ours/", CLOCK.now() + hour, RETRY_FOR).await.unwrap();

    assert_eq!((young, old), (0, 1));
    assert_eq!(ours.commit().await.unwrap_err().kind, StoreErrorKind::NoUpload);
    other.commit().await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_sweep_sees_every_page() {
    let world = World::small().await;
    let client = &world.raw_client();
    let leave = (0..1001).map(|n| async move {
        let create = client.create_multipart_upload().bucket("backups");
        create.key(format!("ours/{n:04}")).send().await.unwrap();
    });
    futures::stream::iter(leave).buffer_unordered(16).collect::<Vec<()>>().await;
    let later = CLOCK.now() + Duration::from_secs(3600);

    let young = world.store.sweep("ours/", later - SWEEP_AGE, RETRY_FOR).await.unwrap();
    let swept = world.store.sweep("ours/", later, RETRY_FOR).await.unwrap();

    assert_eq!((young, swept), (0, 1001));
    assert_eq!(world.calls(Op::ListMultipartUploads), 4);
    assert_eq!(world.sweep_all().await, 0);
    world.stop().await;
}

#[tokio::test]
async fn a_part_with_a_wrong_digest_is_not_returned() {
    let world = World::start().await;
    let body = noise(2 * PART + 5);
    world.store.upload(put("a"), &body[..]).await.unwrap();
    let facts = world.head("a").await.unwrap();
    let good: Vec<_> = body.chunks(PART as usize).map(Sha256Digest::of).collect();
    for wrong in 0..3 {
        let mut digests = good.clone();
        digests[wrong] = Sha256Digest::of(b"else");

        let outcome =
            read(&world, Get { part_sha256: Some(digests.into()), ..get("a", facts.clone()) });
        let (bytes, err) = outcome.await;

        let err = err.unwrap();
        assert_eq!(err.kind, StoreErrorKind::Corrupt);
        let cause = std::error::Error::source(&err).unwrap().to_string();
        assert!(cause.starts_with(&format!("part {} (bytes ", wrong + 1)), "{cause}");
        assert_eq!(bytes, wrong as u64 * PART, "only the parts before it are returned");
    }
    let (bytes, err) =
        read(&world, Get { part_sha256: Some(good.into()), ..get("a", facts) }).await;
    assert_eq!((bytes, err.is_none()), (2 * PART + 5, true));
    world.stop().await;
}

async fn read(world: &World, get: Get) -> (u64, Option<StoreError>) {
    let mut download = world.store.download(get);
    let mut bytes = 0;
    loop {
        match download.next().await {
            Ok(Some(next)) => bytes += next.len() as u64,
            Ok(None) => return (bytes, None),
            Err(err) => return (bytes, Some(err)),
        }
    }
}

fn kind<T>(outcome: Result<T, UploadError>) -> StoreErrorKind {
    match outcome {
        Err(UploadError::Store(err)) => err.kind,
        Err(err) => panic!("{err}"),
        Ok(_) => panic!("it was stored"),
    }
}

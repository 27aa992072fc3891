//! Servers that differ from S3, as the embedded one behaves like them: what the store
//! finds out about each, and that its guarantees hold there or their loss is said.

use s3up_core::{Key, KeyPrefix};
use s3up_devstore::{Behaviours, CompletionETag, ConditionBehaviour, Fault, Like, Op};
use s3up_store::{
    Archive, ArchiveState, Condition, Length, Overwrite, Put, PutDocument, Settings, Store,
    StoreError, StoreErrorKind, UploadError, is_etag_reported,
};
use s3up_testkit::CLOCK;

use crate::fixture::{RETRY_FOR, SMALL_PART, World, noise, put, put_small, settings};

fn key(text: &str) -> Key {
    Key::parse(text).expect("a key")
}

fn prefix() -> KeyPrefix {
    KeyPrefix::parse("nas").expect("a prefix")
}

fn only(etag: &str) -> Overwrite {
    Overwrite::Only { etag: etag.to_owned() }
}

async fn write(store: &Store, overwrite: Overwrite, text: &str) -> Result<String, UploadError> {
    let put = PutDocument {
        key: key("nas/pointer"),
        content_type: "text/plain",
        metadata: Default::default(),
        storage_class: None,
        overwrite,
        retry_for: RETRY_FOR,
    };
    store.write(put, text.as_bytes()).await.map(|stored| stored.etag)
}

fn kind(err: UploadError) -> StoreErrorKind {
    let UploadError::Store(err) = err else { panic!("{err}") };
    err.kind
}

fn chain(err: &dyn std::error::Error) -> String {
    s3up_core::error_chain(err)
}

async fn another(world: &World, edit: impl Fn(Settings) -> Settings) -> Store {
    Store::connect(edit(settings(world.s3.endpoint()))).await.expect("a store")
}

/// Each time, the store reads the pointer and replaces what it read.
#[tokio::test]
async fn a_pointer_is_replaced_again_and_again_on_every_server() {
    for like in Like::ALL {
        for is_probed in [true, false] {
            let world = World::like(like).await;
            if is_probed {
                world.store.probe_conditions(&prefix(), RETRY_FOR).await;
            }
            write(&world.store, Overwrite::Never, "0").await.expect("a new pointer");
            for text in ["1", "22", "333"] {
                let read = world.head("nas/pointer").await.expect("a pointer").etag;
                let written = write(&world.store, only(&read), text).await;
                written.unwrap_or_else(|err| panic!("{like:?} {is_probed}: {}", chain(&err)));
                assert_eq!(world.read("nas/pointer").await.unwrap(), text.as_bytes(), "{like:?}");
            }
            world.stop().await;
        }
    }
}

/// The version that another host replaced in between is not replaced, on a server
/// that was probed.
#[tokio::test]
async fn a_pointer_that_changed_is_replaced_on_no_server() {
    for like in Like::ALL {
        let world = World::like(like).await;
        world.store.probe_conditions(&prefix(), RETRY_FOR).await;
        write(&world.store, Overwrite::Never, "0").await.expect("a new pointer");
        let read = world.head("nas/pointer").await.expect("a pointer").etag;
        write(&world.store, only(&read), "of another host").await.expect("a pointer");

        let stale = write(&world.store, only(&read), "ours").await.unwrap_err();
        let new = write(&world.store, Overwrite::Never, "ours").await.unwrap_err();

        assert_eq!(kind(stale), StoreErrorKind::Precondition, "{like:?}");
        assert_eq!(kind(new), StoreErrorKind::Precondition, "{like:?}");
        assert_eq!(world.read("nas/pointer").await.unwrap(), b"of another host", "{like:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn each_condition_is_probed_on_its_own_call() {
    use Condition::{Honoured, HonouredUnquoted, Ignored, Refused};
    #[rustfmt::skip]
    let cases = [
        // server          PUT: new  PUT: ETag         completion: new  completion: ETag
        (Like::Rgw,       [Honoured, HonouredUnquoted, Ignored,         Ignored]),
        (Like::Swift,     [Refused,  Refused,          Honoured,        Honoured]),
        (Like::SeaweedFs, [Honoured, Honoured,         Honoured,        Honoured]),
        (Like::JuiceFs,   [Ignored,  Ignored,          Ignored,         Ignored]),
    ];
    for (like, want) in cases {
        let world = World::like(like).await;
        for _ in 0..2 {
            let store = another(&world, |settings| settings).await;
            let found = store.probe_completions(&prefix(), RETRY_FOR).await;
            let found = [
                found.put_if_none_match,
                found.put_if_match,
                found.complete_if_none_match,
                found.complete_if_match,
            ];
            assert_eq!(found, want, "{like:?}");
        }
        assert_eq!(world.s3.uploads("backups"), Vec::<String>::new(), "{like:?}");
        world.stop().await;
    }
}

/// On RGW, `overwrite: never` of a file of several parts would replace it silently.
#[tokio::test]
async fn a_file_of_several_parts_is_not_overwritten_where_completions_ignore_conditions() {
    let world = World::like(Like::Rgw).await;
    world.store.probe_completions(&prefix(), RETRY_FOR).await;
    let new = || Put { overwrite: Overwrite::Never, ..put_small("a") };
    let first = noise(2 * SMALL_PART + 5);
    world.store.upload(new(), &first[..]).await.expect("a new file");

    let second = world.store.upload(new(), &noise(3 * SMALL_PART)[..]).await.unwrap_err();

    assert_eq!(kind(second), StoreErrorKind::Precondition);
    assert_eq!(world.read("a").await.unwrap(), first);
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    world.stop().await;
}

/// RGW answers a completion with an empty ETag, and rclone with another one.
#[tokio::test]
async fn what_an_answer_lacks_is_asked_for() {
    for completion_etag in [CompletionETag::Empty, CompletionETag::Other] {
        let checksums = Like::Rgw.behaviours().checksums;
        let behaviours = Behaviours { completion_etag, checksums, ..Behaviours::default() };
        let world = World::behaving(behaviours).await;

        let stored = world.store.upload(put_small("a"), &noise(2 * SMALL_PART + 5)[..]).await;

        let etag = stored.expect("an object").etag;
        assert!(is_etag_reported(&etag), "{etag}");
        assert_eq!(etag, world.head("a").await.expect("an object").etag);
        world.stop().await;
    }
}

/// The write has succeeded: it is neither repeated nor reported as failed.
#[tokio::test]
async fn an_etag_that_cannot_be_asked_for_stays_untold() {
    let checksums = Like::Rgw.behaviours().checksums;
    let completion_etag = CompletionETag::Empty;
    let behaviours = Behaviours { completion_etag, checksums, ..Behaviours::default() };
    let world = World::behaving(behaviours).await;
    world.s3.faults().inject(Op::HeadObject, 1, Fault::AccessDenied);
    world.s3.faults().inject(Op::GetObject, 1, Fault::AccessDenied);

    let stored = world.store.upload(put_small("a"), &noise(2 * SMALL_PART + 5)[..]).await;

    assert!(!is_etag_reported(&stored.expect("an object").etag));
    assert_eq!(world.calls(Op::CompleteMultipartUpload), 1);
    world.stop().await;
}

/// SeaweedFS lists a part once for each time that it was sent.
#[tokio::test]
async fn a_part_that_is_listed_twice_does_not_fail_the_upload() {
    let world = World::like(Like::SeaweedFs).await;
    world.s3.faults().inject(Op::UploadPart, 1, Fault::LateInternalError);
    let body = noise(2 * SMALL_PART + 5);

    world.store.upload(put_small("a"), &body[..]).await.expect("an object");

    assert_eq!(world.read("a").await.unwrap(), body);
    world.stop().await;
}

#[tokio::test]
async fn an_object_that_is_archived_in_name_only_needs_no_thaw() {
    for like in [Like::Rgw, Like::SeaweedFs, Like::Rclone] {
        let world = World::like(like).await;
        for name in ["cold/a", "cold/b"] {
            let put = Put { storage_class: Some("DEEP_ARCHIVE".to_owned()), ..put_small(name) };
            world.store.upload(put, &noise(10)[..]).await.expect("an object");
        }
        let keys = [key("cold/a"), key("cold/b")];

        let states = world.store.archive_states(&keys, 2, RETRY_FOR, CLOCK.now()).await;

        let states: Vec<_> = states.expect("states").into_values().collect();
        assert_eq!(states, [ArchiveState::NotArchived; 2], "{like:?}");
        assert_eq!(world.store.capabilities().archive, Archive::InNameOnly);
        assert_eq!(world.calls(Op::RestoreObject), 0);
        world.stop().await;
    }
}

#[tokio::test]
async fn objects_of_a_server_that_archives_stay_archived_after_one_question() {
    let world = World::start().await;
    for name in ["cold/a", "cold/b"] {
        let put = Put { storage_class: Some("DEEP_ARCHIVE".to_owned()), ..put_small(name) };
        world.store.upload(put, &noise(10)[..]).await.expect("an object");
    }
    let keys = [key("cold/a"), key("cold/b")];

    for _ in 0..2 {
        let states = world.store.archive_states(&keys, 2, RETRY_FOR, CLOCK.now()).await;
        let states: Vec<_> = states.expect("states").into_values().collect();
        assert_eq!(states, [ArchiveState::Archived; 2]);
    }

    assert_eq!(world.calls(Op::GetObject), 1);
    world.stop().await;
}

/// A JuiceFS gateway returns no ETag in HEAD.
#[tokio::test]
async fn an_object_without_an_etag_can_be_read() {
    let world = World::like(Like::JuiceFs).await;
    let body = noise(3 * SMALL_PART);
    world.store.upload(put_small("a"), &body[..]).await.expect("an object");

    let found = world.head("a").await.expect("an object");

    assert!(!is_etag_reported(&found.etag));
    assert_eq!(found.size, body.len() as u64);
    assert_eq!(world.read("a").await.unwrap(), body);
    assert_eq!(world.store.capabilities().head_has_etag, Some(false));
    world.stop().await;
}

/// The answer of rclone to CreateMultipartUpload cannot be read, however often it is
/// asked.
#[tokio::test]
async fn an_answer_that_cannot_be_read_twice_is_final() {
    let world = World::like(Like::Rclone).await;

    let body = noise(2 * SMALL_PART);
    let err = world.store.upload(put_small("a"), &body[..]).await.unwrap_err();

    assert_eq!(kind(err), StoreErrorKind::Unreadable);
    assert_eq!(world.calls(Op::CreateMultipartUpload), 2);
    world.stop().await;
}

#[tokio::test]
async fn a_refused_part_names_the_key_for_fewer_parts() {
    let world = World::like(Like::Swift).await;
    let many = Put { part_bytes: 1, length: Length::AtMost(2000), ..put("a") };

    let err = world.store.upload(many, &noise(1001)[..]).await.unwrap_err();

    assert!(chain(&err).contains("set `parts_max` to 1000"), "{}", chain(&err));
    assert_eq!(world.store.capabilities().parts_max, Some(1000));
    world.stop().await;
}

/// A server that honours the conditions and refuses the right ETag in any spelling.
#[tokio::test]
async fn a_refusal_of_a_condition_that_holds_blames_no_other_host() {
    let behaviours = Behaviours::with_conditions(ConditionBehaviour::BareETag);
    let world = World::behaving(behaviours).await;
    write(&world.store, Overwrite::Never, "0").await.expect("a new pointer");
    let read = world.head("nas/pointer").await.expect("a pointer").etag;

    write(&world.store, only(&read), "1").await.expect("a pointer");

    assert_eq!(world.store.conditions().put_if_match, Condition::HonouredUnquoted);
    // A refusal, a look, and the write.
    assert_eq!(world.calls(Op::PutObject), 3);
    world.stop().await;
}

/// HEAD has no body, so a wrong key would look like a missing right.
#[tokio::test]
async fn a_head_that_is_denied_is_explained_by_a_call_with_a_body() {
    let world = World::start().await;
    let wrong = s3up_store::Credentials::Explicit {
        access_key_id: s3up_devstore::Options::ACCESS_KEY_ID.to_owned(),
        secret_access_key: "wrong".to_owned(),
    };
    let store = another(&world, |settings| Settings { credentials: wrong.clone(), ..settings });

    let err: StoreError = store.await.head(&key("a"), None, RETRY_FOR).await.unwrap_err();

    assert_eq!(err.kind, StoreErrorKind::BadCredentials, "{}", chain(&err));
    world.stop().await;
}

/// A first body that is refused for another reason blames no checksum.
#[tokio::test]
async fn a_refusal_for_another_reason_leaves_the_checksum_on() {
    let world = World::like(Like::Rgw).await;
    let put =
        |class: Option<&str>| Put { storage_class: class.map(str::to_owned), ..put_small("a") };
    let refused = world.store.upload(put(Some("GLACIER_IR")), &noise(10)[..]).await.unwrap_err();
    assert!(chain(&refused).contains("storage class GLACIER_IR"), "{}", chain(&refused));

    world.store.upload(put(None), &noise(10)[..]).await.expect("an object");

    let headers = world.s3.faults().headers(Op::PutObject, 3).expect("its headers");
    assert!(headers.contains_key("x-amz-checksum-crc64nvme"));
    world.stop().await;
}

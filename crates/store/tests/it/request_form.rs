//! Short objects that are stored and fetched in the form of a call that the SDK made before.

use std::collections::BTreeMap;

use s3up_core::Sha256Digest;
use s3up_devstore::{Fault, Op};
use s3up_store::{Put, Settings, Sse, Store};

use crate::fixture::{World, put, settings};
use crate::proxy::Proxy;

/// The header fields that differ between two calls, or between the SDK and us.
const OF_ONE_CALL: [&str; 8] = [
    "authorization",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-checksum-crc64nvme",
    "x-amz-meta-sha256",
    "user-agent",
    "x-amz-user-agent",
    "content-length",
];

fn fields(world: &World, call: u64) -> BTreeMap<String, String> {
    let headers = world.s3.faults().headers(Op::PutObject, call).expect("a call");
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

/// Returns true if a PUT was made by the SDK.
fn is_of_sdk(world: &World, call: u64) -> bool {
    fields(world, call)["user-agent"].starts_with("aws-sdk-rust/")
}

#[tokio::test]
async fn the_next_short_objects_have_the_fields_of_the_first_one() {
    let world = World::with(|settings| Settings {
        sse: Sse::Kms { key_id: Some("key-1".to_owned()) },
        storage_class: Some("STANDARD_IA".to_owned()),
        ..settings
    })
    .await;
    let metadata = [("mode", "0644"), ("path", "a%20b")];
    let described = |key: &str| Put {
        content_type: Some("image/png".to_owned()),
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..put(key)
    };
    let keys = ["first", "second", "folder/ü +&?#%~'()*!@:,;=$", "a.b_c~d"];
    for key in keys {
        world.store.upload(described(key), key.as_bytes()).await.expect("an upload");
    }

    assert!(is_of_sdk(&world, 1));
    let without = |mut fields: BTreeMap<String, String>| {
        fields.retain(|name, _| {
            !OF_ONE_CALL.contains(&name.as_str()) && !name.starts_with("amz-sdk-")
        });
        fields
    };
    for (key, call) in keys.iter().zip(1..) {
        assert_eq!(is_of_sdk(&world, call), call == 1, "{key}");
        let sent = fields(&world, call);
        let sha256 = Sha256Digest::of(key.as_bytes()).to_string();
        assert_eq!(sent["x-amz-meta-sha256"], sha256);
        assert_eq!(sent["content-length"], key.len().to_string());
        assert!(sent.contains_key("x-amz-checksum-crc64nvme"));
        if call > 1 {
            assert_eq!(sent["x-amz-content-sha256"], sha256, "the payload is signed");
        }
        assert_eq!(without(sent), without(fields(&world, 1)), "{key}");
        assert_eq!(world.read(key).await.expect("an object"), key.as_bytes());
        let facts = world.head(key).await.expect("facts");
        assert_eq!(facts.content_type.as_deref(), Some("image/png"));
    }
    world.stop().await;
}

#[tokio::test]
async fn an_error_of_s3_is_left_to_the_sdk_and_the_form_is_learned_again() {
    let world = World::start().await;
    world.store.upload(put("a"), &b"1"[..]).await.expect("an upload");
    world.s3.faults().inject(Op::PutObject, 1, Fault::InternalError);
    for key in ["b", "c"] {
        world.store.upload(put(key), key.as_bytes()).await.expect("an upload");
    }

    // 1: a. 2: b, which fails. 3: b by the SDK. 4: c.
    assert_eq!(world.calls(Op::PutObject), 4);
    assert_eq!(
        (1..=4).map(|call| is_of_sdk(&world, call)).collect::<Vec<_>>(),
        [true, false, true, false]
    );
    assert_eq!(world.read("b").await.expect("an object"), b"b");
    world.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_followed_by_the_sdk() {
    let world = World::start().await;
    world.store.upload(put("a"), &b"1"[..]).await.expect("an upload");
    world.s3.faults().inject(Op::PutObject, 1, Fault::LoseAnswer);

    world.store.upload(put("b"), &b"b"[..]).await.expect("an upload");

    assert!(!is_of_sdk(&world, 2) && is_of_sdk(&world, 3));
    assert_eq!(world.read("b").await.expect("an object"), b"b");
    world.stop().await;
}

/// A server, or a proxy in front of it, that refuses what the SDK may do.
#[tokio::test]
async fn a_form_that_s3_refuses_is_not_used_again() {
    let world = World::start().await;
    let answer = "HTTP/1.1 403 Forbidden\nContent-Length: 0\nConnection: close\n\n";
    let proxy = Proxy::answering(&world.s3.endpoint(), "PUT /backups/b HTTP", answer).await;
    let store = Store::connect(settings(proxy.endpoint.clone())).await.expect("a store");
    for key in ["a", "b", "c"] {
        store.upload(put(key), key.as_bytes()).await.expect("an upload");
        assert_eq!(world.read(key).await.expect("an object"), key.as_bytes());
    }

    assert_eq!(world.calls(Op::PutObject), 3, "the refusal was the proxy's");
    assert!((1..=3).all(|call| is_of_sdk(&world, call)));
    world.stop().await;
}

#[tokio::test]
async fn long_objects_and_conditions_are_left_to_the_sdk() {
    let world = World::start().await;
    world.store.upload(put("a"), &b"1"[..]).await.expect("an upload");
    let never = Put { overwrite: s3up_store::Overwrite::Never, ..put("b") };
    world.store.upload(never, &b"b"[..]).await.expect("an upload");
    world.store.upload(put("c"), &vec![1; (1 << 20) + 1][..]).await.expect("an upload");
    world.store.upload(put("d"), &vec![1; 1 << 20][..]).await.expect("an upload");

    let by_sdk: Vec<_> = (1..=4).map(|call| is_of_sdk(&world, call)).collect();
    assert_eq!(by_sdk, [true, true, true, false]);
    world.stop().await;
}

#[tokio::test]
async fn a_short_object_has_the_same_facts_from_the_sdk_and_in_its_form() {
    let world = World::versioned().await;
    let described = Put {
        content_type: Some("image/png".to_owned()),
        metadata: [("mode".to_owned(), "0644".to_owned())].into(),
        storage_class: Some("STANDARD_IA".to_owned()),
        ..put("folder/a +ü")
    };
    let key = described.key.clone();
    let old = world.store.upload(described.clone(), &b"old"[..]).await.expect("an upload");
    world.store.upload(described, &b"new"[..]).await.expect("an upload");
    let reader = Store::connect(settings(world.s3.endpoint())).await.expect("a store");

    for version_id in [None, old.version_id.as_deref()] {
        let mut found = Vec::new();
        for _ in 0..2 {
            found.push(reader.short_object(&key, version_id).await.expect("an object"));
        }
        let want = if version_id.is_some() { "old" } else { "new" };
        assert!(found.iter().all(|object| object.bytes == want));
        assert_eq!(format!("{:?}", found[0].facts), format!("{:?}", found[1].facts));
        assert_eq!(found[0].facts.storage_class.as_deref(), Some("STANDARD_IA"));
    }
    let agents: Vec<_> = (1..=world.calls(Op::GetObject))
        .map(|call| world.s3.faults().headers(Op::GetObject, call).expect("a call"))
        .map(|headers| headers["user-agent"].to_str().expect("a text").to_owned())
        .collect();
    assert!(agents[0].starts_with("aws-sdk-rust/"), "{agents:?}");
    assert!(agents[1..].iter().all(|agent| agent.starts_with("s3up/")), "{agents:?}");
    world.stop().await;
}

#[tokio::test]
async fn an_object_that_is_missing_is_no_reason_to_forget_the_form() {
    let world = World::start().await;
    for key in ["a", "b"] {
        world.store.upload(put(key), key.as_bytes()).await.expect("an upload");
    }
    let missing = s3up_core::Key::parse("missing").expect("a key");
    assert!(world.store.short_object(&missing, None).await.is_none());
    assert_eq!(world.calls(Op::GetObject), 1);

    world.store.upload(put("c"), &b"c"[..]).await.expect("an upload");

    assert!(!is_of_sdk(&world, 3));
    world.stop().await;
}

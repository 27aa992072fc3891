//! Deletes of one and of many objects.

use s3up_core::Key;
use s3up_devstore::Op;
use s3up_store::{Settings, Store, StoreErrorKind};

use crate::fixture::{RETRY_FOR, World, put_small, settings};
use crate::proxy::Proxy;

#[tokio::test]
async fn many_objects_are_deleted_in_batches() {
    let world = World::small().await;
    let keys: Vec<_> = (0..1001).map(|n| key(&format!("many/{n:04}"))).collect();
    for key in [&keys[0], &keys[1000]] {
        world.store.upload(put_small(key.as_str()), &b"x"[..]).await.unwrap();
    }
    world.store.upload(put_small("other"), &b"x"[..]).await.unwrap();

    let failed = world.store.delete_many(&keys, RETRY_FOR).await.unwrap();

    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!((world.calls(Op::DeleteObjects), world.calls(Op::DeleteObject)), (2, 0));
    for (key, is_there) in [("many/0000", false), ("many/1000", false), ("other", true)] {
        assert_eq!(world.head(key).await.is_some(), is_there, "{key}");
    }
    let headers = world.s3.faults().headers(Op::DeleteObjects, 1).unwrap();
    assert!(headers.keys().any(|name| name.as_str().starts_with("x-amz-checksum-")), "{headers:?}");
    world.stop().await;
}

#[tokio::test]
async fn without_batch_support_objects_are_deleted_one_by_one() {
    let world = World::small().await;
    let unsupported = "HTTP/1.1 501 Not Implemented\nContent-Length: 0\nConnection: close\n\n";
    let proxy = Proxy::answering(&world.s3.endpoint(), "POST /backups/?delete", unsupported).await;
    let store = Store::connect(settings(proxy.endpoint.clone())).await.unwrap();
    let keys: Vec<_> = (0..3).map(|n| key(&format!("{n}"))).collect();
    for key in &keys {
        world.store.upload(put_small(key.as_str()), &b"x"[..]).await.unwrap();
    }

    let failed = store.delete_many(&keys, RETRY_FOR).await.unwrap();

    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!((world.calls(Op::DeleteObjects), world.calls(Op::DeleteObject)), (0, 3));
    for key in &keys {
        assert_eq!(world.head(key.as_str()).await, None, "{key}");
    }
    world.stop().await;
}

#[tokio::test]
async fn an_object_that_is_not_deleted_is_reported_with_its_reason() {
    let world = World::small().await;
    let answer = "HTTP/1.1 200 OK\nContent-Type: application/xml\nConnection: close\n\n\
        <DeleteResult><Error><Key>1</Key><Code>AccessDenied</Code><Message>locked</Message></Error>\
        <Error><Key>2</Key><Code>InternalError</Code><Message>later</Message></Error></DeleteResult>";
    let proxy = Proxy::answering(&world.s3.endpoint(), "POST /backups/?delete", answer).await;
    let store = Store::connect(settings(proxy.endpoint.clone())).await.unwrap();
    let keys: Vec<_> = (0..3).map(|n| key(&format!("{n}"))).collect();

    let failed = store.delete_many(&keys, RETRY_FOR).await.unwrap();

    let failed: Vec<_> = failed.iter().map(|it| (it.key.as_str(), it.error.kind)).collect();
    assert_eq!(failed, [("1", StoreErrorKind::Denied)]);
    assert_eq!(
        world.calls(Op::DeleteObject),
        1,
        "a key that may be deleted later is retried alone"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_missing_bucket_is_reported_and_not_retried_key_by_key() {
    let world = World::small().await;
    let wrong = Settings { bucket: "nowhere".to_owned(), ..settings(world.s3.endpoint()) };
    let store = Store::connect(wrong).await.unwrap();

    let err = store.delete_many(&[key("a"), key("b")], RETRY_FOR).await.unwrap_err();

    assert_eq!(err.kind, StoreErrorKind::NoBucket);
    assert!(err.to_string().starts_with("delete 2 objects: no such bucket"), "{err}");
    assert_eq!(world.calls(Op::DeleteObject), 0);
    world.stop().await;
}

fn key(name: &str) -> Key {
    Key::parse(name).expect("a key")
}

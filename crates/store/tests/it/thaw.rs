//! Thaws of archived objects.

use std::time::Duration;

use s3up_core::Key;
use s3up_devstore::{Fault, Op};
use s3up_store::{ArchiveState, Put, StoreErrorKind, ThawRequest, ThawedObject, Tier};

use crate::fixture::{RETRY_FOR, World, put_small};

const DAY: Duration = Duration::from_secs(24 * 3600);
const THAW: ThawRequest = ThawRequest {
    tier: Tier::Standard,
    days: 7,
    speeds_up: false,
    in_flight: 4,
    retry_for: RETRY_FOR,
};

#[tokio::test]
async fn many_objects_are_requested_and_become_readable() {
    let world = World::small().await;
    world.s3.set_restore_delay(Duration::from_secs(5 * 3600));
    let keys = store(&world, &[("deep", "DEEP_ARCHIVE"), ("cold", "GLACIER"), ("warm", "")]).await;

    let thawed = world.store.thaw(&keys, &THAW, world.s3.now()).await.unwrap();

    use ArchiveState::{Archived, InProgress, NotArchived};
    assert_eq!(states(thawed), [InProgress, InProgress, NotArchived]);
    assert_eq!(world.calls(Op::RestoreObject), 2);
    // A request during a thaw is not an error, and makes no call.
    let again = world.store.thaw(&keys, &THAW, world.s3.now()).await.unwrap();
    assert_eq!(states(again), [InProgress, InProgress, NotArchived]);
    assert_eq!(world.calls(Op::RestoreObject), 2);

    world.s3.advance(Duration::from_secs(6 * 3600)).await.unwrap();
    let heads = world.calls(Op::HeadObject);
    let now = now(&world, &keys).await;
    assert!(matches!(
        now[..],
        [ArchiveState::Ready { .. }, ArchiveState::Ready { .. }, NotArchived]
    ));
    assert_eq!(world.calls(Op::HeadObject), heads, "the listing reports the thaws");
    assert_eq!(world.read("t/deep").await.unwrap(), b"deep");

    world.s3.advance(9 * DAY).await.unwrap();
    assert_eq!(self::now(&world, &keys).await, [Archived, Archived, NotArchived]);
    assert_eq!(world.read("t/deep").await.unwrap_err().kind, StoreErrorKind::Archived);
    world.stop().await;
}

#[tokio::test]
async fn a_copy_that_would_expire_too_early_is_extended() {
    let world = World::small().await;
    let keys = store(&world, &[("cold", "GLACIER")]).await;
    world.store.thaw(&keys, &THAW, world.s3.now()).await.unwrap();
    let expiry = |state: &ArchiveState| {
        let ArchiveState::Ready { expires_at } = state else { panic!("{state:?}") };
        *expires_at
    };
    let first = expiry(&now(&world, &keys).await[0]);
    world.s3.advance(3 * DAY).await.unwrap();

    let extended = world.store.thaw(&keys, &THAW, world.s3.now()).await.unwrap();

    assert_eq!(expiry(&states(extended)[0]), first + 3 * DAY);
    // It stays long enough, so nothing is requested, and never a shorter time.
    let calls = world.calls(Op::RestoreObject);
    let less = ThawRequest { days: 2, ..THAW };
    world.store.thaw(&keys, &less, world.s3.now()).await.unwrap();
    assert_eq!(world.calls(Op::RestoreObject), calls);
    world.stop().await;
}

#[tokio::test]
async fn a_tier_that_the_class_does_not_offer_fails_before_any_request() {
    let world = World::small().await;
    let keys = store(&world, &[("cold", "GLACIER"), ("deep", "DEEP_ARCHIVE")]).await;
    let fast = ThawRequest { tier: Tier::Expedited, ..THAW };

    let err = world.store.thaw(&keys, &fast, world.s3.now()).await.unwrap_err();

    assert_eq!(err.to_string(), "thaw t/deep: S3 refused the request; see the cause");
    let cause = std::error::Error::source(&err).unwrap().to_string();
    assert!(cause.starts_with("DEEP_ARCHIVE does not offer Expedited; use Standard"), "{cause}");
    assert_eq!(world.calls(Op::RestoreObject), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_thaw_that_is_already_in_progress_is_not_an_error() {
    let world = World::small().await;
    world.s3.set_restore_delay(DAY);
    let keys = store(&world, &[("cold", "GLACIER")]).await;
    world.s3.faults().inject(Op::RestoreObject, 1, Fault::LoseAnswer);

    let thawed = world.store.thaw(&keys, &THAW, world.s3.now()).await.unwrap();

    assert_eq!(world.calls(Op::RestoreObject), 2, "the second call found the thaw in progress");
    assert_eq!(states(thawed), [ArchiveState::InProgress]);
    world.stop().await;
}

#[tokio::test]
async fn a_thaw_in_progress_is_sped_up_by_a_faster_tier_only() {
    let world = World::small().await;
    world.s3.set_restore_delay(DAY);
    let keys = store(&world, &[("cold", "GLACIER")]).await;
    let bulk = ThawRequest { tier: Tier::Bulk, ..THAW };
    world.store.thaw(&keys, &bulk, world.s3.now()).await.unwrap();
    let sped_up = async |thaw: &ThawRequest| {
        let thawed = world.store.thaw(&keys, thaw, world.s3.now()).await.unwrap();
        thawed[0].is_sped_up
    };

    assert!(!sped_up(&THAW).await, "not without being asked");
    assert!(sped_up(&ThawRequest { speeds_up: true, ..THAW }).await);
    assert!(!sped_up(&ThawRequest { speeds_up: true, ..THAW }).await, "it has this tier");
    assert_eq!(world.calls(Op::RestoreObject), 3);
    world.stop().await;
}

#[tokio::test]
async fn an_object_that_fails_does_not_stop_the_others() {
    let world = World::small().await;
    let keys = store(&world, &[("a", "GLACIER"), ("b", "GLACIER"), ("c", "GLACIER")]).await;
    world.s3.faults().inject(Op::RestoreObject, 2, Fault::InternalError);
    let once = ThawRequest { retry_for: Duration::ZERO, in_flight: 1, ..THAW };

    let thawed = world.store.thaw(&keys, &once, world.s3.now()).await.unwrap();

    let kinds: Vec<_> =
        thawed.iter().map(|it| it.outcome.as_ref().err().map(|err| err.kind)).collect();
    assert_eq!(kinds, [None, Some(StoreErrorKind::Transient), None]);
    assert_eq!(thawed[1].key, keys[1]);
    assert_eq!(world.calls(Op::RestoreObject), 3);
    // Asked again, S3 has the thaws of the others, and accepts the one that failed.
    let states = world.store.thaw(&keys, &once, world.s3.now()).await.unwrap();
    assert!(states.iter().all(|it| it.outcome.is_ok()), "{states:?}");
    assert_eq!(world.calls(Op::RestoreObject), 4);
    world.stop().await;
}

#[tokio::test]
async fn a_missing_object_is_named_before_any_request() {
    let world = World::small().await;
    let mut keys = store(&world, &[("cold", "GLACIER")]).await;
    keys.push(Key::parse("t/none").unwrap());

    let err = world.store.thaw(&keys, &THAW, world.s3.now()).await.unwrap_err();

    assert_eq!(
        err.to_string(),
        "thaw t/none: no such object; check the key, and whether another program deletes below this prefix"
    );
    assert_eq!(world.calls(Op::RestoreObject), 0);
    world.stop().await;
}

async fn store(world: &World, objects: &[(&str, &str)]) -> Vec<Key> {
    let mut keys = Vec::new();
    for (name, class) in objects {
        let storage_class = Some(*class).filter(|class| !class.is_empty()).map(str::to_owned);
        let put = Put { storage_class, ..put_small(&format!("t/{name}")) };
        keys.push(put.key.clone());
        world.store.upload(put, name.as_bytes()).await.expect("an object");
    }
    keys
}

async fn now(world: &World, keys: &[Key]) -> Vec<ArchiveState> {
    let states = world.store.archive_states(keys, 4, RETRY_FOR, world.s3.now());
    let states = states.await.expect("states");
    keys.iter().map(|key| states[key]).collect()
}

fn states(thawed: Vec<ThawedObject>) -> Vec<ArchiveState> {
    thawed.into_iter().map(|it| it.outcome.expect("a state")).collect()
}

//! The probe of conditional writes: it runs once, and leaves at most one small
//! object in the bucket.

use std::time::Duration;

use futures::future::join_all;
use s3up_core::KeyPrefix;
use s3up_devstore::{Fault, Op};
use s3up_store::{Condition, Conditions, Profile, Settings, Store};

use crate::fixture::{RETRY_FOR, World, settings};

const OBJECT: &str = "nas/.s3up-probe";

async fn probed(store: &Store) -> Conditions {
    store.probe_conditions(&prefix(), RETRY_FOR).await
}

/// Returns what is known after the probe of PutObject.
fn of_puts(if_none_match: Condition, if_match: Condition) -> Conditions {
    Conditions { put_if_none_match: if_none_match, put_if_match: if_match, ..Conditions::default() }
}

fn honoured() -> Conditions {
    of_puts(Condition::Honoured, Condition::Honoured)
}

fn ignored() -> Conditions {
    of_puts(Condition::Ignored, Condition::Ignored)
}

fn prefix() -> KeyPrefix {
    KeyPrefix::parse("nas").expect("a prefix")
}

async fn another(world: &World) -> Store {
    Store::connect(settings(world.s3.endpoint())).await.expect("a store")
}

#[tokio::test]
async fn a_server_that_honours_conditions_keeps_two_versions_of_one_object() {
    let world = World::versioned().await;

    for _ in 0..3 {
        assert_eq!(probed(&another(&world).await).await, honoured());
    }

    let list = world.raw_client().list_object_versions().bucket("backups").send().await.unwrap();
    let keys: Vec<_> = list.versions().iter().filter_map(|version| version.key()).collect();
    // The second was written by the right ETag, and says so: that is not repeated.
    assert_eq!(keys, [OBJECT, OBJECT]);
    assert_eq!(world.calls(Op::DeleteObject), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_detected_each_time() {
    let world = World::ignoring_conditions().await;

    for _ in 0..3 {
        assert_eq!(probed(&another(&world).await).await, ignored());
    }

    assert_eq!(world.s3.objects("backups").into_keys().collect::<Vec<_>>(), [OBJECT]);
    world.stop().await;
}

#[tokio::test]
async fn hosts_that_probe_at_the_same_moment_do_not_mislead_each_other() {
    let world = World::start().await;
    let stores = join_all((0..16).map(|_| another(&world))).await;

    let answers = join_all(stores.iter().map(probed)).await;

    assert_eq!(answers, [honoured(); 16]);
    world.stop().await;
}

#[tokio::test]
async fn a_store_probes_once_for_all_its_clones() {
    let world = World::start().await;
    let clone = world.store.clone();
    assert_eq!(clone.conditions(), Conditions::default());

    probed(&world.store).await;
    let calls = world.s3.faults().calls_total();

    assert_eq!((probed(&clone).await, clone.conditions()), (honoured(), honoured()));
    assert_eq!(world.s3.faults().calls_total(), calls);
    world.stop().await;
}

#[tokio::test]
async fn aws_is_not_probed() {
    let world = World::with(|settings| Settings { profile: Profile::Aws, ..settings }).await;

    let all = Conditions {
        complete_if_none_match: Condition::Honoured,
        complete_if_match: Condition::Honoured,
        ..honoured()
    };
    assert_eq!(world.store.conditions(), all);
    assert_eq!(probed(&world.store).await, all);
    assert_eq!(world.store.probe_completions(&prefix(), RETRY_FOR).await, all);

    assert_eq!(world.s3.faults().calls_total(), 0);
    world.stop().await;
}

/// The first attempt succeeded although its answer was lost, so the second one is
/// refused.
#[tokio::test]
async fn a_lost_answer_does_not_change_the_result() {
    for (world, want) in
        [(World::start().await, honoured()), (World::ignoring_conditions().await, ignored())]
    {
        for call in 1..=2 {
            world.s3.faults().inject(Op::PutObject, call, Fault::LateInternalError);
        }

        assert_eq!(probed(&world.store).await, want);

        world.stop().await;
    }
}

#[tokio::test]
async fn a_failed_probe_leaves_conditions_unknown() {
    for call in 1..=4 {
        let world = World::start().await;
        world.s3.faults().inject(Op::PutObject, call, Fault::InternalError);

        let answer = world.store.probe_conditions(&prefix(), Duration::ZERO).await;

        assert_eq!(answer, Conditions::default(), "call {call}");
        assert_eq!(probed(&world.store).await, honoured(), "the next call probes again");
        world.stop().await;
    }
}

//! Every call that an operation makes fails once, in every way the server knows.
//!
//! The outcome is success with the right bytes, or an error that names its key,
//! with nothing visible; and never an upload that nobody will complete. Which
//! calls there are is found by a run in which none fails, so a call that is new
//! is covered the day it is added.

mod operations;

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use s3up_devstore::{Fault, Op};

use self::operations::*;
use crate::fixture::{RETRY_FOR, SMALL_PART, World};

/// One operation of the store.
struct Scenario {
    name: &'static str,
    /// What is in the bucket before.
    prepare: for<'a> fn(&'a World) -> BoxFuture<'a, ()>,
    run: for<'a> fn(&'a World, Duration) -> BoxFuture<'a, Result<(), String>>,
    /// What must be in the bucket where it succeeded.
    check: for<'a> fn(&'a World) -> BoxFuture<'a, ()>,
    /// What its errors name.
    subject: &'static str,
    /// Keys under which nothing may stand after a failure.
    hidden: &'static [&'static str],
}

static SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "an upload of one part",
        prepare: nothing,
        run: |world, retry_for| upload(world, 1000, retry_for).boxed(),
        check: |world| is_stored(world, 1000).boxed(),
        subject: " a: ",
        hidden: &["a"],
    },
    Scenario {
        name: "an upload of several parts",
        prepare: nothing,
        run: |world, retry_for| upload(world, 2 * SMALL_PART + 5, retry_for).boxed(),
        check: |world| is_stored(world, 2 * SMALL_PART + 5).boxed(),
        subject: " a: ",
        hidden: &["a"],
    },
    Scenario {
        name: "a stream of chunks",
        prepare: nothing,
        run: |world, retry_for| upload_chunks(world, retry_for).boxed(),
        check: |world| chunks_are_stored(world).boxed(),
        subject: "chunk-",
        hidden: &[],
    },
    Scenario {
        name: "a publication",
        prepare: |world| publish_first(world).boxed(),
        run: |world, retry_for| publish_second(world, retry_for).boxed(),
        check: |world| is_published(world).boxed(),
        subject: "",
        hidden: &[],
    },
    Scenario {
        name: "a download",
        prepare: |world| prepare_object(world).boxed(),
        run: |world, retry_for| download(world, retry_for).boxed(),
        check: nothing,
        subject: " a: ",
        hidden: &[],
    },
    Scenario {
        name: "a document",
        prepare: |world| publish_first(world).boxed(),
        run: |world, retry_for| read(world, retry_for).boxed(),
        check: nothing,
        subject: "pointer",
        hidden: &[],
    },
    Scenario {
        name: "a listing",
        prepare: |world| publish_first(world).boxed(),
        run: |world, retry_for| list(world, retry_for).boxed(),
        check: nothing,
        subject: "manifest",
        hidden: &[],
    },
    Scenario {
        name: "a deletion",
        prepare: |world| prepare_object(world).boxed(),
        run: |world, retry_for| delete(world, retry_for).boxed(),
        check: |world| is_gone(world).boxed(),
        subject: " a: ",
        hidden: &[],
    },
    Scenario {
        name: "a deletion of many",
        prepare: |world| publish_first(world).boxed(),
        run: |world, retry_for| delete_many(world, retry_for).boxed(),
        check: |world| is_all_gone(world).boxed(),
        subject: "2 objects",
        hidden: &[],
    },
    Scenario {
        name: "a thaw",
        prepare: |world| archive(world).boxed(),
        run: |world, retry_for| thaw(world, retry_for).boxed(),
        check: |world| is_asked_for(world).boxed(),
        subject: "cold/",
        hidden: &[],
    },
    Scenario {
        name: "a sweep",
        prepare: |world| leave_uploads(world).boxed(),
        run: |world, retry_for| sweep(world, retry_for).boxed(),
        check: nothing,
        subject: "a/",
        hidden: &[],
    },
];

fn ways() -> Vec<Fault> {
    vec![
        Fault::InternalError,
        Fault::SlowDown { retry_after_seconds: None },
        Fault::Stall,
        Fault::CutBody { after_bytes: 0 },
        Fault::CutBody { after_bytes: 100 },
        Fault::FlipByte { offset: 0 },
        Fault::FlipByte { offset: 150 },
        Fault::CutUpload { after_bytes: 10 },
        Fault::LoseAnswer,
        Fault::LateInternalError,
        Fault::ErrorIn200,
        Fault::LateErrorIn200,
    ]
}

/// S3 answers 200 and then an error only where the work takes long.
fn may_befall(way: &Fault, op: Op) -> bool {
    !matches!(way, Fault::ErrorIn200 | Fault::LateErrorIn200) || op == Op::CompleteMultipartUpload
}

#[tokio::test]
async fn any_call_may_fail_once() {
    for (scenario, outcomes) in fail_everything(RETRY_FOR).await {
        let failed: Vec<_> = outcomes.iter().filter(|it| it.error.is_some()).collect();
        // Only bytes that were damaged on the way are not fetched again: nothing
        // says which of them are wrong.
        let is_damage = |it: &&Outcome| matches!(it.way, Fault::FlipByte { .. });
        assert!(failed.iter().all(is_damage), "{}: {failed:#?}", scenario.name);
    }
}

#[tokio::test]
async fn a_call_that_fails_for_good_leaves_nothing() {
    for (scenario, outcomes) in fail_everything(Duration::ZERO).await {
        assert!(outcomes.iter().any(|it| it.error.is_some()), "{}", scenario.name);
    }
}

/// What became of an operation one of whose calls failed.
#[derive(Clone, Debug)]
struct Outcome {
    way: Fault,
    #[expect(dead_code, reason = "it is shown where an assertion fails")]
    call: (Op, u64),
    error: Option<String>,
}

/// All at once, because most of the time is waiting for what is stalled.
async fn fail_everything(retry_for: Duration) -> Vec<(&'static Scenario, Vec<Outcome>)> {
    let each = SCENARIOS
        .iter()
        .map(|scenario| fail_every_call(scenario, retry_for).map(move |all| (scenario, all)));
    futures::future::join_all(each).await
}

async fn fail_every_call(scenario: &Scenario, retry_for: Duration) -> Vec<Outcome> {
    let calls = &calls_of(scenario).await;
    assert!(!calls.is_empty(), "{}", scenario.name);
    let each = ways().into_iter().map(|way| async move {
        let mut outcomes = Vec::new();
        for call in calls.iter().filter(|(op, _)| may_befall(&way, *op)) {
            outcomes.push(fail_call(scenario, &way, *call, retry_for).await);
        }
        outcomes
    });
    futures::future::join_all(each).await.concat()
}

/// The calls that it makes where none fails.
async fn calls_of(scenario: &Scenario) -> Vec<(Op, u64)> {
    let world = World::impatient().await;
    (scenario.prepare)(&world).await;
    let before: Vec<_> = Op::ALL.iter().map(|op| (*op, world.calls(*op))).collect();
    (scenario.run)(&world, RETRY_FOR).await.expect("nothing fails");
    let made = before.into_iter().map(|(op, before)| (op, world.calls(op) - before));
    let calls = made.flat_map(|(op, count)| (1..=count).map(move |nth| (op, nth))).collect();
    world.stop().await;
    calls
}

async fn fail_call(
    scenario: &Scenario,
    way: &Fault,
    (op, nth): (Op, u64),
    retry_for: Duration,
) -> Outcome {
    let what = format!("{}: {op:?} {nth} {way:?}", scenario.name);
    let world = World::impatient().await;
    (scenario.prepare)(&world).await;
    let before = world.calls(op);
    world.s3.faults().inject(op, nth, way.clone());

    let error = (scenario.run)(&world, retry_for).await.err();

    assert!(world.calls(op) - before >= nth, "{what}: the call did not come");
    // What is damaged or cut may have no body, and then nothing happened to it.
    world.s3.faults().clear();
    world.store.settle().await;
    match &error {
        None => (scenario.check)(&world).await,
        Some(error) => check_failure(scenario, &world, &format!("{what}: {error}"), error).await,
    }
    let left = world.sweep_all().await;
    // The id of an upload whose answer is lost is known to nobody, and no later
    // one shows by which clock it was begun: it is left for a sweep.
    let is_nobodys = op == Op::CreateMultipartUpload && retry_for.is_zero();
    let is_swept_later = scenario.name == "a sweep" && error.is_some();
    assert!(left == 0 || is_nobodys || is_swept_later, "{what}: {left} uploads left, {error:?}");
    world.stop().await;
    Outcome { way: way.clone(), call: (op, nth), error }
}

async fn check_failure(scenario: &Scenario, world: &World, what: &str, error: &str) {
    assert!(error.contains(scenario.subject) && !error.contains("devstore-secret"), "{what}");
    for key in scenario.hidden {
        assert_eq!(world.head(key).await, None, "{what}: {key} is visible");
    }
    if scenario.name == "a publication" {
        let manifest = world.read("pointer").await.expect("a pointer");
        let manifest = String::from_utf8(manifest).expect("a key");
        assert!(world.head(&manifest).await.is_some(), "{what}: the pointer lies");
    }
}

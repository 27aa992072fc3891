//! Each call of each operation fails once, in every way the server can fail.
//!
//! The outcome is success with the right bytes, or an error that names its key with
//! nothing visible, and never an abandoned upload. A run without failures finds out
//! which calls there are, so a new call is covered as soon as it is added.

mod operations;

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use s3up_devstore::{Fault, Op};

use self::operations::*;
use crate::fixture::{RETRY_FOR, SMALL_PART, World};

/// Runs of one case, of which all but the last were cut short by a busy machine.
const RUNS_MAX: usize = 5;

/// An operation of the store.
struct Scenario {
    name: &'static str,
    /// Fills the bucket before the operation.
    prepare: for<'a> fn(&'a World) -> BoxFuture<'a, ()>,
    run: for<'a> fn(&'a World, Duration) -> BoxFuture<'a, Result<(), String>>,
    /// Checks the bucket after a success.
    check: for<'a> fn(&'a World) -> BoxFuture<'a, ()>,
    /// Text that every error must contain.
    subject: &'static str,
    /// Keys that must not exist after a failure.
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
        check: |world| is_requested(world).boxed(),
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

fn faults() -> Vec<Fault> {
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

/// S3 answers 200 followed by an error only for work that takes long.
fn is_possible(fault: &Fault, op: Op) -> bool {
    !matches!(fault, Fault::ErrorIn200 | Fault::LateErrorIn200) || op == Op::CompleteMultipartUpload
}

#[tokio::test]
async fn an_operation_survives_one_failure_of_any_call() {
    for (scenario, outcomes) in fail_everything(RETRY_FOR).await {
        let failed: Vec<_> = outcomes.iter().filter(|it| it.error.is_some()).collect();
        // Only damaged bytes are not fetched again: nothing says which of them are
        // wrong.
        let is_damage = |it: &&Outcome| matches!(it.fault, Fault::FlipByte { .. });
        assert!(failed.iter().all(is_damage), "{}: {failed:#?}", scenario.name);
    }
}

#[tokio::test]
async fn an_operation_whose_call_fails_for_good_leaves_nothing_visible() {
    for (scenario, outcomes) in fail_everything(Duration::ZERO).await {
        assert!(outcomes.iter().any(|it| it.error.is_some()), "{}", scenario.name);
    }
}

/// The result of an operation of which one call failed.
#[derive(Clone, Debug)]
struct Outcome {
    fault: Fault,
    #[expect(dead_code, reason = "printed by a failing assertion")]
    call: (Op, u64),
    error: Option<String>,
}

/// All at once, because most of the time is spent waiting for stalled calls.
async fn fail_everything(retry_for: Duration) -> Vec<(&'static Scenario, Vec<Outcome>)> {
    let each = SCENARIOS
        .iter()
        .map(|scenario| fail_every_call(scenario, retry_for).map(move |all| (scenario, all)));
    futures::future::join_all(each).await
}

async fn fail_every_call(scenario: &Scenario, retry_for: Duration) -> Vec<Outcome> {
    let calls = &calls_of(scenario).await;
    assert!(!calls.is_empty(), "{}", scenario.name);
    let each = faults().into_iter().map(|fault| async move {
        let mut outcomes = Vec::new();
        for call in calls.iter().filter(|(op, _)| is_possible(&fault, *op)) {
            outcomes.push(fail_call(scenario, &fault, *call, retry_for).await);
        }
        outcomes
    });
    futures::future::join_all(each).await.concat()
}

/// Returns the calls that the scenario makes if none fails. On a busy machine a call may exceed its time limit, which
/// is short here, and others follow it; so these are the calls of the run that made the fewest.
async fn calls_of(scenario: &Scenario) -> Vec<(Op, u64)> {
    let mut fewest = calls_of_one_run(scenario).await;
    for _ in 1..RUNS_MAX {
        let calls = calls_of_one_run(scenario).await;
        if calls.len() < fewest.len() {
            fewest = calls;
        }
    }
    fewest
}

async fn calls_of_one_run(scenario: &Scenario) -> Vec<(Op, u64)> {
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
    fault: &Fault,
    (op, nth): (Op, u64),
    retry_for: Duration,
) -> Outcome {
    let what = format!("{}: {op:?} {nth} {fault:?}", scenario.name);
    let mut runs = 0;
    let (world, error) = loop {
        let world = World::impatient().await;
        (scenario.prepare)(&world).await;
        let before = world.calls(op);
        world.s3.faults().inject(op, nth, fault.clone());

        let error = (scenario.run)(&world, retry_for).await.err();

        if world.calls(op) - before >= nth {
            break (world, error);
        }
        // The limit of a call is short here. On a busy machine an earlier call may exceed it, and
        // the run then shows nothing about this one.
        runs += 1;
        let is_slow = error.as_ref().is_some_and(|error| error.contains("no answer within"));
        assert!(is_slow && runs < RUNS_MAX, "{what}: the call was not made: {error:?}");
        world.store.wait_for_aborts().await;
        world.stop().await;
    };
    // A damaged or truncated answer may have no body, and then the fault did not
    // fire.
    world.s3.faults().clear();
    world.store.wait_for_aborts().await;
    match &error {
        None => (scenario.check)(&world).await,
        Some(error) => check_failure(scenario, &world, &format!("{what}: {error}"), error).await,
    }
    let left = world.sweep_all().await;
    // The ID of an upload whose answer is lost is unknown, and no later upload
    // shows by which clock it was started: a sweep aborts it.
    let is_unknown = op == Op::CreateMultipartUpload && retry_for.is_zero();
    let is_swept_later = scenario.name == "a sweep" && error.is_some();
    assert!(left == 0 || is_unknown || is_swept_later, "{what}: {left} uploads left, {error:?}");
    world.stop().await;
    Outcome { fault: fault.clone(), call: (op, nth), error }
}

async fn check_failure(scenario: &Scenario, world: &World, what: &str, error: &str) {
    assert!(error.contains(scenario.subject) && !error.contains("devstore-secret"), "{what}");
    for key in scenario.hidden {
        assert_eq!(world.head(key).await, None, "{what}: {key} is visible");
    }
    if scenario.name == "a publication" {
        let manifest = world.read("pointer").await.expect("a pointer");
        let manifest = String::from_utf8(manifest).expect("a key");
        assert!(
            world.head(&manifest).await.is_some(),
            "{what}: the pointer names a missing manifest"
        );
    }
}

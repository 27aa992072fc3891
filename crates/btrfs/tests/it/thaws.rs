//! Thaws of archived chunks: requested, waited for, extended and resumed.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use s3up_core::{Clock, Key};
use s3up_devstore::{Fault, Op};
use s3up_store::{ArchiveState, ThawRequest, Tier};
use s3up_testkit::{CLOCK, assert_same_tree, noise};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::fixture::{CHUNK, RETRY_FOR, Ran, World, names_in};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a full of two chunks and an incremental in a storage class.
pub async fn archived(class: &str) -> Option<World> {
    let world = World::start(&["data"]).await?;
    world.reconfigure(
        "storage_class_chunks = \"STANDARD\"",
        &format!("storage_class_chunks = {class:?}"),
    );
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 1000)).expect("a written file");
    world.backup().await;
    fs::write(world.subvolume("data").join("new"), "new").expect("a written file");
    world.backup().await;
    world.s3.set_restore_delay(5 * HOUR);
    Some(world)
}

async fn chunks(world: &World) -> Vec<Key> {
    let keys = world.keys().await.into_iter().filter(|key| key.contains("/chunk-"));
    keys.map(|key| Key::parse(&key).expect("a key")).collect()
}

async fn states(world: &World) -> Vec<ArchiveState> {
    let keys = chunks(world).await;
    let states = world.store.archive_states(&keys, 4, RETRY_FOR, CLOCK.now()).await;
    states.expect("states").into_values().collect()
}

pub fn thaw_requests(world: &World) -> u64 {
    world.s3.faults().calls(Op::RestoreObject)
}

fn target(world: &World) -> String {
    world.fs.path().join("restored").to_str().expect("UTF-8").to_owned()
}

/// Starts the program and reads its log until it waits for a thaw.
pub async fn until_it_waits(world: &World, arguments: &[&str]) -> Child {
    let mut child = world.command(arguments).stderr(Stdio::piped()).spawn().expect("the program");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    loop {
        let line = lines.next_line().await.expect("a log").expect("it waits");
        if line.contains("event=thaw_progress") {
            break;
        }
    }
    // Keep reading, or the program would block on a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_requests_the_whole_chain_waits_and_restores() {
    let Some(world) = archived("DEEP_ARCHIVE").await else { return };
    let target = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", &target];

    let mut child = until_it_waits(&world, &restore).await;
    assert_eq!(thaw_requests(&world), 3, "all chunks of the chain at once");
    world.s3.advance(6 * HOUR).await.unwrap();
    let status = child.wait().await.unwrap();

    assert!(status.success());
    assert_same_tree(&world.subvolume("data"), target.as_ref());
    assert_eq!(thaw_requests(&world), 3);
    world.assert_nothing_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wait_restore_requests_a_thaw_and_prints_the_command_to_run_later() {
    let Some(world) = archived("GLACIER").await else { return };
    let target = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", &target, "--no-wait-restore"];

    let first = world.run(&restore).await;
    let second = world.run(&restore).await;

    for ran in [&first, &second] {
        let later = format!("restore --subvolume data --target {target}");
        ran.failed_with(4, &["0 of 3 chunks are readable", "run again later: ", &later]);
        assert!(!ran.stderr.contains("--no-wait-restore"), "{}", ran.stderr);
    }
    assert_eq!(thaw_requests(&world), 3, "a thaw in progress is not requested again");
    assert_eq!(names_in(world.fs.path()), ["data", "snapshots"]);
    world.s3.advance(6 * HOUR).await.unwrap();
    let ready = world.run(&restore).await;
    assert_eq!(ready.code, Some(0), "{}", ready.stderr);
    assert!(ready.stderr.contains("event=restore_complete"), "{}", ready.stderr);
    assert_same_tree(&world.subvolume("data"), target.as_ref());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thaw_continues_in_s3_after_a_kill_or_a_timeout() {
    let Some(world) = archived("DEEP_ARCHIVE").await else { return };
    let mut killed = until_it_waits(&world, &["thaw", "--subvolume", "data"]).await;
    killed.kill().await.unwrap();

    let slow = world.run(&["thaw", "--subvolume", "data", "--restore-timeout", "1"]).await;

    slow.failed_with(4, &["0 of 3 chunks are readable", "--restore-timeout 1"]);
    assert_eq!(thaw_requests(&world), 3);
    world.s3.advance(6 * HOUR).await.unwrap();
    let json = world.run(&["thaw", "--subvolume", "data", "--json"]).await;
    assert_eq!(json.code, Some(0), "{}", json.stderr);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["is_ready"], &json["chunks"]), (&true.into(), &3.into()));
    assert!(json["expires_at"].is_string(), "{json}");
    assert_eq!(thaw_requests(&world), 3, "the copies last long enough");
    // Once the copies have expired, a thaw requests them again.
    world.s3.advance(30 * DAY).await.unwrap();
    let expired = world.run(&["thaw", "--subvolume", "data", "--no-wait-restore"]).await;
    expired.failed_with(4, &["0 of 3 chunks are readable"]);
    assert_eq!(thaw_requests(&world), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thaw_of_one_backup_needs_no_configuration_file() {
    let Some(world) = archived("GLACIER").await else { return };
    let keys = world.keys().await;
    let full = keys.iter().find(|key| key.contains("full/manifest-") && key.ends_with("Z.json"));
    let endpoint = world.s3.endpoint();
    let bucket = [
        "--bucket",
        "backups",
        "--region",
        "us-east-1",
        "--prefix",
        "nas",
        "--endpoint",
        &endpoint,
    ];
    let wanted =
        ["thaw", "--subvolume", "data", "--manifest-key", full.unwrap(), "--no-wait-restore"];
    let settings = ["--set", "restore.restore_tier=Bulk", "--set", "restore.thaw_days=30"];

    let ran = world.run(&[&wanted[..], &bucket, &settings].concat()).await;

    ran.failed_with(4, &["0 of 2 chunks are readable"]);
    assert!(ran.stderr.contains("tier=Bulk days=30"), "{}", ran.stderr);
    assert_eq!(thaw_requests(&world), 2, "only the chain of that backup");
    let wrong =
        world.run(&[&wanted[..], &bucket, &["--set", "restore.thaw_days=0"]].concat()).await;
    wrong.failed_with(2, &["restore.thaw_days: expected 1 to 365, found 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thaw_that_another_program_requested_counts_as_progress() {
    let Some(world) = archived("GLACIER").await else { return };
    let keys = chunks(&world).await;
    let ask = ThawRequest {
        tier: Tier::Standard,
        days: 14,
        speeds_up: false,
        in_flight: 1,
        retry_for: RETRY_FOR,
    };
    world.store.thaw(&keys[..1], &ask, CLOCK.now()).await.unwrap();
    // The answer is lost, so the retry meets a thaw in progress.
    world.s3.faults().inject(Op::RestoreObject, 1, Fault::LoseAnswer);

    let ran = world.run(&["thaw", "--subvolume", "data", "--no-wait-restore"]).await;

    ran.failed_with(4, &["0 of 3 chunks are readable"]);
    assert!(ran.stderr.contains("event=thaw_requested requested=2 extended=0"), "{}", ran.stderr);
    assert!(world.s3.faults().unfired().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_would_expire_too_early_are_extended() {
    let Some(world) = archived("GLACIER").await else { return };
    let keys = chunks(&world).await;
    world.s3.set_restore_delay(Duration::ZERO);
    let ask = ThawRequest {
        tier: Tier::Standard,
        days: 1,
        speeds_up: false,
        in_flight: 1,
        retry_for: RETRY_FOR,
    };
    world.store.thaw(&keys, &ask, CLOCK.now()).await.unwrap();

    let ran = world.run(&["thaw", "--subvolume", "data"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("3 of 3 chunks") && ran.stdout.contains("extended 3 copies"),
        "{}",
        ran.stdout
    );
    for state in states(&world).await {
        let ArchiveState::Ready { expires_at } = state else { panic!("{state:?}") };
        assert!(expires_at > CLOCK.now() + 13 * DAY, "{expires_at:?}");
    }
}

/// Calls what runs during a long download, with a clock that is eight days ahead.
#[tokio::test(flavor = "multi_thread")]
async fn copies_are_extended_during_a_long_download() {
    use s3up_core::progress::ProgressSink;
    use s3up_repository::documents::Bucket;
    use s3up_repository::thaw::{RequiredObjects, Thaw, ThawMode, ThawTerms};

    let Some(world) = archived("GLACIER").await else { return };
    world.s3.set_restore_delay(Duration::ZERO);
    let chunks = chunks(&world).await.into_iter().map(|key| (key, 1)).collect();
    let wanted = RequiredObjects { chunks, ..RequiredObjects::default() };
    let bucket = Bucket {
        store: world.store.clone(),
        retry_for: RETRY_FOR,
        storage_class: None,
        metadata: Default::default(),
    };
    let terms = ThawTerms { tier: Tier::Standard, days: 14, speeds_up: false };
    let progress = &ProgressSink::silent();
    let thaw = Thaw { bucket: &bucket, terms, clock: CLOCK, progress };
    let thawed = thaw.run(&wanted, ThawMode::Wait { at_most: HOUR }).await.unwrap();
    assert!(thawed.is_ready());
    assert_eq!(thaw.keep_once(&wanted).await.unwrap(), 0, "two weeks are left");

    let in_eight_days = || CLOCK.now() + 8 * DAY;
    let later = Thaw { clock: Clock { wall: in_eight_days, ..CLOCK }, ..thaw };

    assert_eq!(later.keep_once(&wanted).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_that_are_readable_at_once_are_not_thawed() {
    for class in ["GLACIER_IR", "STANDARD_IA"] {
        let Some(world) = archived(class).await else { return };

        let ran = world.restore("data", target(&world).as_ref()).await;

        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_same_tree(&world.subvolume("data"), target(&world).as_ref());
        assert_eq!(thaw_requests(&world), 0, "{class}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thaw_in_progress_is_sped_up_on_request() {
    let Some(world) = archived("DEEP_ARCHIVE").await else { return };
    let thaw = ["thaw", "--subvolume", "data", "--no-wait-restore"];
    let bulk = ["--set", "restore.restore_tier=Bulk"];
    world.run(&[&thaw[..], &bulk].concat()).await.failed_with(4, &["0 of 3 chunks"]);
    world.s3.set_restore_delay(Duration::ZERO);

    let slow = world.run(&thaw).await;

    slow.failed_with(4, &["0 of 3 chunks"]);
    assert!(slow.stderr.contains("run `thaw --speed-up`"), "{}", slow.stderr);
    assert_eq!(thaw_requests(&world), 3, "a faster tier costs more, so it is not asked for");
    let fast = world.run(&[&thaw[..], &["--speed-up"]].concat()).await;
    assert!(fast.stdout.contains("and sped up 3 in progress"), "{}", fast.stdout);
    assert_eq!(thaw_requests(&world), 6);
    let ready = world.run(&thaw).await;
    assert_eq!(ready.code, Some(0), "{}", ready.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_thaw_request_is_reported_and_the_others_are_sent() {
    let Some(world) = archived("DEEP_ARCHIVE").await else { return };
    let thaw = ["thaw", "--subvolume", "data", "--no-wait-restore"];
    let expedited = ["--set", "restore.restore_tier=Expedited"];

    let fast = world.run(&[&thaw[..], &expedited].concat()).await;

    fast.failed_with(1, &["DEEP_ARCHIVE does not offer Expedited"]);
    assert_eq!(thaw_requests(&world), 0);
    world.s3.faults().inject(Op::RestoreObject, 2, Fault::AccessDenied);
    let denied = world.run(&thaw).await;
    denied.failed_with(1, &["request 3 thaws: S3 refused 1 and accepted 2", "access denied"]);
    assert_eq!(thaw_requests(&world), 3, "the other requests were sent");
    let again: Ran = world.run(&thaw).await;
    again.failed_with(4, &["0 of 3 chunks are readable"]);
    assert_eq!(thaw_requests(&world), 4);
}

/// Runs a command on a terminal on which a person types this answer.
async fn on_terminal(world: &World, arguments: &[&str], answer: &str) -> Ran {
    use tokio::io::AsyncWriteExt;

    let command = world.command(arguments);
    let command = command.as_std();
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let quoted: Vec<_> = words.map(|word| format!("'{}'", word.to_str().expect("UTF-8"))).collect();
    let mut script = tokio::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &quoted.join(" "), "/dev/null"]);
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = script.spawn().expect("a terminal");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(answer.as_bytes()).await.expect("an open pipe");
    let ran = Ran::of(child.wait_with_output().await.expect("the program"));
    drop(stdin);
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_asks_before_a_paid_thaw() {
    let Some(world) = archived("GLACIER").await else { return };
    let target = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", &target, "--no-wait-restore"];
    let thaw = ["thaw", "--subvolume", "data", "--no-wait-restore"];

    for command in [&restore[..], &thaw] {
        let refused = on_terminal(&world, command, "n\n").await;
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stdout.contains("Thaw 3 objects"), "{}", refused.stdout);
        assert!(refused.stdout.contains("no thaw was requested"), "{}", refused.stdout);
    }
    assert_eq!(thaw_requests(&world), 0);

    let agreed = on_terminal(&world, &thaw, "y\n").await;

    assert_eq!(agreed.code, Some(4), "{}", agreed.stdout);
    assert_eq!(thaw_requests(&world), 3);
    let again = on_terminal(&world, &restore, "").await;
    assert_eq!(again.code, Some(4), "nothing is left to ask: {}", again.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_asks_before_a_drill_thaws() {
    let Some(world) = archived("GLACIER").await else { return };
    let scratch = world.config().with_file_name("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let scratch_dir = format!("drill.scratch_dir={scratch:?}");
    let drill = ["drill", "--set", &scratch_dir, "--wait-restore", "--restore-timeout", "1"];

    let refused = on_terminal(&world, &drill, "n\n").await;

    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stdout.contains("Thaw 3 objects"), "{}", refused.stdout);
    assert_eq!(thaw_requests(&world), 0);
    let agreed = on_terminal(&world, &[&drill[..], &["--yes"]].concat(), "").await;
    assert_eq!(agreed.code, Some(4), "{}", agreed.stdout);
    assert_eq!(thaw_requests(&world), 3);
}

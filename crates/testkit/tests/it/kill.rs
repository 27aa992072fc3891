//! Killing a program at each of its calls, and checking what is left.

use std::cell::Cell;
use std::env;
use std::process::Command;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use s3up_devstore::Versioning;
use s3up_testkit::{
    Checkpoint, ProgramEnd, TestS3, kill_at_each_call, kill_when, run_to_success, temp_dir,
    wait_until,
};
use tempfile::TempDir;

const ORDER: &str = "S3UP_TESTKIT_ORDER";
const PREFIX: &str = "S3UP_TESTKIT_PREFIX";

/// Not a test, but the program of the other tests, which start this binary again.
/// It writes objects in a given order, except those that exist.
#[tokio::test]
async fn the_program_that_is_killed() {
    let Some(order) = env::var_os(ORDER) else { return };
    let prefix = env::var_os(PREFIX).unwrap().into_string().unwrap();
    let client = client();
    for name in order.to_str().unwrap().split(' ') {
        let key = format!("{prefix}/{name}");
        let head = client.head_object().bucket(TestS3::BUCKET).key(&key).send().await;
        if head.is_err() {
            client.put_object().bucket(TestS3::BUCKET).key(&key).send().await.unwrap();
        }
    }
    println!("wrote {order:?}");
}

#[tokio::test]
async fn a_program_is_killed_at_each_call_and_run_again() {
    let s3 = TestS3::start().await;
    let prefix = Cell::new(0);
    let order = "chunk-1 chunk-2 pointer";
    let checkpoints = Cell::new(Vec::new());

    let killed = kill_at_each_call(
        s3.store(),
        async |nth| prefix.set(nth),
        || program(&s3, order, prefix.get()),
        async |checkpoint| {
            let names = names(&s3, prefix.get());
            assert!(names.len() == 3 || !names.contains(&"pointer".to_owned()), "{names:?}");
            let mut seen = checkpoints.take();
            seen.push((checkpoint, names.len()));
            checkpoints.set(seen);
        },
    )
    .await;

    assert_eq!(killed, 6, "two calls for each object");
    let killed = |nth| Checkpoint::Killed { nth };
    let again = |nth| Checkpoint::Rerun { nth };
    #[rustfmt::skip]
    let want = [
        (killed(1), 0), (again(1), 3), // HEAD chunk-1
        (killed(2), 1), (again(2), 3), // PUT chunk-1
        (killed(3), 1), (again(3), 3),
        (killed(4), 2), (again(4), 3),
        (killed(5), 2), (again(5), 3),
        (killed(6), 3), (again(6), 3),
        (Checkpoint::Uninterrupted, 3),
    ];
    assert_eq!(checkpoints.take(), want);
}

#[tokio::test]
async fn a_wrong_order_of_writes_is_detected() {
    let s3 = TestS3::start().await;
    let (prefix, seen) = (Cell::new(0), Cell::new(Vec::new()));

    kill_at_each_call(
        s3.store(),
        async |nth| prefix.set(nth),
        || program(&s3, "pointer chunk", prefix.get()),
        async |checkpoint| {
            if names(&s3, prefix.get()) == ["pointer"] {
                seen.set([seen.take(), vec![checkpoint]].concat());
            }
        },
    )
    .await;

    assert_eq!(seen.take(), [Checkpoint::Killed { nth: 2 }, Checkpoint::Killed { nth: 3 }]);
}

#[tokio::test]
async fn a_program_may_exit_before_it_is_killed() {
    let end = kill_when(shell("echo text; echo more >&2; exit 3"), std::future::pending()).await;

    let ProgramEnd::Exited { status, printed } = end else { panic!("{end:?}") };
    assert_eq!((status.code(), printed.as_str()), (Some(3), "text\nmore\n"));
}

#[tokio::test]
async fn a_child_of_a_killed_program_may_end_by_itself() {
    let dir = temp_dir();
    // The reader ends with the only writer, which is the shell.
    let script = "mkfifo pipe; cat pipe & exec 9>pipe; touch ready; wait";

    let end = kill_when(shell_in(&dir, script), ready(&dir)).await;

    assert!(matches!(end, ProgramEnd::Killed));
}

#[tokio::test]
#[should_panic(expected = "processes were left: [Process { pid: ")]
async fn a_child_that_outlives_a_killed_program_fails_the_test() {
    let dir = temp_dir();

    kill_when(shell_in(&dir, "sleep 1000 & touch ready; wait"), ready(&dir)).await;
}

#[tokio::test]
#[should_panic(expected = "ended with exit status: 4: the reason")]
async fn the_output_of_a_program_that_must_succeed_is_shown() {
    run_to_success(shell("echo the reason; exit 4")).await;
}

#[tokio::test]
async fn a_test_reads_the_bucket_without_calls() {
    let s3 = TestS3::start_with(Versioning::Enabled, 4).await;
    run_to_success(program(&s3, "a b", 1)).await;
    let calls = s3.faults().calls_total();

    assert_eq!(s3.objects(), [("1/a".to_owned(), 0), ("1/b".to_owned(), 0)].into());
    assert_eq!(s3.object("1/a").await, Some(vec![]));
    assert_eq!(s3.object("1/c").await, None);
    assert_eq!(s3.uploads(), [""; 0]);
    assert_eq!(s3.faults().calls_total(), calls, "reading makes no call");
}

fn program(s3: &TestS3, order: &str, prefix: u64) -> Command {
    let mut command = Command::new(env::current_exe().expect("this binary"));
    command.args(["--exact", "kill::the_program_that_is_killed", "--nocapture"]);
    command.envs(s3.env()).env(ORDER, order).env(PREFIX, prefix.to_string());
    command
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn shell_in(dir: &TempDir, script: &str) -> Command {
    let mut command = shell(script);
    command.current_dir(dir.path());
    command
}

/// Waits until a program has created the file `ready`.
async fn ready(dir: &TempDir) {
    let file = dir.path().join("ready");
    let waiting = tokio::task::spawn_blocking(move || {
        assert!(
            wait_until(Duration::from_secs(60), || file.exists()),
            "the file was never created"
        );
    });
    waiting.await.expect("a program that gets ready");
}

/// Returns the keys below a prefix, without the prefix.
fn names(s3: &TestS3, prefix: u64) -> Vec<String> {
    let keys = s3.keys().into_iter();
    keys.filter_map(|key| Some(key.strip_prefix(&format!("{prefix}/"))?.to_owned())).collect()
}

fn client() -> Client {
    let var = |name| env::var_os(name).expect("as set").into_string().expect("text");
    let key = Credentials::new(
        var("AWS_ACCESS_KEY_ID"),
        var("AWS_SECRET_ACCESS_KEY"),
        None,
        None,
        "test",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(key)
        .endpoint_url(var("AWS_ENDPOINT_URL"))
        .force_path_style(true)
        .region(Region::new(var("AWS_REGION")))
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

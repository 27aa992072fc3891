//! Kills a program (-9) at each of its S3 calls in turn, and runs it again.
//!
//! The answer of the n-th call is held back: its work is done in the bucket,
//! and the program is killed before it hears of that. As the calls follow each
//! other, that is also the world before the next call. The loop ends when the
//! program ends before its n-th call, so that a call which is added some day
//! is covered from that day on.
//!
//! After a kill, whatever the program had started has to end by itself: an
//! orphan that stays fails the test, and is killed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use s3up_devstore::DevStore;
use tokio::process::Child;
use tokio::time::timeout;

use crate::processes::Marker;

/// Enough for a scenario that anybody wants to wait for: each call costs two runs.
const CALLS_MAX: u64 = 1000;
/// A program that takes longer hangs.
const RUN_LIMIT: Duration = Duration::from_secs(120);
/// The end of what a program printed, for the message of a failure.
const OUTPUT_SHOWN_BYTES: u64 = 8 << 10;

/// When the invariant is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The program was killed at this call.
    Killed { nth: u64 },
    /// And was run again, with success.
    RunAgain { nth: u64 },
    /// It ran without being killed.
    Undisturbed,
}

/// How a run ended that was to be killed.
#[derive(Debug)]
pub enum End {
    Killed,
    /// Before it could be killed, with the end of what it printed.
    Exited {
        status: ExitStatus,
        printed: String,
    },
}

/// For nth = 1, 2, ...: prepares, runs the program and kills it at its nth call,
/// checks, runs it again, checks. Returns at how many calls it was killed.
///
/// `prepare` gives each round a world of its own (a prefix, a folder), for which
/// nth is a good name; the command that follows works in it.
pub async fn kill_at_each_call(
    s3: &DevStore,
    mut prepare: impl AsyncFnMut(u64),
    mut command: impl FnMut() -> Command,
    mut check: impl AsyncFnMut(Moment),
) -> u64 {
    for nth in 1..=CALLS_MAX {
        prepare(nth).await;
        let held = s3.faults().hold(nth);
        let end = kill_when(command(), held.reached()).await;
        let has_fired = held.has_fired();
        // The checks may make calls of their own.
        held.release();
        if let (false, End::Exited { status, printed }) = (has_fired, end) {
            assert!(status.success(), "undisturbed, it ended with {status}: {printed}");
            check(Moment::Undisturbed).await;
            return nth - 1;
        }
        check(Moment::Killed { nth }).await;
        run_to_success(command()).await;
        check(Moment::RunAgain { nth }).await;
    }
    panic!("after {CALLS_MAX} calls the program still makes more");
}

/// Runs a program, kills it at a moment, and waits until nothing of it is left.
pub async fn kill_when(command: Command, moment: impl Future<Output = ()>) -> End {
    let mut program = Program::start(command);
    let ended = tokio::select! {
        biased;
        () = moment => None,
        status = program.ended() => Some(status),
    };
    if ended.is_none() {
        program.child.kill().await.expect("a child of ours can be killed");
    }
    program.assert_all_gone().await;
    match ended {
        None => End::Killed,
        Some(status) => End::Exited { status, printed: program.printed() },
    }
}

/// Runs a program that has to succeed, and waits until nothing of it is left.
/// Returns the end of what it printed, on stdout and stderr.
pub async fn run_to_success(command: Command) -> String {
    let mut program = Program::start(command);
    let status = program.ended().await;
    let printed = program.printed();
    assert!(status.success(), "the program ended with {status}: {printed}");
    program.assert_all_gone().await;
    printed
}

struct Program {
    child: Child,
    marker: Marker,
    /// A file, which takes what a killed program and its orphans still print.
    output: File,
}

impl Program {
    fn start(mut command: Command) -> Program {
        let (marker, output) = (Marker::new(), tempfile::tempfile().expect("a temporary file"));
        let clone = || output.try_clone().expect("another descriptor");
        command
            .stdin(Stdio::null())
            .stdout(clone())
            .stderr(clone())
            .env(marker.env().0, marker.env().1);
        let mut command = tokio::process::Command::from(command);
        let child = command.spawn().unwrap_or_else(|err| panic!("start {command:?}: {err}"));
        Program { child, marker, output }
    }

    async fn ended(&mut self) -> ExitStatus {
        match timeout(RUN_LIMIT, self.child.wait()).await {
            Ok(status) => status.expect("a child of ours can be waited for"),
            Err(_) => panic!("after {RUN_LIMIT:?} the program still runs: {}", self.printed()),
        }
    }

    async fn assert_all_gone(&self) {
        let marker = self.marker.clone();
        let looking = tokio::task::spawn_blocking(move || marker.assert_none_left());
        looking.await.unwrap_or_else(|err| std::panic::resume_unwind(err.into_panic()));
    }

    fn printed(&self) -> String {
        let len = self.output.metadata().expect("a file of ours").len();
        let from = len.saturating_sub(OUTPUT_SHOWN_BYTES);
        let mut shown = vec![0; (len - from) as usize];
        self.output.read_exact_at(&mut shown, from).expect("what was printed");
        String::from_utf8_lossy(&shown).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.marker.kill_all();
    }
}

//! Kills a program (SIGKILL) at each of its S3 calls in turn, and runs it again.
//!
//! The answer of the n-th call is held back: the bucket has its effect, and the
//! program is killed before it gets the answer. That is also the state before the
//! next call. The loop ends when the program exits before its n-th call, so a
//! call that is added later is covered automatically.
//!
//! After a kill, all processes that the program had started must end by
//! themselves. An orphan fails the test and is killed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use s3up_devstore::DevStore;
use tokio::process::Child;
use tokio::time::timeout;

use crate::processes::ProcessTag;

/// More calls than any scenario makes. Each call costs two runs of the program.
const CALLS_MAX: u64 = 1000;
/// Maximum time of a run. A program that takes longer is considered hung.
const RUN_LIMIT: Duration = Duration::from_secs(120);
/// Length of the tail of the output that a failure shows.
const OUTPUT_SHOWN_BYTES: u64 = 8 << 10;

/// The moment at which `kill_at_each_call` checks the invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// The program was killed at its `nth` call.
    Killed { nth: u64 },
    /// The program was run again after that kill, and succeeded.
    Rerun { nth: u64 },
    /// The program ran to its end without being killed.
    Uninterrupted,
}

/// The end of a program that `kill_when` ran.
#[derive(Debug)]
pub enum ProgramEnd {
    Killed,
    /// It exited before it could be killed. `printed` is the tail of its output.
    Exited {
        status: ExitStatus,
        printed: String,
    },
}

/// Kills a program at each of its S3 calls.
///
/// For nth = 1, 2, ... it prepares, runs the program, kills it at its nth call,
/// checks, runs it again, and checks again. Returns at how many calls the program
/// was killed. `prepare` gives each round its own environment (a prefix, a directory),
/// for which nth is a good name; the next command uses it.
pub async fn kill_at_each_call(
    s3: &DevStore,
    mut prepare: impl AsyncFnMut(u64),
    mut command: impl FnMut() -> Command,
    mut check: impl AsyncFnMut(Checkpoint),
) -> u64 {
    for nth in 1..=CALLS_MAX {
        prepare(nth).await;
        let held = s3.faults().hold(nth);
        let end = kill_when(command(), held.reached()).await;
        let has_fired = held.has_fired();
        // The checks may make S3 calls too.
        held.release();
        if let (false, ProgramEnd::Exited { status, printed }) = (has_fired, end) {
            assert!(
                status.success(),
                "the program was not killed, but ended with {status}: {printed}"
            );
            check(Checkpoint::Uninterrupted).await;
            return nth - 1;
        }
        check(Checkpoint::Killed { nth }).await;
        run_to_success(command()).await;
        check(Checkpoint::Rerun { nth }).await;
    }
    panic!("the program makes more than {CALLS_MAX} calls");
}

/// Runs a program, kills it when `moment` is ready, and waits until none of its
/// processes is left.
pub async fn kill_when(command: Command, moment: impl Future<Output = ()>) -> ProgramEnd {
    let mut program = Program::start(command);
    let ended = tokio::select! {
        biased;
        () = moment => None,
        status = program.ended() => Some(status),
    };
    if ended.is_none() {
        program.child.kill().await.expect("a child of ours can be killed");
    }
    program.assert_no_process_left().await;
    match ended {
        None => ProgramEnd::Killed,
        Some(status) => ProgramEnd::Exited { status, printed: program.printed() },
    }
}

/// Runs a program that must succeed, and waits until none of its processes is
/// left. Returns the tail of its stdout and stderr.
pub async fn run_to_success(command: Command) -> String {
    let mut program = Program::start(command);
    let status = program.ended().await;
    let printed = program.printed();
    assert!(status.success(), "the program ended with {status}: {printed}");
    program.assert_no_process_left().await;
    printed
}

struct Program {
    child: Child,
    tag: ProcessTag,
    /// A file, so that a killed program and its orphans can still write to it.
    output: File,
}

impl Program {
    fn start(mut command: Command) -> Program {
        let (tag, output) = (ProcessTag::new(), tempfile::tempfile().expect("a temporary file"));
        let clone = || output.try_clone().expect("another descriptor");
        command.stdin(Stdio::null()).stdout(clone()).stderr(clone()).env(tag.env().0, tag.env().1);
        let mut command = tokio::process::Command::from(command);
        let child = command.spawn().unwrap_or_else(|err| panic!("start {command:?}: {err}"));
        Program { child, tag, output }
    }

    async fn ended(&mut self) -> ExitStatus {
        match timeout(RUN_LIMIT, self.child.wait()).await {
            Ok(status) => status.expect("a child of ours can be waited for"),
            Err(_) => panic!("the program still runs after {RUN_LIMIT:?}: {}", self.printed()),
        }
    }

    async fn assert_no_process_left(&self) {
        let tag = self.tag.clone();
        let checking = tokio::task::spawn_blocking(move || tag.assert_no_process_left());
        checking.await.unwrap_or_else(|err| std::panic::resume_unwind(err.into_panic()));
    }

    fn printed(&self) -> String {
        let len = self.output.metadata().expect("a file of ours").len();
        let from = len.saturating_sub(OUTPUT_SHOWN_BYTES);
        let mut shown = vec![0; (len - from) as usize];
        self.output.read_exact_at(&mut shown, from).expect("a readable output file");
        String::from_utf8_lossy(&shown).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.tag.kill_all();
    }
}

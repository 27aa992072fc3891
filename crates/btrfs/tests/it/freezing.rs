//! A real `btrfs send` is frozen and thawed in mid-stream. The kernel then restarts its
//! work, so that part of a stream is followed by a whole one, and the program exits with
//! 0.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use s3up_devstore::Op;
use s3up_testkit::{assert_same_tree, noise, wait_until};

use crate::fixture::{RETRY_FOR, Ran, World};

/// More than the buffers of a backup hold, so that the send waits while S3 is held up.
const STREAM_BYTES: u64 = 96 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_is_stopped_and_continued_is_sent_again() {
    frozen_and_thawed(|pid| {
        let signal = |signal| kill_process(pid, signal).expect("a process of ours");
        signal(Signal::STOP);
        assert!(wait_until(RETRY_FOR, || state(pid) == "T"), "it is {}", state(pid));
        signal(Signal::CONT);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_the_cgroup_freezer_held_is_sent_again() {
    let Some(freezer) = Freezer::new_or_say() else { return };
    frozen_and_thawed(|pid| freezer.freeze_and_thaw(pid)).await;
}

async fn frozen_and_thawed(freeze: impl Fn(Pid)) {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::write(data.join("big"), noise(STREAM_BYTES)).expect("a written file");
    let held = world.s3.faults().hold_op(Op::UploadPart, 2);
    let run = world.command(&["backup", "--once"]).spawn().expect("the program");
    held.reached().await;
    let pid = waiting_send(run.id().expect("it runs"));

    freeze(pid);
    held.release();
    let ran = Ran::of(run.wait_with_output().await.expect("its end"));

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("event=send_repeated subvolume=data attempt=1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("is not a sound stream"), "{}", ran.stderr);
    let target = world.fs.path().join("restored");
    let restored = world.restore("data", &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&data, &target);
    world.assert_nothing_runs();
}

/// Waits until the `btrfs send` of a run waits for its pipe, and returns it. It is then in
/// the kernel, in the middle of its stream.
fn waiting_send(run: u32) -> Pid {
    let mut found = None;
    let waits = wait_until(RETRY_FOR, || {
        let entries = fs::read_dir(format!("/proc/{run}/task")).expect("a process of ours");
        let tasks = entries.flatten().map(|task| task.path().join("children"));
        let all: String = tasks.filter_map(|path| fs::read_to_string(path).ok()).collect();
        found = all.split_whitespace().next().and_then(|pid| pid.parse().ok());
        found.is_some_and(is_in_mid_stream)
    });
    assert!(waits, "the send {found:?} does not wait for its pipe");
    Pid::from_raw(found.expect("it waits")).expect("a process")
}

fn is_in_mid_stream(send: i32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{send}/task")).into_iter().flatten().flatten();
    tasks.into_iter().any(|task| {
        let calls = fs::read_to_string(task.path().join("stack")).unwrap_or_default();
        calls.contains("btrfs_ioctl_send") && calls.contains("pipe_write")
    })
}

/// Returns the state as `ps` shows it: "T" means stopped.
fn state(pid: Pid) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("State:"));
    line.unwrap_or("gone").trim().chars().take(1).collect()
}

/// A control group of this test, of either version.
struct Freezer {
    group: PathBuf,
    version: Version,
}

enum Version {
    One,
    Two,
}

impl Freezer {
    #[expect(clippy::print_stdout, reason = "./check counts these lines")]
    fn new_or_say() -> Option<Freezer> {
        let freezer = Freezer::new();
        if freezer.is_none() {
            println!("NOT RUN: no freezer of control groups here");
        }
        freezer
    }

    fn new() -> Option<Freezer> {
        let root = Path::new("/sys/fs/cgroup");
        let (parent, version) = if root.join("cgroup.controllers").exists() {
            (root.to_owned(), Version::Two)
        } else {
            (root.join("freezer"), Version::One)
        };
        let group = parent.join(format!("s3up-test-{}", std::process::id()));
        fs::create_dir(&group).ok()?;
        let freezer = Freezer { group, version };
        freezer.file(freezer.switch().0).exists().then_some(freezer)
    }

    /// Returns the file to write, the words that freeze and thaw, and the file and text that
    /// confirm the freeze.
    fn switch(&self) -> (&str, &str, &str, (&str, &str)) {
        match self.version {
            Version::One => ("freezer.state", "FROZEN", "THAWED", ("freezer.state", "FROZEN")),
            Version::Two => ("cgroup.freeze", "1", "0", ("cgroup.events", "frozen 1")),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.group.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("a control group of ours");
    }

    fn freeze_and_thaw(&self, pid: Pid) {
        self.write("cgroup.procs", &pid.as_raw_nonzero().to_string());
        let (file, freeze, thaw, (events, frozen)) = self.switch();
        self.write(file, freeze);
        let says = || fs::read_to_string(self.file(events)).expect("a control group of ours");
        assert!(wait_until(RETRY_FOR, || says().contains(frozen)), "{}", says());
        self.write(file, thaw);
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        // It can be removed once its last process is gone.
        let gone = wait_until(RETRY_FOR, || fs::remove_dir(&self.group).is_ok());
        assert!(gone || std::thread::panicking(), "{:?} is still there", self.group);
    }
}

//! Each way to go wrong, with the real `btrfs` behind it. Needs root.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use s3up_testkit::{
    BtrfsFs, Call, Cue, Does, Ends, Node, StandIn, Tree, Turn, assert_same_tree, btrfs_or_skip,
    file,
};

const MIB: u64 = 1 << 20;
/// More than a pipe holds, so that who does not read it stands still.
const CONTENT_BYTES: usize = 300_000;

#[test]
fn without_a_cue_it_is_the_real_one() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([]);

    let output = world.send(&stand_in);
    let odd = ["--version", "two\nlines", ""];
    assert!(command(&stand_in, &odd).output().unwrap().status.success());

    assert_eq!(said(&output), (Some(0), world.stream.as_slice(), false));
    let args = stand_in.calls().into_iter().map(|call| call.args).collect::<Vec<_>>();
    assert_eq!(args[0], ["send".as_ref(), world.snapshot.as_os_str()]);
    assert_eq!(args[1], odd);
    assert_eq!(stand_in.calls_of("send").len(), 1);
    stand_in.assert_no_process_left();
}

#[test]
fn a_send_goes_wrong_as_it_was_told() {
    let Some(world) = World::new() else { return };
    let whole = world.stream.as_slice();
    let first = &whole[..100_000];
    let mut flipped = whole.to_vec();
    flipped[100_000] ^= 0xFF;
    let twice = [first, whole].concat();
    #[rustfmt::skip]
    let cases = [
        // what it does                           exits with  sends     and complains
        (Does::FailsAfter { bytes: 100_000 },     Some(1),    first,    true),
        (Does::FailsAfter { bytes: 0 },           Some(1),    &[],      true),
        (Does::DiesAfter { bytes: 100_000 },      None,       first,    false),
        (Does::CutsAfter { bytes: 100_000 },      Some(0),    first,    false),
        (Does::FlipsByteAt { offset: 100_000 },   Some(0),    &flipped, false),
        (Does::StartsOverAfter { bytes: 100_000 },Some(0),    &twice,   false),
        (Does::FailsAtTheEnd,                     Some(1),    whole,    true),
        (flood(0, Ends::Well),                    Some(0),    whole,    true),
        (flood(100_000, Ends::Well),              Some(0),    whole,    true),
        (flood(100_000, Ends::Badly),             Some(1),    whole,    true),
    ];
    for (does, code, stream, complains) in cases {
        let stand_in = StandIn::new([every("send", does)]);

        let output = world.send(&stand_in);

        assert!(said(&output) == (code, stream, complains), "{does:?}: {}", summary(&output));
        let floods = matches!(does, Does::FloodsStderr { .. });
        assert_eq!(output.stderr.len() as u64 > MIB, floods, "{does:?}");
        assert_eq!(output.status.signal(), code.is_none().then_some(9), "{does:?}");
        assert_eq!(stand_in.unfired(), []);
        stand_in.assert_no_process_left();
    }
}

#[test]
fn any_byte_is_flipped() {
    let Some(world) = World::new() else { return };
    // The stream begins with its magic: letters, a dash and a zero byte.
    for offset in [0, 5, 12, world.stream.len() - 1] {
        let stand_in = StandIn::new([every("send", Does::FlipsByteAt { offset: offset as u64 })]);

        let got = world.send(&stand_in).stdout;

        assert_eq!(got.len(), world.stream.len());
        let changed: Vec<_> = (0..got.len()).filter(|n| got[*n] != world.stream[*n]).collect();
        assert_eq!((changed, got[offset]), (vec![offset], !world.stream[offset]));
    }
}

#[test]
fn who_hangs_ends_when_it_is_told_and_leaves_nothing() {
    let Some(world) = World::new() else { return };
    #[rustfmt::skip]
    let cases = [
        // what it does                                 told              ended by
        (Does::HangsAfter { bytes: 30_000 },       vec![Signal::TERM],               15),
        (Does::HangsAfter { bytes: 0 },             vec![Signal::TERM],               15),
        (Does::IgnoresTermAfter { bytes: 30_000 }, vec![Signal::TERM, Signal::KILL], 9),
    ];
    for (does, signals, ended_by) in cases {
        let stand_in = StandIn::new([every("send", does)]);
        let mut child = world.start_send(&stand_in);
        child.wait_until_hanging(&stand_in);
        let pid = Pid::from_child(&child.0);

        signals.iter().for_each(|signal| kill_process(pid, *signal).unwrap());
        let status = child.0.wait().unwrap();

        assert_eq!(status.signal(), Some(ended_by), "{does:?}");
        let mut rest = Vec::new();
        child.0.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
        assert!(world.stream.starts_with(&rest), "{does:?}");
        stand_in.assert_no_process_left();
    }
}

#[test]
fn killed_in_mid_stream_it_leaves_nothing() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([every("send", Does::FlipsByteAt { offset: 1 })]);
    let mut child = world.start_send(&stand_in);
    child.0.stdout.as_mut().unwrap().read_exact(&mut [0; 10]).unwrap();
    assert!(!stand_in.processes().is_empty());

    child.0.kill().unwrap();
    child.0.wait().unwrap();
    drop(child);

    stand_in.assert_no_process_left();
}

#[test]
fn dropping_it_ends_what_hangs() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([every("send", Does::IgnoresTermAfter { bytes: 0 })]);
    let mut child = world.start_send(&stand_in);
    child.wait_until_hanging(&stand_in);

    drop(stand_in);

    assert_eq!(child.0.wait().unwrap().signal(), Some(9));
}

#[test]
fn only_the_call_that_was_meant_goes_wrong() {
    let Some(world) = World::new() else { return };
    let nth = |n, does| Cue { command: "send", call: Turn::Nth(n), does };
    let fails = Does::FailsAfter { bytes: 0 };
    let stand_in = StandIn::new([nth(3, fails), nth(2, fails), nth(5, fails)]);

    let codes = [(); 4].map(|()| world.send(&stand_in).status.code());

    assert_eq!(codes, [Some(0), Some(1), Some(1), Some(0)]);
    assert_eq!(stand_in.unfired(), [nth(5, fails)]);
}

#[test]
fn calls_at_the_same_time_are_counted_apart() {
    let Some(world) = World::new() else { return };
    let cue = Cue { command: "send", call: Turn::Nth(5), does: Does::FailsAfter { bytes: 0 } };
    let stand_in = StandIn::new([cue]);

    let codes: Vec<_> = std::thread::scope(|scope| {
        let sends = [(); 8].map(|()| scope.spawn(|| world.send(&stand_in).status.code()));
        sends.into_iter().map(|send| send.join().unwrap()).collect()
    });

    assert_eq!(codes.iter().filter(|code| **code == Some(1)).count(), 1, "{codes:?}");
    let mut pids: Vec<_> = stand_in.calls().iter().map(|call: &Call| call.pid).collect();
    pids.dedup();
    assert_eq!(pids.len(), 8);
}

#[test]
fn a_receive_goes_wrong_as_it_was_told() {
    let Some(world) = World::new() else { return };
    #[rustfmt::skip]
    let cases = [
        // what it does                          exits with  all is received
        (Does::FailsAfter { bytes: 0 },          Some(1),    false),
        (Does::FailsAfter { bytes: 100_000 },    Some(1),    false),
        (Does::DiesAfter { bytes: 100_000 },     None,       false),
        (Does::CutsAfter { bytes: 100_000 },     Some(0),    false),
        (Does::FlipsByteAt { offset: 100_000 },  Some(1),    false),
        (Does::FailsAtTheEnd,                    Some(1),    true),
        (flood(0, Ends::Well),                   Some(0),    true),
        (flood(100_000, Ends::Badly),            Some(1),    true),
    ];
    for (n, (does, code, is_whole)) in cases.into_iter().enumerate() {
        let stand_in = StandIn::new([every("receive", does)]);
        let target = world.fs.path().join(format!("received-{n}"));
        std::fs::create_dir(&target).unwrap();

        let output = world.receive(&stand_in, &target);

        assert_eq!(output.status.code(), code, "{does:?}: {}", summary(&output));
        let received = target.join("snapshot");
        if is_whole {
            assert_same_tree(&world.snapshot, &received);
        } else if does != (Does::FailsAfter { bytes: 0 }) {
            assert!(received.join("file").exists(), "{does:?}: a part of it was received");
            let was_sealed = std::fs::write(received.join("new"), "").is_err();
            assert!(!was_sealed, "{does:?}: it is as if the work were under way");
        } else {
            assert!(!received.exists(), "{does:?}");
        }
        stand_in.assert_no_process_left();
    }
}

#[test]
fn a_receive_that_hangs_can_be_ended() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([every("receive", Does::HangsAfter { bytes: 0 })]);
    let mut command = command(&stand_in, &["receive", world.fs.path().to_str().unwrap()]);
    let mut child = Ended(command.stdin(Stdio::piped()).spawn().unwrap());
    child.wait_until_hanging(&stand_in);

    // Waiting for its end closes the pipe that is left in there.
    let mut stdin = child.0.stdin.take().unwrap();
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    assert_eq!(child.0.wait().unwrap().signal(), Some(15));

    // Nobody is left who could read.
    let err = stdin.write_all(&world.stream).unwrap_err();
    assert_eq!(err.kind(), std::io::ErrorKind::BrokenPipe);
    stand_in.assert_no_process_left();
}

#[test]
fn any_command_can_fail() {
    let Some(world) = World::new() else { return };
    let path = |name: &str| world.fs.path().join(name).to_str().unwrap().to_owned();
    let (fails, late) = (Does::FailsAfter { bytes: 0 }, Does::FailsAtTheEnd);
    let stand_in =
        StandIn::new([every("subvolume snapshot", fails), every("subvolume create", late)]);
    let run = |args: &[&str]| command(&stand_in, args).output().unwrap();

    let failed = run(&["subvolume", "snapshot", "-r", &path("data"), &path("copy")]);
    let failed_late = run(&["-q", "subvolume", "create", &path("late")]);
    let listed = run(&["subvolume", "list", &path(".")]);

    assert_eq!((failed.status.code(), failed_late.status.code()), (Some(1), Some(1)));
    assert!(String::from_utf8(failed.stderr).unwrap().contains(StandIn::COMPLAINT));
    let names = String::from_utf8(listed.stdout).unwrap();
    assert!(names.contains("late") && !names.contains("copy"), "{names}");
    assert_eq!(stand_in.calls_of("subvolume snapshot").len(), 1);
    assert_eq!(stand_in.calls_of("subvolume create").len(), 1);
    assert_eq!(stand_in.calls_of("subvolume").len(), 3);
}

/// A filesystem with a snapshot, and the stream that the real `btrfs` makes of it.
struct World {
    fs: BtrfsFs,
    snapshot: PathBuf,
    stream: Vec<u8>,
}

impl World {
    /// `None` where that cannot be; the test then has said so.
    fn new() -> Option<World> {
        if !btrfs_or_skip() {
            return None;
        }
        let fs = BtrfsFs::create(256 * MIB);
        let data = fs.subvolume("data");
        let content: Vec<u8> = (0..=250).cycle().take(CONTENT_BYTES).collect();
        Tree::new([file("file", content), odd_file()]).write(&data);
        let snapshot = fs.snapshot(&data, "snapshot");
        let send = Command::new("btrfs").arg("send").arg(&snapshot).output().expect("btrfs");
        assert!(send.stdout.len() > CONTENT_BYTES, "{}", summary(&send));
        Some(World { fs, snapshot, stream: send.stdout })
    }

    fn send(&self, stand_in: &StandIn) -> Output {
        self.start_send(stand_in).output()
    }

    fn start_send(&self, stand_in: &StandIn) -> Ended {
        let mut command = command(stand_in, &["send"]);
        let command = command.arg(&self.snapshot).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ended(command.spawn().expect("the stand-in"))
    }

    fn receive(&self, stand_in: &StandIn, target: &std::path::Path) -> Output {
        let mut command = command(stand_in, &["receive"]);
        let command = command.arg(target).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Ended(command.spawn().expect("the stand-in"));
        let mut stdin = child.0.stdin.take().expect("a pipe");
        std::thread::scope(|scope| {
            // One that goes wrong does not read all of it.
            scope.spawn(move || stdin.write_all(&self.stream).ok());
            child.output()
        })
    }
}

fn odd_file() -> Node {
    file(b"odd \xff name", "x").mode(0o600).xattr("user.note", "kept")
}

/// A child that does not outlive a test that fails.
struct Ended(Child);

impl Ended {
    fn wait_until_hanging(&self, stand_in: &StandIn) {
        let hangs = || {
            let all = stand_in.processes();
            all.iter().any(|it| it.pid == self.0.id() && it.command.starts_with("sleep "))
        };
        assert!(s3up_testkit::wait_until(std::time::Duration::from_secs(10), hangs));
    }

    fn output(mut self) -> Output {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (out, err) = (self.0.stdout.take(), self.0.stderr.take());
        std::thread::scope(|scope| {
            scope.spawn(|| out.map(|mut out| out.read_to_end(&mut stdout)));
            scope.spawn(|| err.map(|mut err| err.read_to_end(&mut stderr)));
        });
        let status = self.0.wait().expect("an end");
        Output { status, stdout, stderr }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn command(stand_in: &StandIn, args: &[&str]) -> Command {
    let mut command = Command::new("btrfs");
    command.args(args).env("PATH", stand_in.path_var());
    command
}

fn every(command: &'static str, does: Does) -> Cue {
    Cue { command, call: Turn::Every, does }
}

fn flood(after_bytes: u64, ends: Ends) -> Does {
    Does::FloodsStderr { after_bytes, flood_bytes: 2 * MIB, ends }
}

/// Exit code, stream, and whether there was a complaint.
fn said(output: &Output) -> (Option<i32>, &[u8], bool) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), &output.stdout, stderr.contains(StandIn::COMPLAINT))
}

fn summary(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr: String = stderr.chars().take(500).collect();
    format!("{}, {} bytes, {stderr}", output.status, output.stdout.len())
}

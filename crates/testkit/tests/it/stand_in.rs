//! Every fault of the stand-in, with the real `btrfs`. Needs root.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use s3up_testkit::{
    BtrfsFault, BtrfsFs, Call, Calls, ExitAs, InjectedFault, Node, StandIn, Tree, assert_same_tree,
    btrfs_or_skip, file,
};

const MIB: u64 = 1 << 20;
/// More than a pipe holds, so that a writer blocks if its reader stops.
const CONTENT_BYTES: usize = 300_000;

#[test]
fn without_a_fault_it_is_the_real_one() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([]);

    let output = world.send(&stand_in);
    let odd = ["--version", "two\nlines", ""];
    assert!(command(&stand_in, &odd).output().unwrap().status.success());

    assert_eq!(result_of(&output), (Some(0), world.stream.as_slice(), false));
    let args = stand_in.calls().into_iter().map(|call| call.args).collect::<Vec<_>>();
    assert_eq!(args[0], ["send".as_ref(), world.snapshot.as_os_str()]);
    assert_eq!(args[1], odd);
    assert_eq!(stand_in.calls_of("send").len(), 1);
    stand_in.assert_no_process_left();
}

#[test]
fn a_forecast_is_no_send() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([every("forecast", BtrfsFault::FailsAfter { bytes: 0 })]);
    let snapshot = world.snapshot.to_str().unwrap();

    let forecast = command(&stand_in, &["send", "--no-data", "-q", snapshot]).output().unwrap();
    let identity = command(&stand_in, &["send", "-q", "--no-data", snapshot]).output().unwrap();

    assert_eq!(forecast.status.code(), Some(1));
    assert_eq!(identity.status.code(), Some(0));
    assert_eq!((stand_in.calls_of("send").len(), stand_in.calls_of("forecast").len()), (1, 1));
    assert!(stand_in.unfired().is_empty());
}

#[test]
fn a_send_has_the_injected_fault() {
    let Some(world) = World::new() else { return };
    let whole = world.stream.as_slice();
    let first = &whole[..100_000];
    let mut flipped = whole.to_vec();
    flipped[100_000] ^= 0xFF;
    let twice = [first, whole].concat();
    #[rustfmt::skip]
    let cases = [
        // injected fault                        exits with  sends     prints the error
        (BtrfsFault::FailsAfter { bytes: 100_000 },     Some(1),    first,    true),
        (BtrfsFault::FailsAfter { bytes: 0 },           Some(1),    &[],      true),
        (BtrfsFault::DiesAfter { bytes: 100_000 },      None,       first,    false),
        (BtrfsFault::CutsAfter { bytes: 100_000 },      Some(0),    first,    false),
        (BtrfsFault::FlipsByteAt { offset: 100_000 },   Some(0),    &flipped, false),
        (BtrfsFault::StartsOverAfter { bytes: 100_000 },Some(0),    &twice,   false),
        (BtrfsFault::FailsAtTheEnd,                     Some(1),    whole,    true),
        (flood(0, ExitAs::Success),                    Some(0),    whole,    true),
        (flood(100_000, ExitAs::Success),              Some(0),    whole,    true),
        (flood(100_000, ExitAs::Failure),             Some(1),    whole,    true),
    ];
    for (fault, code, stream, prints_error) in cases {
        let stand_in = StandIn::new([every("send", fault)]);

        let output = world.send(&stand_in);

        assert!(
            result_of(&output) == (code, stream, prints_error),
            "{fault:?}: {}",
            summary(&output)
        );
        let floods = matches!(fault, BtrfsFault::FloodsStderr { .. });
        assert_eq!(output.stderr.len() as u64 > MIB, floods, "{fault:?}");
        assert_eq!(output.status.signal(), code.is_none().then_some(9), "{fault:?}");
        assert_eq!(stand_in.unfired(), []);
        stand_in.assert_no_process_left();
    }
}

#[test]
fn any_byte_is_flipped() {
    let Some(world) = World::new() else { return };
    // The stream begins with its magic: letters, a dash and a zero byte.
    for offset in [0, 5, 12, world.stream.len() - 1] {
        let stand_in =
            StandIn::new([every("send", BtrfsFault::FlipsByteAt { offset: offset as u64 })]);

        let got = world.send(&stand_in).stdout;

        assert_eq!(got.len(), world.stream.len());
        let changed: Vec<_> = (0..got.len()).filter(|n| got[*n] != world.stream[*n]).collect();
        assert_eq!((changed, got[offset]), (vec![offset], !world.stream[offset]));
    }
}

#[test]
fn a_hanging_send_ends_by_its_signal_and_leaves_no_process() {
    let Some(world) = World::new() else { return };
    #[rustfmt::skip]
    let cases = [
        // injected fault                              signals           ended by
        (BtrfsFault::HangsAfter { bytes: 30_000 },       vec![Signal::TERM],               15),
        (BtrfsFault::HangsAfter { bytes: 0 },             vec![Signal::TERM],               15),
        (BtrfsFault::IgnoresTermAfter { bytes: 30_000 }, vec![Signal::TERM, Signal::KILL], 9),
    ];
    for (fault, signals, ended_by) in cases {
        let stand_in = StandIn::new([every("send", fault)]);
        let mut child = world.start_send(&stand_in);
        child.wait_until_hanging(&stand_in);
        let pid = Pid::from_child(&child.0);

        signals.iter().for_each(|signal| kill_process(pid, *signal).unwrap());
        let status = child.0.wait().unwrap();

        assert_eq!(status.signal(), Some(ended_by), "{fault:?}");
        let mut rest = Vec::new();
        child.0.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
        assert!(world.stream.starts_with(&rest), "{fault:?}");
        stand_in.assert_no_process_left();
    }
}

#[test]
fn a_send_that_is_killed_in_mid_stream_leaves_no_process() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([every("send", BtrfsFault::FlipsByteAt { offset: 1 })]);
    let mut child = world.start_send(&stand_in);
    child.0.stdout.as_mut().unwrap().read_exact(&mut [0; 10]).unwrap();
    assert!(!stand_in.processes().is_empty());

    child.0.kill().unwrap();
    child.0.wait().unwrap();
    drop(child);

    stand_in.assert_no_process_left();
}

#[test]
fn dropping_the_stand_in_kills_its_processes() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([every("send", BtrfsFault::IgnoresTermAfter { bytes: 0 })]);
    let mut child = world.start_send(&stand_in);
    child.wait_until_hanging(&stand_in);

    drop(stand_in);

    assert_eq!(child.0.wait().unwrap().signal(), Some(9));
}

#[test]
fn only_the_chosen_call_fails() {
    let Some(world) = World::new() else { return };
    let nth = |n, fault| InjectedFault { command: "send", call: Calls::Nth(n), fault };
    let fails = BtrfsFault::FailsAfter { bytes: 0 };
    let stand_in = StandIn::new([nth(3, fails), nth(2, fails), nth(5, fails)]);

    let codes = [(); 4].map(|()| world.send(&stand_in).status.code());

    assert_eq!(codes, [Some(0), Some(1), Some(1), Some(0)]);
    assert_eq!(stand_in.unfired(), [nth(5, fails)]);
}

#[test]
fn parallel_calls_are_counted_separately() {
    let Some(world) = World::new() else { return };
    let injected = InjectedFault {
        command: "send",
        call: Calls::Nth(5),
        fault: BtrfsFault::FailsAfter { bytes: 0 },
    };
    let stand_in = StandIn::new([injected]);

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
fn a_receive_has_the_injected_fault() {
    let Some(world) = World::new() else { return };
    #[rustfmt::skip]
    let cases = [
        // injected fault                       exits with  all is received
        (BtrfsFault::FailsAfter { bytes: 0 },          Some(1),    false),
        (BtrfsFault::FailsAfter { bytes: 100_000 },    Some(1),    false),
        (BtrfsFault::DiesAfter { bytes: 100_000 },     None,       false),
        (BtrfsFault::CutsAfter { bytes: 100_000 },     Some(0),    false),
        (BtrfsFault::FlipsByteAt { offset: 100_000 },  Some(1),    false),
        (BtrfsFault::FailsAtTheEnd,                    Some(1),    true),
        (flood(0, ExitAs::Success),                   Some(0),    true),
        (flood(100_000, ExitAs::Failure),            Some(1),    true),
    ];
    for (n, (fault, code, is_whole)) in cases.into_iter().enumerate() {
        let stand_in = StandIn::new([every("receive", fault)]);
        let target = world.fs.path().join(format!("received-{n}"));
        std::fs::create_dir(&target).unwrap();

        let output = world.receive(&stand_in, &target);

        assert_eq!(output.status.code(), code, "{fault:?}: {}", summary(&output));
        let received = target.join("snapshot");
        if is_whole {
            assert_same_tree(&world.snapshot, &received);
        } else if fault != (BtrfsFault::FailsAfter { bytes: 0 }) {
            assert!(received.join("file").exists(), "{fault:?}: part of it was received");
            let is_read_only = std::fs::write(received.join("new"), "").is_err();
            assert!(!is_read_only, "{fault:?}: an unfinished subvolume is writable");
        } else {
            assert!(!received.exists(), "{fault:?}");
        }
        stand_in.assert_no_process_left();
    }
}

#[test]
fn a_hanging_receive_ends_by_sigterm() {
    let Some(world) = World::new() else { return };
    let stand_in = StandIn::new([every("receive", BtrfsFault::HangsAfter { bytes: 0 })]);
    let mut command = command(&stand_in, &["receive", world.fs.path().to_str().unwrap()]);
    let mut child = KilledOnDrop(command.stdin(Stdio::piped()).spawn().unwrap());
    child.wait_until_hanging(&stand_in);

    // `wait` would close the pipe, so it is taken out first.
    let mut stdin = child.0.stdin.take().unwrap();
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    assert_eq!(child.0.wait().unwrap().signal(), Some(15));

    // No process is left that could read.
    let err = stdin.write_all(&world.stream).unwrap_err();
    assert_eq!(err.kind(), std::io::ErrorKind::BrokenPipe);
    stand_in.assert_no_process_left();
}

#[test]
fn any_command_can_fail() {
    let Some(world) = World::new() else { return };
    let path = |name: &str| world.fs.path().join(name).to_str().unwrap().to_owned();
    let (fails, late) = (BtrfsFault::FailsAfter { bytes: 0 }, BtrfsFault::FailsAtTheEnd);
    let stand_in =
        StandIn::new([every("subvolume snapshot", fails), every("subvolume create", late)]);
    let run = |args: &[&str]| command(&stand_in, args).output().unwrap();

    let failed = run(&["subvolume", "snapshot", "-r", &path("data"), &path("copy")]);
    let failed_late = run(&["-q", "subvolume", "create", &path("late")]);
    let listed = run(&["subvolume", "list", &path(".")]);

    assert_eq!((failed.status.code(), failed_late.status.code()), (Some(1), Some(1)));
    assert!(String::from_utf8(failed.stderr).unwrap().contains(StandIn::ERROR_MESSAGE));
    let names = String::from_utf8(listed.stdout).unwrap();
    assert!(names.contains("late") && !names.contains("copy"), "{names}");
    assert_eq!(stand_in.calls_of("subvolume snapshot").len(), 1);
    assert_eq!(stand_in.calls_of("subvolume create").len(), 1);
    assert_eq!(stand_in.calls_of("subvolume").len(), 3);
}

/// A filesystem with a snapshot, and the stream that the real `btrfs` sends of it.
struct World {
    fs: BtrfsFs,
    snapshot: PathBuf,
    stream: Vec<u8>,
}

impl World {
    /// Returns `None` if this machine cannot mount btrfs; a line was printed then.
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

    fn start_send(&self, stand_in: &StandIn) -> KilledOnDrop {
        let mut command = command(stand_in, &["send"]);
        let command = command.arg(&self.snapshot).stdout(Stdio::piped()).stderr(Stdio::piped());
        KilledOnDrop(command.spawn().expect("the stand-in"))
    }

    fn receive(&self, stand_in: &StandIn, target: &std::path::Path) -> Output {
        let mut command = command(stand_in, &["receive"]);
        let command = command.arg(target).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = KilledOnDrop(command.spawn().expect("the stand-in"));
        let mut stdin = child.0.stdin.take().expect("a pipe");
        std::thread::scope(|scope| {
            // A receive that fails does not read all of it.
            scope.spawn(move || stdin.write_all(&self.stream).ok());
            child.output()
        })
    }
}

fn odd_file() -> Node {
    file(b"odd \xff name", "x").mode(0o600).xattr("user.note", "kept")
}

/// A child that is killed when the test fails.
struct KilledOnDrop(Child);

impl KilledOnDrop {
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

impl Drop for KilledOnDrop {
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

fn every(command: &'static str, fault: BtrfsFault) -> InjectedFault {
    InjectedFault { command, call: Calls::Every, fault }
}

fn flood(after_bytes: u64, exit: ExitAs) -> BtrfsFault {
    BtrfsFault::FloodsStderr { after_bytes, flood_bytes: 2 * MIB, exit }
}

/// Returns exit code, stream, and whether the error message was printed.
fn result_of(output: &Output) -> (Option<i32>, &[u8], bool) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), &output.stdout, stderr.contains(StandIn::ERROR_MESSAGE))
}

fn summary(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr: String = stderr.chars().take(500).collect();
    format!("{}, {} bytes, {stderr}", output.status, output.stdout.len())
}

//! A `btrfs` for the `PATH` that goes wrong on cue, and else is the real one.
//!
//! It is a shell script, because the tests of any crate can write one: it
//! notes that it was called, finds the cue that was meant for this call, and
//! does what the cue says with the real `btrfs`; without a cue it becomes the
//! real one. Streams pass through it as they are, so that offsets are those of
//! the real stream.
//!
//! A program that has to terminate its child is shown to do so by
//! [`StandIn::assert_no_process_left`]: neither the script nor anything that it
//! started may be there.

mod script;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tempfile::TempDir;

use crate::owner::temp_dir;
use crate::processes::{Process, assert_none_left, processes_with_env};
use crate::program::{find, run};

/// What a stand-in that fails says on stderr.
const COMPLAINT: &str = "ERROR: the stand-in for btrfs fails on cue";

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cue {
    /// The first word or two of the arguments, without options: `send`,
    /// `subvolume snapshot`.
    pub command: &'static str,
    pub call: Turn,
    pub does: Does,
}

/// Which calls of the command are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Every,
    /// 1 is the first since the stand-in was made.
    Nth(u32),
}

/// What it does instead. `bytes` are those of the stream that `send` writes or
/// `receive` reads; with 0 the real `btrfs` does not run at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Exits with 1, and says [`StandIn::COMPLAINT`].
    FailsAfter { bytes: u64 },
    /// The same, killed (-9) as if for want of memory.
    DiesAfter { bytes: u64 },
    /// Exits with 0, as if that had been all; a `receive` swallows the rest.
    CutsAfter { bytes: u64 },
    /// Inverts one byte of the stream; a `send` exits with 0.
    FlipsByteAt { offset: u64 },
    /// Sends so much, then the whole stream, and exits with 0: what a `btrfs
    /// send` does that was frozen and thawed. For `send` only.
    StartsOverAfter { bytes: u64 },
    /// Then neither reads nor writes nor ends, until it is told to.
    HangsAfter { bytes: u64 },
    /// The same, and SIGTERM does not end it.
    IgnoresTermAfter { bytes: u64 },
    /// Writes so much to stderr, after so much of the stream; the stream is whole.
    FloodsStderr { after_bytes: u64, flood_bytes: u64, ends: Ends },
    /// Does all of its work, and exits with 1.
    FailsAtTheEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    Well,
    /// With 1.
    Badly,
}

/// One call of the stand-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub pid: u32,
    pub args: Vec<OsString>,
}

/// A folder with a program `btrfs`. Dropping it ends what it still runs.
pub struct StandIn {
    dir: TempDir,
    cues: Vec<Cue>,
}

impl StandIn {
    pub const COMPLAINT: &str = COMPLAINT;

    /// Where several cues are meant for one call, the first one decides.
    pub fn new(cues: impl IntoIterator<Item = Cue>) -> StandIn {
        let (dir, cues): (_, Vec<Cue>) = (temp_dir(), cues.into_iter().collect());
        let real = find("btrfs").unwrap_or_else(|| PathBuf::from("/btrfs-is-not-installed"));
        let text = script::write(dir.path(), &real, &cues);
        fs::create_dir(dir.path().join("calls")).expect("a new folder");
        let file = dir.path().join("script");
        fs::write(&file, text.as_bytes()).expect("a written script");
        // Another program makes the copy that runs: while a child that another
        // thread forks has it open for writing, it could not be run.
        let args = ["-m".as_ref(), "755".as_ref(), file.as_os_str()];
        run("install", args.into_iter().chain([dir.path().join("btrfs").as_os_str()]));
        StandIn { dir, cues }
    }

    /// A value for `PATH` that finds the stand-in first.
    pub fn path_var(&self) -> OsString {
        let path = env::var_os("PATH").unwrap_or_default();
        let dirs = [self.dir.path().to_owned()].into_iter().chain(env::split_paths(&path));
        env::join_paths(dirs).expect("no folder of PATH has a colon in it")
    }

    /// The stand-in itself, for who runs it by its path.
    pub fn program(&self) -> PathBuf {
        self.dir.path().join("btrfs")
    }

    /// What it was called with, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.call_dirs().filter_map(|dir| Call::read(&dir)).collect()
    }

    /// The calls of one command, named as in a [`Cue`].
    pub fn calls_of(&self, command: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.is(command)).collect()
    }

    /// The cues whose call did not come: they tested nothing.
    pub fn unfired(&self) -> Vec<Cue> {
        let fired = |n: &usize| self.dir.path().join(script::fired(*n)).exists();
        let cues = self.cues.iter().enumerate();
        cues.filter(|(n, _)| !fired(n)).map(|(_, cue)| *cue).collect()
    }

    /// Waits until whatever it started is gone, and fails if something stays.
    #[track_caller]
    pub fn assert_no_process_left(&self) {
        assert_none_left(|| self.processes());
    }

    /// What runs of it: the scripts, and what they became or started.
    pub fn processes(&self) -> Vec<Process> {
        let home = self.dir.path().to_str().expect("a name that we chose");
        let started = processes_with_env(script::MARKER, home);
        // A script has not inherited the marker that it sets.
        let scripts = self.call_dirs().filter_map(|dir| running(&dir));
        let is_new = |script: &Process| started.iter().all(|other| other.pid != script.pid);
        let scripts: Vec<_> = scripts.filter(is_new).collect();
        scripts.into_iter().chain(started).collect()
    }

    fn call_dirs(&self) -> impl Iterator<Item = PathBuf> {
        (1..).map(|n| self.dir.path().join(script::call(n))).take_while(|dir| dir.exists())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.processes().iter().for_each(Process::kill);
    }
}

impl Call {
    /// `None` if the script was killed before it had written all of it.
    fn read(dir: &Path) -> Option<Call> {
        let pid = number(&dir.join("pid"))?;
        let args = fs::read(dir.join("args")).ok()?;
        // Each one ends with a zero byte.
        let args = args.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        Some(Call { pid, args: args.map(|arg| OsStr::from_bytes(arg).to_owned()).collect() })
    }

    fn is(&self, command: &str) -> bool {
        let words = self.args.iter().filter(|arg| !arg.as_bytes().starts_with(b"-"));
        command.split(' ').map(OsStr::new).eq(words.take(command.split(' ').count()))
    }
}

/// The process of a call, if it still runs; it is another one if it started at
/// another time.
fn running(dir: &Path) -> Option<Process> {
    let process = Process::look(number(&dir.join("pid"))?)?;
    let started: u64 = number(&dir.join("started"))?;
    (process.started == started).then_some(process)
}

fn number<N: FromStr>(file: &Path) -> Option<N> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

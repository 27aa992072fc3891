//! A stand-in for `btrfs` in the `PATH`, with fault injection.
//!
//! It is a shell script, because the tests of any crate can write one. It records
//! the call, looks up the fault that is injected into it, and applies the fault to
//! the real `btrfs`. Without a fault it executes the real one. It passes streams
//! through unchanged, so offsets are those of the real stream.
//!
//! [`StandIn::assert_no_process_left`] proves that a program terminated its
//! child: neither the script nor anything that it started may still run.

mod fault;
mod script;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tempfile::TempDir;

use crate::owner::temp_dir;
use crate::processes::{self, Process, processes_with_env};
use crate::program::{find, run};

pub use self::fault::{BtrfsFault, Calls, ExitAs, InjectedFault};

/// One call of the stand-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub pid: u32,
    pub args: Vec<OsString>,
}

/// A directory with a program `btrfs`. Dropping it kills all of its processes.
pub struct StandIn {
    dir: TempDir,
    faults: Vec<InjectedFault>,
}

impl StandIn {
    /// Text that a failing stand-in prints on stderr.
    pub const ERROR_MESSAGE: &str = script::ERROR_MESSAGE;

    /// Creates a stand-in. If several faults apply to a call, the first one wins.
    pub fn new(faults: impl IntoIterator<Item = InjectedFault>) -> StandIn {
        let (dir, faults): (_, Vec<InjectedFault>) = (temp_dir(), faults.into_iter().collect());
        let real = find("btrfs").unwrap_or_else(|| PathBuf::from("/btrfs-is-not-installed"));
        let text = script::write(dir.path(), &real, &faults);
        fs::create_dir(dir.path().join("calls")).expect("a new directory");
        let file = dir.path().join("script");
        fs::write(&file, text.as_bytes()).expect("a written script");
        // `install` makes the copy that is executed. Our own file could still be open
        // for writing in a child that another thread forks, and a file that is open
        // for writing cannot be executed.
        let args = ["-m".as_ref(), "755".as_ref(), file.as_os_str()];
        run("install", args.into_iter().chain([dir.path().join("btrfs").as_os_str()]));
        StandIn { dir, faults }
    }

    /// Returns a value for `PATH` that finds the stand-in first.
    pub fn path_var(&self) -> OsString {
        let path = env::var_os("PATH").unwrap_or_default();
        let dirs = [self.dir.path().to_owned()].into_iter().chain(env::split_paths(&path));
        env::join_paths(dirs).expect("no directory in PATH has a colon in its name")
    }

    /// Returns the path of the stand-in itself.
    pub fn program(&self) -> PathBuf {
        self.dir.path().join("btrfs")
    }

    /// Returns all calls in order.
    pub fn calls(&self) -> Vec<Call> {
        self.call_dirs().filter_map(|dir| Call::read(&dir)).collect()
    }

    /// Returns the calls of one command, named as in an [`InjectedFault`].
    pub fn calls_of(&self, command: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.is(command)).collect()
    }

    /// Returns the faults whose call did not come: they tested nothing.
    pub fn unfired(&self) -> Vec<InjectedFault> {
        let fired = |n: &usize| self.dir.path().join(script::fired(*n)).exists();
        let faults = self.faults.iter().enumerate();
        faults.filter(|(n, _)| !fired(n)).map(|(_, fault)| *fault).collect()
    }

    /// Waits until all processes of the stand-in are gone; panics if one stays.
    #[track_caller]
    pub fn assert_no_process_left(&self) {
        processes::assert_no_process_left(|| self.processes());
    }

    /// Returns its running processes: the scripts, and all that they started.
    pub fn processes(&self) -> Vec<Process> {
        let dir = self.dir.path().to_str().expect("a name that we chose");
        let started = processes_with_env(script::DIR_VARIABLE, dir);
        // The variable is not in the environment of the script that sets it.
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
    /// Returns `None` if the script was killed before it recorded the whole call.
    fn read(dir: &Path) -> Option<Call> {
        let pid = number(&dir.join("pid"))?;
        let args = fs::read(dir.join("args")).ok()?;
        // Each argument ends with a zero byte.
        let args = args.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        Some(Call { pid, args: args.map(|arg| OsStr::from_bytes(arg).to_owned()).collect() })
    }

    fn is(&self, command: &str) -> bool {
        if self.args.iter().take(2).map(OsString::as_os_str).eq(["send", "--no-data"]) {
            return command == "forecast";
        }
        let is_trial =
            self.args.last().is_some_and(|directory| Path::new(directory).ends_with("trial"));
        if self.args.first().is_some_and(|word| word == "receive") && is_trial {
            return command == "trial";
        }
        let words = self.args.iter().filter(|arg| !arg.as_bytes().starts_with(b"-"));
        command.split(' ').map(OsStr::new).eq(words.take(command.split(' ').count()))
    }
}

/// Returns the process of a call, if it still runs. A process with the same id but
/// another start time is not that process.
fn running(dir: &Path) -> Option<Process> {
    let process = Process::find(number(&dir.join("pid"))?)?;
    let started: u64 = number(&dir.join("started"))?;
    (process.started == started).then_some(process)
}

fn number<N: FromStr>(file: &Path) -> Option<N> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

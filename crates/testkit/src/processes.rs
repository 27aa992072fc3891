//! Finds the processes that a test started, and all of their descendants.
//!
//! A child that loses its parent becomes a child of init, so the process tree does
//! not show all descendants of a test. But children inherit the environment: a
//! [`ProcessTag`] in it finds all of them in `/proc/*/environ`.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_until;

const NAME: &str = "S3UP_TEST_RUN";
/// Killed processes end within milliseconds, and those that lost their pipe soon
/// after. The rest is for a busy machine.
const END_LIMIT: Duration = Duration::from_secs(5);

/// An environment variable with a value that is unique to one test.
#[derive(Clone, Debug)]
pub struct ProcessTag {
    value: String,
}

/// A process, as it was when it was read. A zombie counts as a process, because
/// its parent should have waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// Start time in clock ticks. Together with the process id it is unique.
    pub(crate) started: u64,
    pub command: String,
}

impl ProcessTag {
    #[expect(clippy::new_without_default, reason = "every value is different")]
    pub fn new() -> ProcessTag {
        let random = getrandom::u64().expect("random bytes");
        ProcessTag { value: format!("{}-{random:016x}", process::id()) }
    }

    /// Returns name and value for `Command::env`.
    pub fn env(&self) -> (&'static str, &str) {
        (NAME, &self.value)
    }

    /// Returns all running processes with this tag.
    pub fn processes(&self) -> Vec<Process> {
        processes_with_env(NAME, &self.value)
    }

    /// Waits until no process with this tag is left; panics if one stays.
    #[track_caller]
    pub fn assert_no_process_left(&self) {
        assert_no_process_left(|| self.processes());
    }

    /// Kills all of them (SIGKILL).
    pub fn kill_all(&self) {
        self.processes().iter().for_each(Process::kill);
    }
}

/// Returns all running processes with this variable in their environment, as it
/// was when they started their program.
pub fn processes_with_env(name: &str, value: &str) -> Vec<Process> {
    let wanted = format!("{name}={value}");
    let has_it = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    all_pids().filter(has_it).filter_map(Process::find).collect()
}

#[track_caller]
pub(crate) fn assert_no_process_left(left: impl Fn() -> Vec<Process>) {
    assert_no_process_left_within(END_LIMIT, left);
}

#[track_caller]
fn assert_no_process_left_within(limit: Duration, left: impl Fn() -> Vec<Process>) {
    let none = wait_until(limit, || left().is_empty());
    assert!(none, "processes were left: {:?}", left());
}

impl Process {
    /// Returns the process with this id, if it is running.
    pub(crate) fn find(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&stat)?;
        // In some containers init does not wait for its children.
        let is_gone = stat.state == "Z" && stat.parent == 1;
        let command = command(Path::new(&format!("/proc/{pid}")));
        (!is_gone).then_some(Process { pid, started: stat.started, command })
    }

    /// Kills the process, unless its id belongs to another process by now.
    pub(crate) fn kill(&self) {
        let is_same = Process::find(self.pid).is_some_and(|now| now.started == self.started);
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let (true, Some(pid)) = (is_same, pid) {
            // The process may have ended already.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.command, self.pid)
    }
}

/// The fields of proc_pid_stat(5) that are needed here.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    state: &'a str,
    parent: u32,
    started: u64,
}

impl Stat<'_> {
    /// Parses a line. The name of the program is in parentheses and may contain
    /// parentheses itself.
    fn parse(stat: &str) -> Option<Stat<'_>> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let field = |n: usize| fields.get(n - 3).copied();
        let (parent, started) = (field(4)?.parse().ok()?, field(22)?.parse().ok()?);
        Some(Stat { state: field(3)?, parent, started })
    }
}

fn all_pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("the list of processes").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Returns the command line for messages, or the name for a zombie, which has no
/// command line.
fn command(process: &Path) -> String {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    if words.is_empty() { "a zombie".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_may_contain_parentheses() {
        let stat = "7 (a) S 9 (b) Z 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 42 23";

        assert_eq!(Stat::parse(stat), Some(Stat { state: "Z", parent: 4, started: 42 }));
    }

    #[test]
    fn this_process_is_found() {
        let this = Process::find(process::id()).unwrap();

        assert!(this.command.contains("testkit"), "{this}");
        assert!(0 < this.started);
    }

    #[test]
    #[should_panic(expected = "processes were left: [Process { pid: ")]
    fn a_process_that_stays_is_reported() {
        let this = Process::find(process::id()).unwrap();

        assert_no_process_left_within(Duration::ZERO, || vec![this.clone()]);
    }
}

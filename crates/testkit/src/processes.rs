//! Processes that a test started, and their children, wherever they went.
//!
//! A child that loses its parent belongs to init, so that nobody can be asked
//! for the children of a test. But children inherit their environment: a
//! [`Marker`] in it finds all of them, in `/proc/*/environ`.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::wait_until;

const NAME: &str = "S3UP_TEST_RUN";
/// What was killed is gone in milliseconds, and what lost its pipe soon after;
/// the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// An environment variable that no other test has.
#[derive(Clone, Debug)]
pub struct Marker {
    value: String,
}

/// A process as it was when somebody looked. A zombie that we, or a program
/// that is still running, should have waited for counts as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// With the process id, this names a process for ever: in clock ticks.
    pub(crate) started: u64,
    pub command: String,
}

impl Marker {
    #[expect(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Marker {
        let random = getrandom::u64().expect("random bytes");
        Marker { value: format!("{}-{random:016x}", process::id()) }
    }

    /// Name and value, for `Command::env`.
    pub fn env(&self) -> (&'static str, &str) {
        (NAME, &self.value)
    }

    /// Every living process that has the marker.
    pub fn processes(&self) -> Vec<Process> {
        processes_with_env(NAME, &self.value)
    }

    /// Waits until none is left, and fails if one stays.
    #[track_caller]
    pub fn assert_none_left(&self) {
        assert_none_left(|| self.processes());
    }

    /// Kills all of them, at once (-9).
    pub fn kill_all(&self) {
        self.processes().iter().for_each(Process::kill);
    }
}

/// Every living process with this variable in its environment, as that was
/// when the process started its program.
pub fn processes_with_env(name: &str, value: &str) -> Vec<Process> {
    let wanted = format!("{name}={value}");
    let has_it = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    every_pid().filter(has_it).filter_map(Process::look).collect()
}

#[track_caller]
pub(crate) fn assert_none_left(left: impl Fn() -> Vec<Process>) {
    assert_none_left_within(PATIENCE, left);
}

#[track_caller]
fn assert_none_left_within(limit: Duration, left: impl Fn() -> Vec<Process>) {
    let none = wait_until(limit, || left().is_empty());
    assert!(none, "processes were left: {:?}", left());
}

impl Process {
    /// The process with this id, if it lives.
    pub(crate) fn look(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&stat)?;
        // Nobody waits for the children of init in some containers.
        let is_gone = stat.state == "Z" && stat.parent == 1;
        let command = command(Path::new(&format!("/proc/{pid}")));
        (!is_gone).then_some(Process { pid, started: stat.started, command })
    }

    /// Kills it, unless another one has its id by now.
    pub(crate) fn kill(&self) {
        let is_same = Process::look(self.pid).is_some_and(|now| now.started == self.started);
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let (true, Some(pid)) = (is_same, pid) {
            // It may have ended since.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.command, self.pid)
    }
}

/// What proc_pid_stat(5) says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    state: &'a str,
    parent: u32,
    started: u64,
}

impl Stat<'_> {
    /// The name of the program is in parentheses, and may have some itself.
    fn parse(stat: &str) -> Option<Stat<'_>> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let field = |n: usize| fields.get(n - 3).copied();
        let (parent, started) = (field(4)?.parse().ok()?, field(22)?.parse().ok()?);
        Some(Stat { state: field(3)?, parent, started })
    }
}

fn every_pid() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("the list of processes").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// For people; a zombie has no command line any more.
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
    fn a_program_may_have_any_name() {
        let stat = "7 (a) S 9 (b) Z 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 42 23";

        assert_eq!(Stat::parse(stat), Some(Stat { state: "Z", parent: 4, started: 42 }));
    }

    #[test]
    fn this_process_is_found_as_it_is() {
        let this = Process::look(process::id()).unwrap();

        assert!(this.command.contains("testkit"), "{this}");
        assert!(0 < this.started);
    }

    #[test]
    #[should_panic(expected = "processes were left: [Process { pid: ")]
    fn a_process_that_stays_is_named() {
        let this = Process::look(process::id()).unwrap();

        assert_none_left_within(Duration::ZERO, || vec![this.clone()]);
    }
}

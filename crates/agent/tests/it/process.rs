//! The program `s3up` as a process.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Host, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_s3up");

/// A running program whose log goes to a file.
pub struct Process {
    child: Child,
    log: std::path::PathBuf,
}

/// Exit code and output of a program that has ended.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Runs the program to its end.
    pub async fn output(host: &Host, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(host.config_file()).args(arguments).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("a thread").expect("a program that runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Output { code: output.status.code(), stdout, stderr }
    }

    pub fn start(host: &Host, arguments: &[&str]) -> Process {
        Process::spawn(host, Command::new(PROGRAM), arguments)
    }

    /// Starts the program with its standard output in a file.
    pub fn start_to(host: &Host, output: &Path, arguments: &[&str]) -> Process {
        let mut command = Command::new(PROGRAM);
        command.stdout(std::fs::File::create(output).expect("an output file"));
        Process::spawn_command(host, command, arguments)
    }

    /// Starts the program through `command`, to which it is added as an argument.
    pub fn start_through(host: &Host, mut command: Command, arguments: &[&str]) -> Process {
        command.arg(PROGRAM);
        Process::spawn(host, command, arguments)
    }

    fn spawn(host: &Host, mut command: Command, arguments: &[&str]) -> Process {
        command.stdout(Stdio::null());
        Process::spawn_command(host, command, arguments)
    }

    fn spawn_command(host: &Host, mut command: Command, arguments: &[&str]) -> Process {
        let log = host.dir.path().join("log");
        let child = command
            .arg("--config")
            .arg(host.config_file())
            .args(["--log-format", "logfmt"])
            .args(arguments)
            .stderr(std::fs::File::create(&log).expect("a log file"))
            .spawn()
            .expect("a started program");
        Process { child, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log file")
    }

    pub fn terminate(&self) {
        self.send(Signal::TERM);
    }

    pub fn hang_up(&self) {
        self.send(Signal::HUP);
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a living process");
    }

    /// Returns the largest memory that the program has had so far.
    pub fn peak_memory_bytes(&self) -> u64 {
        let file = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(file).expect("a living process");
        let line = text.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
        let kib = line.split_whitespace().nth(1).expect("a number");
        kib.parse::<u64>().expect("a number") * 1024
    }

    /// Returns the CPU time that the program has used, in hundredths of a second.
    pub fn cpu_ticks(&self) -> u64 {
        let file = format!("/proc/{}/stat", self.child.id());
        let text = std::fs::read_to_string(file).expect("a living process");
        // The name, which may have spaces, ends with the last parenthesis.
        let fields = text.rsplit(") ").next().expect("fields").split(' ').skip(11).take(2);
        fields.map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("a living process");
        self.child.wait().expect("an ended process");
    }

    /// Returns the exit code. Fails after the ten seconds that a stop may take.
    pub async fn wait(&mut self) -> Option<i32> {
        let start = s3up_testkit::CLOCK.start();
        let mut status = None;
        until("it ends", async || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        })
        .await;
        assert!(start.elapsed() < Duration::from_secs(10), "{}", self.log());
        status.and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

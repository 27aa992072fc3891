//! A gateway as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use s3up_core::wire::Readiness;

/// Longest wait for a line of the log.
const LOG_WAIT_MAX: Duration = Duration::from_secs(60);

/// The process is killed when this is dropped.
pub struct Running {
    child: Child,
    log: Arc<(Mutex<Vec<String>>, Condvar)>,
    pub config: PathBuf,
    pub url: String,
}

impl Running {
    /// Starts the gateway and waits until it listens.
    pub fn start(config: &Path, args: &[&str]) -> Running {
        Running::start_by(Command::new(env!("CARGO_BIN_EXE_s3up-server")), config, args)
    }

    /// Starts the gateway by a command to which its arguments are added.
    pub fn start_by(mut command: Command, config: &Path, args: &[&str]) -> Running {
        command.args(["--log-format", "logfmt", "--config"]).arg(config).args(args);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("a program that runs");
        let stderr = BufReader::new(child.stderr.take().expect("its log"));
        let log: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.0.lock().expect("no panic").push(line);
                lines.1.notify_all();
            }
            lines.0.lock().expect("no panic").push("event=end".to_owned());
            lines.1.notify_all();
        });
        let mut running = Running { child, log, config: config.to_owned(), url: String::new() };
        let started = running.logged("started", 1);
        let (_, url) = started.split_once("url=").expect("its URL");
        running.url = url.trim_matches('"').to_owned();
        running
    }

    /// Waits for the `count`th line with an event, and returns it.
    pub fn logged(&self, event: &str, count: usize) -> String {
        let wanted = format!("event={event}");
        let (lines, changed) = &*self.log;
        let found = |lines: &Vec<String>| {
            let of_event = |line: &&String| line.split(' ').any(|word| word == wanted);
            lines.iter().filter(of_event).nth(count - 1).cloned()
        };
        let lines = lines.lock().expect("no panic");
        let (lines, _) = changed
            .wait_timeout_while(lines, LOG_WAIT_MAX, |lines| found(lines).is_none())
            .expect("no panic");
        found(&lines).unwrap_or_else(|| panic!("no {wanted} ({count}): {lines:#?}"))
    }

    pub fn log(&self) -> Vec<String> {
        self.log.0.lock().expect("no panic").clone()
    }

    /// Replaces the configuration and sends SIGHUP.
    pub fn reload(&self, text: &str) {
        std::fs::write(&self.config, text).expect("a file");
        self.signal("HUP");
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Returns the most memory that the process had so far, in bytes.
    pub fn memory_peak(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()).expect("a number");
        number.parse::<u64>().expect("a number") << 10
    }

    /// Returns the targets of the open files of the process. That of an unnamed file begins with its
    /// directory.
    pub fn open_files(&self) -> Vec<PathBuf> {
        let dir = format!("/proc/{}/fd", self.child.id());
        let files = std::fs::read_dir(dir).expect("a running process");
        // A file may be closed meanwhile.
        files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok()).collect()
    }

    pub async fn ready(&self) -> (u16, Readiness) {
        let answer = reqwest::get(format!("{}/ready", self.url)).await.expect("a response");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// Stops the gateway by SIGTERM and waits for its end.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        let wait = tokio::task::spawn_blocking(move || self.child.wait().expect("its end"));
        wait.await.expect("no panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

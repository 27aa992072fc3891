//! A gateway as a process of its own.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use s3up_core::wire::Readiness;

/// The state of a listening socket in `/proc/net/tcp`.
const TCP_LISTEN: &str = "0A";
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
        self.logged_within(LOG_WAIT_MAX, event, count)
    }

    /// Waits for such a line for a time of its own.
    pub fn logged_within(&self, limit: Duration, event: &str, count: usize) -> String {
        let wanted = format!("event={event}");
        let (lines, changed) = &*self.log;
        let found = |lines: &Vec<String>| {
            let of_event = |line: &&String| line.split(' ').any(|word| word == wanted);
            lines.iter().filter(of_event).nth(count - 1).cloned()
        };
        let lines = lines.lock().expect("no panic");
        let (lines, _) = changed
            .wait_timeout_while(lines, limit, |lines| found(lines).is_none())
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

    /// Returns the number of connections of clients that the process holds, in any state.
    pub fn client_connections(&self) -> usize {
        let port = self.url.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let port = format!(":{:04X}", port.expect("a port"));
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", self.child.id()));
        let table = table.expect("a running process");
        let inodes: BTreeSet<_> = table
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields[1].ends_with(&port) && fields[3] != TCP_LISTEN)
            .map(|fields| PathBuf::from(format!("socket:[{}]", fields[9])))
            .collect();
        self.open_files().iter().filter(|file| inodes.contains(*file)).count()
    }

    /// Returns the number of open files that have no name any more.
    pub fn unnamed_files(&self) -> usize {
        let is_unnamed = |file: &&PathBuf| {
            let text = file.to_string_lossy();
            text.starts_with('/') && text.ends_with(" (deleted)")
        };
        self.open_files().iter().filter(is_unnamed).count()
    }

    /// Returns a value of `GET /metrics`, by its name without labels.
    pub async fn metric(&self, admin_key: &str, name: &str) -> f64 {
        let metrics = reqwest::Client::new().get(format!("{}/metrics", self.url));
        let answer = metrics.bearer_auth(admin_key).send().await.expect("a response");
        let text = answer.text().await.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).parse().expect("a number")
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

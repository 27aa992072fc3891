//! A program that runs all the time. It is killed, frozen and started again; its log continues in one
//! file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use s3up_testkit::CLOCK;

use crate::events::Program;

/// Longest time in which a program must stop: the gateway finishes uploads for 30 s.
const STOP_MAX: Duration = Duration::from_secs(50);
const LOOKED_EVERY: Duration = Duration::from_millis(20);

pub struct Daemon {
    pub program: Program,
    command: Box<dyn Fn() -> Command + Send>,
    log: PathBuf,
    child: Option<Child>,
    /// Largest memory of all its processes so far.
    pub peak_bytes: u64,
    /// Ends that no event of the storm caused, with their status.
    pub unexpected_ends: Vec<ExitStatus>,
}

impl Daemon {
    pub fn new(
        program: Program,
        logs: &Path,
        command: impl Fn() -> Command + Send + 'static,
    ) -> Daemon {
        let log = logs.join(format!("{}.log", program.name()));
        let command = Box::new(command);
        Daemon { program, command, log, child: None, peak_bytes: 0, unexpected_ends: Vec::new() }
    }

    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = || File::options().create(true).append(true).open(&self.log);
        let (out, err) = (log().context("open a log")?, log().context("open a log")?);
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().with_context(|| format!("start {}", self.program.name()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Starts the program again if it has ended by itself, and measures its memory.
    pub fn supervise(&mut self) -> anyhow::Result<()> {
        self.measure();
        let Some(child) = &mut self.child else { return Ok(()) };
        if let Some(status) = child.try_wait().context("wait for a program")? {
            self.unexpected_ends.push(status);
            self.start()?;
        }
        Ok(())
    }

    fn measure(&mut self) {
        let Some(child) = &self.child else { return };
        // One that has ended has no memory.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        self.peak_bytes = self.peak_bytes.max(kib.unwrap_or_default() << 10);
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // It may have ended by itself.
            kill_process(Pid::from_child(child), signal).ok();
        }
    }

    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.measure();
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill().context("kill a program")?;
        child.wait().context("wait for a program that was killed")?;
        Ok(())
    }

    /// Stops the program by SIGTERM.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.measure();
        self.signal(Signal::TERM);
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let (name, began) = (self.program.name(), CLOCK.start());
        loop {
            match child.try_wait().context("wait for a program")? {
                // The signal may arrive before the program listens for it.
                Some(status) if status.success() || status.code().is_none() => return Ok(()),
                Some(status) => {
                    bail!("{name}: expected an end with 0 after SIGTERM, found {status}")
                }
                None if began.elapsed() > STOP_MAX => {
                    child.kill().context("kill a program that does not stop")?;
                    child.wait().context("wait for a program that was killed")?;
                    bail!("{name} did not stop within {STOP_MAX:?} after SIGTERM");
                }
                None => tokio::time::sleep(LOOKED_EVERY).await,
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

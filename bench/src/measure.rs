//! Measures contenders: each is a whole process, and the kernel accounts for its
//! time and memory.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use wait4::Wait4;

use crate::console;
use crate::server::Server;

/// Time and memory of one run of a contender.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measurement {
    pub wall_seconds: f64,
    /// User and system time of the process and of the children that it waited for.
    pub cpu_seconds: f64,
    /// Peak memory of the largest of these processes.
    pub peak_rss_bytes: u64,
    /// User and system time of our servers that took part.
    pub server_cpu_seconds: f64,
    /// Peak memory of the largest of these servers during the run.
    pub server_peak_rss_bytes: u64,
}

/// One of the programs that a case compares.
pub struct Contender<'a> {
    pub name: String,
    /// Returns the command of the n-th run and prepares its files.
    pub command: Box<dyn Fn(usize) -> anyhow::Result<Command> + 'a>,
    /// Brings the machine into the state in which each run starts.
    pub before: Box<dyn Fn() -> anyhow::Result<()> + 'a>,
    /// Removes the results of the n-th run.
    pub after: Box<dyn Fn(usize) -> anyhow::Result<()> + 'a>,
    /// Servers whose time and memory are measured, too.
    pub servers: Vec<&'a Server>,
    /// Bytes that one run transfers.
    pub bytes: u64,
    /// Objects that one run transfers.
    pub objects: u64,
}

/// All runs of a contender.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub bytes: u64,
    pub objects: u64,
    pub runs: Vec<Measurement>,
}

/// Runs each contender once to warm up and then `rounds` times, in the order
/// A B C A B C. Slow changes of the machine then affect all of them.
pub fn run_in_turn(contenders: &[Contender<'_>], rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<_> = contenders.iter().map(Row::of).collect();
    for round in 0..=rounds {
        for (contender, row) in contenders.iter().zip(&mut rows) {
            let measured = contender.run(round).with_context(|| contender.name.clone())?;
            let kind = if round == 0 { "warm-up" } else { "run" };
            console::status(&format!(
                "  {kind} {round}: {}: {:.2} s, {:.2} CPU s, {} MiB",
                contender.name,
                measured.wall_seconds,
                measured.cpu_seconds,
                measured.peak_rss_bytes >> 20
            ));
            if round > 0 {
                row.runs.push(measured);
            }
        }
    }
    Ok(rows)
}

impl Row {
    fn of(contender: &Contender<'_>) -> Row {
        let Contender { name, bytes, objects, .. } = contender;
        Row { name: name.clone(), bytes: *bytes, objects: *objects, runs: Vec::new() }
    }
}

impl<'a> Contender<'a> {
    pub fn new(
        name: impl Into<String>,
        bytes: u64,
        command: impl Fn(usize) -> anyhow::Result<Command> + 'a,
    ) -> Contender<'a> {
        Contender {
            name: name.into(),
            command: Box::new(command),
            before: Box::new(|| Ok(())),
            after: Box::new(|_| Ok(())),
            servers: Vec::new(),
            bytes,
            objects: 1,
        }
    }

    pub fn before(mut self, before: impl Fn() -> anyhow::Result<()> + 'a) -> Contender<'a> {
        self.before = Box::new(before);
        self
    }

    pub fn after(mut self, after: impl Fn(usize) -> anyhow::Result<()> + 'a) -> Contender<'a> {
        self.after = Box::new(after);
        self
    }

    pub fn with_server(mut self, server: &'a Server) -> Contender<'a> {
        self.servers.push(server);
        self
    }

    pub fn objects(mut self, objects: u64) -> Contender<'a> {
        self.objects = objects;
        self
    }

    fn run(&self, round: usize) -> anyhow::Result<Measurement> {
        let mut command = (self.command)(round)?;
        (self.before)()?;
        let cpu_before = self.servers.iter().map(|server| server.reset_peak());
        let cpu_before = cpu_before.sum::<anyhow::Result<f64>>()?;
        let mut measured = run(&mut command)?;
        for server in &self.servers {
            let (cpu_seconds, peak_rss_bytes) = server.usage()?;
            measured.server_cpu_seconds += cpu_seconds;
            measured.server_peak_rss_bytes = measured.server_peak_rss_bytes.max(peak_rss_bytes);
        }
        measured.server_cpu_seconds -= cpu_before;
        (self.after)(round)?;
        Ok(measured)
    }
}

/// Runs a command to its end. A failure is an error with the end of its stderr.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub fn run(command: &mut Command) -> anyhow::Result<Measurement> {
    let mut stderr = tempfile::tempfile().context("create a temporary file")?;
    let text = format!("{command:?}");
    command.stdin(Stdio::null()).stderr(stderr.try_clone().context("duplicate a file descriptor")?);
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("start {text}"))?;
    let ended = child.wait4().with_context(|| format!("wait for {text}"))?;
    let wall_seconds = began.elapsed().as_secs_f64();
    if !ended.status.success() {
        bail!("{text}: {}\n{}", ended.status, end_of(&mut stderr)?);
    }
    Ok(Measurement {
        wall_seconds,
        cpu_seconds: (ended.rusage.utime + ended.rusage.stime).as_secs_f64(),
        peak_rss_bytes: ended.rusage.maxrss,
        server_cpu_seconds: 0.0,
        server_peak_rss_bytes: 0,
    })
}

fn end_of(file: &mut File) -> anyhow::Result<String> {
    const BYTES: u64 = 4000;
    let len = file.seek(std::io::SeekFrom::End(0)).context("seek in a log")?;
    file.seek(std::io::SeekFrom::Start(len.saturating_sub(BYTES))).context("seek in a log")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context("read a log")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

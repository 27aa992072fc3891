//! Whole processes, measured by the kernel's own account of them.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use wait4::Wait4;

use crate::world::Server;

/// What one run of a contender took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measured {
    pub wall_seconds: f64,
    /// User and system time of the process and of all children that it waited for.
    pub cpu_seconds: f64,
    /// Of the largest of them.
    pub peak_rss_bytes: u64,
    /// Of the servers of ours that took part.
    pub server_cpu_seconds: f64,
    /// Of the largest of these, while the run lasted.
    pub server_peak_rss_bytes: u64,
}

/// One of those that are compared: a whole process.
pub struct Contender<'a> {
    pub name: String,
    /// Makes the command of the n-th run, and what it needs.
    pub command: Box<dyn Fn(usize) -> anyhow::Result<Command> + 'a>,
    /// Puts the machine into the state that each run begins in.
    pub before: Box<dyn Fn() -> anyhow::Result<()> + 'a>,
    /// Removes what the n-th run made.
    pub after: Box<dyn Fn(usize) -> anyhow::Result<()> + 'a>,
    /// Whose time and memory count, too.
    pub servers: Vec<&'a Server>,
    /// Bytes that one run moves.
    pub bytes: u64,
    /// Objects that one run moves.
    pub objects: u64,
}

/// All runs of a contender.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub bytes: u64,
    pub objects: u64,
    pub runs: Vec<Measured>,
}

/// Runs all once to warm up, then `rounds` times in turn: A B C A B C…
pub fn in_turn(contenders: &[Contender<'_>], rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<_> = contenders.iter().map(Row::of).collect();
    for round in 0..=rounds {
        for (contender, row) in contenders.iter().zip(&mut rows) {
            let measured = contender.run(round).with_context(|| contender.name.clone())?;
            let kind = if round == 0 { "warm-up" } else { "run" };
            say(&format!(
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

    fn run(&self, round: usize) -> anyhow::Result<Measured> {
        let mut command = (self.command)(round)?;
        (self.before)()?;
        let before = self.servers.iter().map(|server| server.start_counting());
        let before = before.sum::<anyhow::Result<f64>>()?;
        let mut measured = run(&mut command)?;
        for server in &self.servers {
            let (cpu_seconds, peak_rss_bytes) = server.counted()?;
            measured.server_cpu_seconds += cpu_seconds;
            measured.server_peak_rss_bytes = measured.server_peak_rss_bytes.max(peak_rss_bytes);
        }
        measured.server_cpu_seconds -= before;
        (self.after)(round)?;
        Ok(measured)
    }
}

/// Runs a command to its end, which has to be a success.
pub fn run(command: &mut Command) -> anyhow::Result<Measured> {
    let mut stderr = tempfile::tempfile().context("make a temporary file")?;
    let what = format!("{command:?}");
    command.stdin(Stdio::null()).stderr(stderr.try_clone().context("use a file twice")?);
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("start {what}"))?;
    let ended = child.wait4().with_context(|| format!("wait for {what}"))?;
    let wall_seconds = began.elapsed().as_secs_f64();
    if !ended.status.success() {
        bail!("{what}: {}\n{}", ended.status, end_of(&mut stderr)?);
    }
    Ok(Measured {
        wall_seconds,
        cpu_seconds: (ended.rusage.utime + ended.rusage.stime).as_secs_f64(),
        peak_rss_bytes: ended.rusage.maxrss,
        server_cpu_seconds: 0.0,
        server_peak_rss_bytes: 0,
    })
}

fn end_of(file: &mut File) -> anyhow::Result<String> {
    const BYTES: u64 = 4000;
    let len = file.seek(std::io::SeekFrom::End(0)).context("look into a log")?;
    file.seek(std::io::SeekFrom::Start(len.saturating_sub(BYTES))).context("look into a log")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context("read a log")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[expect(clippy::print_stderr, reason = "how far a benchmark is, for who watches it")]
pub fn say(text: &str) {
    eprintln!("{text}");
}

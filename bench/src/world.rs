//! What the cases stand on: a folder, servers, data.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::tools;

/// Until a server listens.
const START_MAX: Duration = Duration::from_secs(30);

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// A folder of this run, and the programs that were built with this one.
pub struct World {
    pub rounds: usize,
    /// Length of the long streams.
    pub gib: u64,
    folder: TempDir,
    programs: PathBuf,
}

impl World {
    pub fn new(below: &Path, rounds: usize, gib: u64) -> anyhow::Result<World> {
        let folder = TempDir::with_prefix_in("s3up-bench-", below);
        let folder = folder.with_context(|| format!("make a folder in {below:?}"))?;
        let this = std::env::current_exe().context("find this program")?;
        let programs = this.parent().context("find the folder of this program")?.to_owned();
        let world = World { rounds, gib, folder, programs };
        fs::write(world.path("aws-config"), tools::AWS_CONFIG).context("write a configuration")?;
        Ok(world)
    }

    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("write {path:?}"))?;
        Ok(path)
    }

    /// One of our programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// One of our programs, told where the sink is.
    pub fn command(&self, name: &str, url: &str) -> Command {
        let mut command = tools::command(self.program(name), url, self.home());
        command.stdout(Stdio::null());
        command
    }

    pub fn sink(&self, arguments: &[&str]) -> anyhow::Result<Server> {
        let mut command = Command::new(self.program("s3up-bench"));
        Server::start(command.arg("sink").args(arguments), "listening on ")
    }

    pub fn devstore(&self, arguments: &[&str]) -> anyhow::Result<Server> {
        let mut command = Command::new(self.program("s3up-devstore"));
        command.arg("--root").arg(self.path("devstore")).args(["--bucket", tools::BUCKET]);
        command.args(["--access-key-id", tools::KEY_ID]).args(arguments);
        command.env("S3UP_DEVSTORE_SECRET_ACCESS_KEY", tools::SECRET);
        Server::start(&mut command, "listening on ")
    }
}

/// A server of ours under way. Dropping it ends it.
pub struct Server {
    child: Child,
    pub url: String,
    /// Kept open, so that it can go on writing there.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a program that prints a line with its URL after `mark`.
    pub fn start(command: &mut Command, mark: &str) -> anyhow::Result<Server> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let stdout = child.stdout.take().context("a pipe from the server")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        loop {
            line.clear();
            let count = stdout.read_line(&mut line).context("read what the server says")?;
            ensure!(count > 0, "{command:?} ended without saying where it listens");
            if let Some((_, rest)) = line.split_once(mark) {
                let url = rest.split_whitespace().next().context("a URL of the server")?;
                let url = url.to_owned();
                return Ok(Server { child, url, _stdout: Some(stdout) });
            }
        }
    }

    /// Starts a program that listens on `port` of the loopback, and waits until
    /// it does.
    pub fn start_on(command: &mut Command, port: u16, log: &Path) -> anyhow::Result<Server> {
        let file = fs::File::create(log).with_context(|| format!("make {log:?}"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let mut ended = None;
        let is_there = s3up_testkit::wait_until(START_MAX, || {
            ended = child.try_wait().ok().flatten();
            ended.is_some() || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let url = format!("http://127.0.0.1:{port}");
        let server = Server { child, url, _stdout: None };
        if let Some(status) = ended {
            let log = fs::read_to_string(log).unwrap_or_default();
            bail!("{command:?}: {status}\n{log}");
        }
        ensure!(is_there, "{command:?} does not listen after {START_MAX:?}");
        Ok(server)
    }

    /// CPU seconds until now. From now on the peak of its memory is counted
    /// afresh.
    pub fn start_counting(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&path, "5").with_context(|| format!("write {path}"))?;
        Ok(self.counted()?.0)
    }

    /// CPU seconds until now, and the peak of its memory in bytes since it was
    /// last counted afresh.
    pub fn counted(&self) -> anyhow::Result<(f64, u64)> {
        let of = |name: &str| {
            let path = format!("/proc/{}/{name}", self.child.id());
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        Ok((cpu_seconds(&of("stat")?)?, peak_rss_bytes(&of("status")?)?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It keeps nothing that is worth an orderly end.
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            crate::measure::say("a server did not end");
        }
    }
}

/// From `/proc/PID/stat`: fields 14 and 15, in ticks (proc(5)).
fn cpu_seconds(stat: &str) -> anyhow::Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let (_, after_name) = stat.rsplit_once(')').context("a line of /proc/PID/stat")?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|text| text.parse::<f64>().ok());
    match (next(), next()) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS_PER_SECOND),
        _ => bail!("/proc/PID/stat has other fields than expected: {stat}"),
    }
}

/// From `/proc/PID/status`.
fn peak_rss_bytes(status: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.context("the peak of its memory in /proc/PID/status")? << 10)
}

/// A port of the loopback that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

/// A file of bytes that do not compress and of which no two MiB are alike.
pub fn write_noise(path: &Path, bytes: u64, seed: u64) -> anyhow::Result<()> {
    let file = fs::File::create(path).with_context(|| format!("make {path:?}"))?;
    let mut file = std::io::BufWriter::with_capacity(1 << 20, file);
    let mut noise = Noise(seed ^ 0x9E37_79B9_7F4A_7C15);
    let mut left = bytes;
    let mut block = vec![0; 1 << 16];
    while left > 0 {
        noise.fill(&mut block);
        let count = left.min(block.len() as u64) as usize;
        file.write_all(&block[..count]).with_context(|| format!("write {path:?}"))?;
        left -= count as u64;
    }
    file.flush().with_context(|| format!("write {path:?}"))
}

/// xorshift64* (Vigna, 2016): fast, and even enough for data.
pub struct Noise(pub u64);

impl Noise {
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_mut(8) {
            let bytes = self.draw().to_le_bytes();
            word.copy_from_slice(&bytes[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_process() {
        let stat = "12 (a ) b) S 1 1 1 0 -1 4194560 2000 0 0 0 150 25 0 0 20 0 1 0 100";
        assert_eq!(cpu_seconds(stat).unwrap(), 1.75);
        assert!(cpu_seconds("12 (a) S 1").is_err());
        assert_eq!(peak_rss_bytes("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n").unwrap(), 2 << 20);
    }
}

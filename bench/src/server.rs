//! The servers that take part in a benchmark, as child processes: starting them
//! and reading their CPU time and memory from `/proc`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::console;

/// Maximum time until a server listens.
const START_MAX: Duration = Duration::from_secs(30);

/// One of our servers. It is killed when it is dropped.
pub struct Server {
    child: Child,
    pub url: String,
    /// Kept open, because a server that writes to a closed pipe would end.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a program that prints a line with `mark` and its URL.
    pub fn start(command: &mut Command, mark: &str) -> anyhow::Result<Server> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let stdout = child.stdout.take().context("expected a pipe from the server")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        loop {
            line.clear();
            let count = stdout.read_line(&mut line).context("read the output of the server")?;
            ensure!(count > 0, "{command:?} ended before it printed its address");
            if let Some((_, rest)) = line.split_once(mark) {
                let url =
                    rest.split_whitespace().next().context("expected the URL of the server")?;
                let url = url.to_owned();
                return Ok(Server { child, url, _stdout: Some(stdout) });
            }
        }
    }

    /// Starts a program that listens on `port` of the loopback interface, and
    /// waits until it accepts connections.
    pub fn start_on(command: &mut Command, port: u16, log: &Path) -> anyhow::Result<Server> {
        let file = fs::File::create(log).with_context(|| format!("create {log:?}"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let mut ended = None;
        let is_listening = s3up_testkit::wait_until(START_MAX, || {
            ended = child.try_wait().ok().flatten();
            ended.is_some() || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let url = format!("http://127.0.0.1:{port}");
        let server = Server { child, url, _stdout: None };
        if let Some(status) = ended {
            let log = fs::read_to_string(log).unwrap_or_default();
            bail!("{command:?}: {status}\n{log}");
        }
        ensure!(is_listening, "{command:?} does not listen after {START_MAX:?}");
        Ok(server)
    }

    /// Resets the peak of the memory and returns the CPU seconds used so far.
    pub fn reset_peak(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&path, "5").with_context(|| format!("write {path}"))?;
        Ok(self.usage()?.0)
    }

    /// Returns the CPU seconds used so far, and the peak of the memory in bytes
    /// since [`Server::reset_peak`].
    pub fn usage(&self) -> anyhow::Result<(f64, u64)> {
        let of = |name: &str| {
            let path = format!("/proc/{}/{name}", self.child.id());
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        Ok((cpu_seconds(&of("stat")?)?, peak_rss_bytes(&of("status")?)?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has no data that an orderly shutdown would save.
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            console::status("cannot end a server");
        }
    }
}

/// Returns the user and system time from `/proc/PID/stat`: fields 14 and 15, in
/// ticks (proc(5)).
fn cpu_seconds(stat: &str) -> anyhow::Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let (_, after_name) = stat.rsplit_once(')').context("expected a name in /proc/PID/stat")?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|text| text.parse::<f64>().ok());
    match (next(), next()) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS_PER_SECOND),
        _ => bail!("expected times in fields 14 and 15 of /proc/PID/stat, found {stat}"),
    }
}

/// Returns the peak of the memory from `/proc/PID/status`.
fn peak_rss_bytes(status: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.context("expected VmHWM in /proc/PID/status")? << 10)
}

/// Returns a port of the loopback interface that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_and_peak_memory_are_read_from_proc() {
        let stat = "12 (a ) b) S 1 1 1 0 -1 4194560 2000 0 0 0 150 25 0 0 20 0 1 0 100";
        assert_eq!(cpu_seconds(stat).unwrap(), 1.75);
        assert!(cpu_seconds("12 (a) S 1").is_err());
        assert_eq!(peak_rss_bytes("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n").unwrap(), 2 << 20);
    }
}

//! A child process that runs for hours: `btrfs send`, `btrfs receive`.
//!
//! A task of its own reaps it, drains its stderr (a full pipe would block it), and
//! terminates it on request or when its [`Running`] is dropped. So no failure leaves a
//! process or a zombie.

use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::exit_report::{ExitReport, TAIL_BYTES, tail_of};

/// `btrfs` ends at once; a process that does not is killed.
const TERMINATION_WAIT: Duration = Duration::from_secs(5);
/// Time to read stderr after the program has ended. Its output is in the pipe by
/// then, but a child of its own may keep the pipe open.
const STDERR_WAIT: Duration = Duration::from_secs(1);

pub struct Running {
    /// Dropping or using it terminates the program.
    terminate: Option<oneshot::Sender<()>>,
    ended: JoinHandle<io::Result<ExitReport>>,
    /// The result, once it was returned to a caller.
    outcome: Option<Result<ExitReport, io::ErrorKind>>,
}

impl Running {
    /// Starts `command` with a piped stderr. `take` receives the child and can take its
    /// other pipes.
    pub fn start<T>(
        mut command: Command,
        take: impl FnOnce(&mut Child) -> T,
    ) -> io::Result<(Running, T)> {
        let mut child = command.spawn()?;
        let taken = take(&mut child);
        let (terminate, stop_requested) = oneshot::channel();
        let ended = tokio::spawn(supervise(child, stop_requested));
        Ok((Running { terminate: Some(terminate), ended, outcome: None }, taken))
    }

    /// Waits until the program ends by itself.
    pub async fn wait(&mut self) -> io::Result<ExitReport> {
        std::future::poll_fn(|cx| self.poll_ended(cx)).await
    }

    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitReport>> {
        if let Some(outcome) = &self.outcome {
            return Poll::Ready(outcome.clone().map_err(io::Error::from));
        }
        let joined = ready!(Pin::new(&mut self.ended).poll(cx));
        let outcome = joined.unwrap_or_else(|err| Err(io::Error::other(err)));
        self.outcome = Some(outcome.as_ref().map(ExitReport::clone).map_err(io::Error::kind));
        Poll::Ready(outcome)
    }

    /// Terminates the program and waits for it.
    pub async fn terminate(mut self) -> io::Result<ExitReport> {
        drop(self.terminate.take());
        self.wait().await
    }
}

async fn supervise(
    mut child: Child,
    stop_requested: oneshot::Receiver<()>,
) -> io::Result<ExitReport> {
    let stderr = child.stderr.take().map(|stderr| tokio::spawn(drain(stderr)));
    let status = tokio::select! {
        status = child.wait() => status?,
        // An error means that the sender was dropped, which is the same request.
        _ = stop_requested => end(&mut child, TERMINATION_WAIT).await?,
    };
    let stderr = match stderr {
        Some(mut task) => match tokio::time::timeout(STDERR_WAIT, &mut task).await {
            Ok(tail) => tail.unwrap_or_default(),
            Err(_) => {
                task.abort();
                String::new()
            }
        },
        None => String::new(),
    };
    Ok(ExitReport { status, stderr })
}

/// Sends SIGTERM, and SIGKILL if that does not help.
async fn end(child: &mut Child, patience: Duration) -> io::Result<ExitStatus> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // This fails only if the process has ended, and then `wait` returns.
        if let Err(errno) = kill_process(pid, Signal::TERM) {
            tracing::debug!(event = "terminate_failed", "{errno}");
        }
        if let Ok(status) = tokio::time::timeout(patience, child.wait()).await {
            return status;
        }
    }
    child.start_kill()?;
    child.wait().await
}

/// Reads stderr to its end and keeps the tail.
async fn drain(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::with_capacity(2 * TAIL_BYTES);
    loop {
        match stderr.read_buf(&mut kept).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(err) => {
                tracing::debug!(event = "stderr_not_read", "{err}");
                break;
            }
        }
        if kept.len() > TAIL_BYTES {
            kept.drain(..kept.len() - TAIL_BYTES);
        }
    }
    tail_of(&kept)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;

    use super::*;

    fn shell(script: &str) -> (Running, u32) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stderr(Stdio::piped()).stdout(Stdio::piped());
        let (running, pid) = Running::start(command, |child| child.id()).expect("a shell");
        (running, pid.expect("it runs"))
    }

    fn is_there(pid: u32) -> bool {
        std::path::Path::new(&format!("/proc/{pid}")).exists()
    }

    #[tokio::test]
    async fn a_flood_on_stderr_does_not_block_the_program_and_its_tail_is_kept() {
        let (mut running, _) =
            shell("i=0; while [ $i -lt 200000 ]; do echo line $i; i=$((i+1)); done >&2; exit 7");

        let outcome = running.wait().await.unwrap();

        assert_eq!(running.wait().await.unwrap(), outcome, "a second call returns the same");
        assert_eq!(outcome.status.code(), Some(7));
        assert!(outcome.stderr.ends_with("; line 199998; line 199999"), "{}", outcome.stderr);
        assert!(outcome.stderr.len() < 1000, "only the last lines");
    }

    #[tokio::test]
    async fn a_program_is_terminated_and_reaped() {
        let (running, pid) = shell("exec sleep 1000");
        let outcome = running.terminate().await.unwrap();
        assert_eq!(outcome.status.signal(), Some(Signal::TERM.as_raw()));
        assert!(!is_there(pid));
    }

    #[tokio::test]
    async fn a_program_that_ignores_sigterm_is_killed() {
        // The shell waits in `read` until the signal comes.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' TERM; echo ready; while :; do read x; done"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).await.unwrap();

        let status = end(&mut child, Duration::from_millis(10)).await.unwrap();

        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
    }
}

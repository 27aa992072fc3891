//! Runs `btrfs send` and verifies the stream while it is read.
//!
//! A [`SendStream`] ends only after a complete, sound stream from a program that exited
//! with 0; everything else is an error. So a reader that stores it to its end has
//! stored a good backup, and the last chunk of a bad stream is never completed. A
//! `btrfs send` that was frozen and thawed writes garbage and exits with 0; the
//! verifier detects that.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use btrfs_sendstream::{Snapshot, StreamError, StreamSummary, Verifier};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::process::ChildStdout;

use crate::child::Running;
use crate::command_tap::CommandTap;
use crate::compressed::Form;
use crate::exit_report::ExitReport;
use crate::identity::SnapshotIdentity;
use crate::tool::{Btrfs, shown};

/// Fewer switches between two busy processes. The kernel grants an ordinary user no
/// more, and a smaller pipe works, too.
const PIPE_BYTES: usize = 1 << 20;
/// The first command of a stream is much shorter.
const IDENTITY_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("start `{command}`")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed: {outcome}")]
    Failed { command: String, outcome: ExitReport },
    #[error("the output of `{command}` is not a sound stream")]
    Stream { command: String, source: StreamError },
    #[error("read from `{command}`")]
    Read { command: String, source: io::Error },
    #[error("`{command}` ended before it named the snapshot: {outcome}")]
    NoIdentity { command: String, outcome: ExitReport },
}

/// Messages of errors that pass: memory or another resource ran out for a moment.
const PASSING: [&str; 4] = [
    "Cannot allocate memory",
    "Interrupted system call",
    "Resource temporarily unavailable",
    "Too many open files",
];

impl SendError {
    /// Returns true if the kernel could not send a path because it is too long (ENAMETOOLONG).
    pub fn is_path_too_long(&self) -> bool {
        let SendError::Failed { outcome, .. } = self else { return false };
        outcome.stderr.contains("failed with -36") || outcome.stderr.contains("File name too long")
    }

    /// Returns true if the kernel could not read a block (EIO).
    pub fn is_read_error(&self) -> bool {
        let SendError::Failed { outcome, .. } = self else { return false };
        outcome.stderr.contains("failed with -5") || outcome.stderr.contains("Input/output error")
    }

    /// Returns true if sending the same snapshot again may succeed: the program was killed, or
    /// ran out of something for a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            SendError::Start { .. } | SendError::Read { .. } => true,
            SendError::Failed { outcome, .. } | SendError::NoIdentity { outcome, .. } => {
                let is_passing = |text: &&str| outcome.stderr.contains(text);
                outcome.status.signal().is_some() || PASSING.iter().any(is_passing)
            }
            SendError::Stream { .. } => false,
        }
    }
}

/// The identity of the snapshot, known once the stream has named it.
pub type Named = Arc<OnceLock<SnapshotIdentity>>;

pub struct SendStream {
    command: String,
    state: State,
    /// Set once the stream has named its snapshot.
    named: Named,
    /// Set once the stream was read to its end.
    facts: Option<StreamSummary>,
    /// Receives the commands while they are verified.
    tap: Option<CommandTap>,
}

enum State {
    Reading {
        stdout: ChildStdout,
        verifier: Verifier,
        running: Running,
    },
    /// The pipe is closed, and the program has not been waited for.
    Ending {
        verdict: Result<StreamSummary, StreamError>,
        running: Running,
    },
    Ended,
}

impl SendStream {
    /// Sends the read-only `snapshot`, as a full or based on `parent`.
    pub fn start(
        btrfs: &Btrfs,
        snapshot: &Path,
        parent: Option<&Path>,
        form: Form,
    ) -> Result<SendStream, SendError> {
        let mut arguments = vec![OsStr::new("send"), OsStr::new("-q")];
        arguments.extend(form.arguments().iter().map(OsStr::new));
        if let Some(parent) = parent {
            arguments.extend([OsStr::new("-p"), parent.as_ref()]);
        }
        arguments.push(snapshot.as_ref());
        start(btrfs, &arguments)
    }

    /// Hands the verified commands to `tap` as well.
    pub fn with_tap(self, tap: CommandTap) -> SendStream {
        SendStream { tap: Some(tap), ..self }
    }

    /// Returns the cell that receives the identity of the snapshot, as soon as the
    /// stream names it.
    pub fn named(&self) -> Named {
        Named::clone(&self.named)
    }

    /// Terminates the program and waits for it. Returns the facts of the stream if it
    /// was read to its end.
    pub async fn stop(self) -> Option<StreamSummary> {
        let outcome = match self.state {
            State::Reading { running, .. } | State::Ending { running, .. } => {
                running.terminate().await
            }
            State::Ended => return self.facts,
        };
        match outcome {
            Ok(outcome) => tracing::debug!(event = "send_stopped", "{outcome}"),
            Err(err) => tracing::warn!(event = "send_not_stopped", "{}: {err}", self.command),
        }
        None
    }

    fn poll_reading(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), SendError>> {
        let State::Reading { stdout, verifier, .. } = &mut self.state else {
            return Poll::Ready(Ok(()));
        };
        if let Some(tap) = &mut self.tap {
            ready!(tap.poll_ready(cx));
        }
        let before = buf.filled().len();
        if let Err(source) = ready!(Pin::new(stdout).poll_read(cx, buf)) {
            return Poll::Ready(Err(SendError::Read { command: self.command.clone(), source }));
        }
        let piece = &buf.filled()[before..];
        // Takes a few microseconds: a pipe yields about 64 KiB at a time.
        let fed = match &mut self.tap {
            Some(tap) => {
                let fed = verifier.feed_to(piece, |command| tap.push(&command));
                tap.send_long();
                fed
            }
            None => verifier.feed(piece),
        };
        if let Err(source) = fed {
            return Poll::Ready(Err(SendError::Stream { command: self.command.clone(), source }));
        }
        if self.named.get().is_none()
            && let Some(snapshot) = verifier.snapshot()
        {
            self.named.get_or_init(|| identity_of(snapshot));
        }
        if piece.is_empty()
            && let State::Reading { verifier, running, .. } =
                std::mem::replace(&mut self.state, State::Ended)
        {
            // Its receiver learns that no more commands follow.
            self.tap = None;
            self.state = State::Ending { verdict: verifier.finish(), running };
        }
        Poll::Ready(Ok(()))
    }

    /// Prefers the failure of the program, which causes the truncated stream.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let State::Ending { running, .. } = &mut self.state else { return Poll::Ready(Ok(())) };
        let outcome = ready!(running.poll_ended(cx));
        let command = self.command.clone();
        let State::Ending { verdict, .. } = std::mem::replace(&mut self.state, State::Ended) else {
            return Poll::Ready(Ok(()));
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(source) => return Poll::Ready(Err(SendError::Read { command, source })),
        };
        if !outcome.status.success() {
            return Poll::Ready(Err(SendError::Failed { command, outcome }));
        }
        match verdict {
            Ok(facts) => {
                self.facts = Some(facts);
                Poll::Ready(Ok(()))
            }
            Err(source) => Poll::Ready(Err(SendError::Stream { command, source })),
        }
    }
}

fn start(btrfs: &Btrfs, arguments: &[&OsStr]) -> Result<SendStream, SendError> {
    let (command, running, stdout) = spawn(btrfs, arguments)?;
    let state = State::Reading { stdout, verifier: Verifier::new(), running };
    Ok(SendStream { command, state, named: Named::default(), facts: None, tap: None })
}

/// Starts a send. Returns the call as a person would type it, the program, and its output.
pub(crate) fn spawn(
    btrfs: &Btrfs,
    arguments: &[&OsStr],
) -> Result<(String, Running, ChildStdout), SendError> {
    let command = shown(arguments);
    let fail = |source| SendError::Start { command: command.clone(), source };
    let (running, stdout) =
        Running::start(btrfs.command(arguments), |child| child.stdout.take()).map_err(fail)?;
    let stdout = stdout.ok_or_else(|| fail(io::Error::other("it has no stdout")))?;
    if let Err(errno) = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_BYTES) {
        tracing::debug!(event = "pipe_not_enlarged", "{errno}");
    }
    Ok((command, running, stdout))
}

impl AsyncRead for SendStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(self.poll_reading(cx, buf)).map_err(io::Error::other)?;
        if buf.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        self.poll_ending(cx).map_err(io::Error::other)
    }
}

/// Returns the identity that a send of `snapshot` would write: its UUID and ctransid as
/// they are on disk now. It is read from the first bytes of a stream without file data,
/// because the kernel writes the same into the header of an incremental.
pub async fn identity(btrfs: &Btrfs, snapshot: &Path) -> Result<SnapshotIdentity, SendError> {
    let arguments =
        [OsStr::new("send"), OsStr::new("-q"), OsStr::new("--no-data"), snapshot.as_ref()];
    let mut stream = start(btrfs, &arguments)?;
    let found = read_identity(&mut stream).await;
    stream.stop().await;
    found
}

fn identity_of(snapshot: &Snapshot) -> SnapshotIdentity {
    SnapshotIdentity { uuid: snapshot.uuid.to_string(), ctransid: snapshot.ctransid }
}

async fn read_identity(stream: &mut SendStream) -> Result<SnapshotIdentity, SendError> {
    let command = stream.command.clone();
    let State::Reading { stdout, verifier, running } = &mut stream.state else {
        return Err(SendError::Read { command, source: io::Error::other("it has ended") });
    };
    let mut bytes = vec![0; IDENTITY_BYTES_MAX];
    loop {
        let count = match stdout.read(&mut bytes).await {
            Ok(count) => count,
            Err(source) => return Err(SendError::Read { command, source }),
        };
        // A stream without data is refused later, but not in its first command.
        let judged = verifier.feed(&bytes[..count]);
        match (verifier.snapshot(), judged) {
            (Some(snapshot), _) => return Ok(identity_of(snapshot)),
            (None, Err(source)) => return Err(SendError::Stream { command, source }),
            (None, Ok(())) if count == 0 => {
                let outcome = running.wait().await;
                return Err(match outcome {
                    Ok(outcome) => SendError::NoIdentity { command, outcome },
                    Err(source) => SendError::Read { command, source },
                });
            }
            (None, Ok(())) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn a_signal_and_a_lack_of_memory_pass() {
        const SIGNAL_9: i32 = 9;
        const EXIT_1: i32 = 1 << 8;
        #[rustfmt::skip]
        let cases = [
            (SIGNAL_9, "",                                                    true),
            (EXIT_1,   "ERROR: send ioctl failed with -12: Cannot allocate memory", true),
            (EXIT_1,   "ERROR: send ioctl failed with -5: Input/output error", false),
            (EXIT_1,   "ERROR: send ioctl failed with -36: File name too long", false),
            (EXIT_1,   "",                                                    false),
        ];
        for (status, stderr, want) in cases {
            let status = ExitStatus::from_raw(status);
            let outcome = ExitReport { status, stderr: stderr.to_owned() };
            let err = SendError::Failed { command: "btrfs send".to_owned(), outcome };
            assert_eq!(err.is_passing(), want, "{err}");
        }
    }
}

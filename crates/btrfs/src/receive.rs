//! `btrfs receive`, fed by us.
//!
//! It runs confined to its folder (`--chroot`), so that not even a symlink in
//! a stream leads out of it. That it exits with 0 is not enough to trust what
//! it made: the caller looks at the subvolume, too.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};

use crate::child::Running;
use crate::outcome::Outcome;
use crate::tool::{Btrfs, shown};

#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("start `{command}`")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed: {outcome}")]
    Failed { command: String, outcome: Outcome },
    #[error("write to `{command}`")]
    Write { command: String, source: io::Error },
}

pub struct Receiver {
    command: String,
    stdin: Option<ChildStdin>,
    running: Running,
}

impl Receiver {
    pub fn start(btrfs: &Btrfs, folder: &Path) -> Result<Receiver, ReceiveError> {
        let arguments = ["receive", "-q", "--chroot"].map(OsStr::new);
        let arguments = [&arguments[..], &[folder.as_ref()]].concat();
        let command = shown(&arguments);
        let fail = |source| ReceiveError::Start { command: command.clone(), source };
        let mut call: Command = btrfs.command(&arguments);
        call.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let (running, stdin) = Running::start(call, |child| child.stdin.take()).map_err(fail)?;
        Ok(Receiver { command, stdin, running })
    }

    /// Hands over bytes that were verified. May be dropped: then call `stop`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ReceiveError> {
        let Some(stdin) = self.stdin.as_mut() else { return Err(self.failed().await) };
        match stdin.write_all(bytes).await {
            Ok(()) => Ok(()),
            // It does not read any more: how it ended is the cause.
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Err(self.failed().await),
            Err(source) => Err(ReceiveError::Write { command: self.command.clone(), source }),
        }
    }

    /// Ends the stream, and waits for the program.
    pub async fn finish(&mut self) -> Result<(), ReceiveError> {
        if let Some(mut stdin) = self.stdin.take() {
            stdin
                .shutdown()
                .await
                .map_err(|source| ReceiveError::Write { command: self.command.clone(), source })?;
        }
        match self.running.wait().await {
            Ok(outcome) if outcome.status.success() => Ok(()),
            Ok(outcome) => Err(ReceiveError::Failed { command: self.command.clone(), outcome }),
            Err(source) => Err(ReceiveError::Write { command: self.command.clone(), source }),
        }
    }

    /// Ends the program, wherever it is, and waits for that.
    pub async fn stop(self) {
        if let Err(err) = self.running.terminate().await {
            tracing::warn!(event = "receive_not_stopped", "{}: {err}", self.command);
        }
    }

    async fn failed(&mut self) -> ReceiveError {
        self.stdin = None;
        let command = self.command.clone();
        match self.running.wait().await {
            Ok(outcome) => ReceiveError::Failed { command, outcome },
            Err(source) => ReceiveError::Write { command, source },
        }
    }
}

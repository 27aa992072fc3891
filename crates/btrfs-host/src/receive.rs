//! `btrfs receive`, fed through a pipe.
//!
//! It runs confined to its folder (`--chroot`), so that not even a symlink in
//! a stream leads out of it. That it exits with 0 is not enough to trust what
//! it made: the caller looks at the subvolume, too.

use std::ffi::OsStr;
use std::io::{self, PipeWriter};
use std::path::Path;

use tokio::process::Command;

use crate::child::Running;
use crate::exit_report::ExitReport;
use crate::tool::{Btrfs, shown};

/// As for `btrfs send`: fewer switches between two busy processes.
const PIPE_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("start `{command}`")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed: {outcome}")]
    Failed { command: String, outcome: ExitReport },
    #[error("`{command}` ended before the stream did: {outcome}")]
    Early { command: String, outcome: ExitReport },
    #[error("write to `{command}`")]
    Write { command: String, source: io::Error },
    #[error("wait for `{command}`")]
    Wait { command: String, source: io::Error },
}

pub struct Receiver {
    command: String,
    running: Running,
}

impl Receiver {
    /// Also returns the pipe that it reads from; writing to it blocks.
    pub fn start(btrfs: &Btrfs, folder: &Path) -> Result<(Receiver, PipeWriter), ReceiveError> {
        let arguments = ["receive", "-q", "--chroot"].map(OsStr::new);
        let arguments = [&arguments[..], &[folder.as_ref()]].concat();
        let command = shown(&arguments);
        let fail = |source| ReceiveError::Start { command: command.clone(), source };
        let (reader, writer) = io::pipe().map_err(fail)?;
        if let Err(errno) = rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES) {
            tracing::debug!(event = "pipe_not_enlarged", "{errno}");
        }
        let mut call: Command = btrfs.command(&arguments);
        call.stdin(reader).stdout(std::process::Stdio::null());
        // With the call goes our copy of the end that it reads.
        let (running, ()) = Running::start(call, |_| ()).map_err(fail)?;
        Ok((Receiver { command, running }, writer))
    }

    /// Waits for the program, whose pipe was closed.
    pub async fn finish(&mut self) -> Result<(), ReceiveError> {
        let command = self.command.clone();
        match self.running.wait().await {
            Ok(outcome) if outcome.status.success() => Ok(()),
            Ok(outcome) => Err(ReceiveError::Failed { command, outcome }),
            Err(source) => Err(ReceiveError::Wait { command, source }),
        }
    }

    /// Why writing to its pipe failed. Where it does not read any more, how it
    /// ended is the cause.
    pub async fn cause(&mut self, source: io::Error) -> ReceiveError {
        let command = self.command.clone();
        if source.kind() != io::ErrorKind::BrokenPipe {
            return ReceiveError::Write { command, source };
        }
        match self.running.wait().await {
            Ok(outcome) if outcome.status.success() => ReceiveError::Early { command, outcome },
            Ok(outcome) => ReceiveError::Failed { command, outcome },
            Err(source) => ReceiveError::Wait { command, source },
        }
    }

    /// Ends the program, wherever it is, and waits for that.
    pub async fn stop(self) {
        if let Err(err) = self.running.terminate().await {
            tracing::warn!(event = "receive_not_stopped", "{}: {err}", self.command);
        }
    }
}

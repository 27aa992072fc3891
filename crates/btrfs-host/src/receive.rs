//! Runs `btrfs receive`, fed through a pipe.
//!
//! It is confined to its directory (`--chroot`), so that not even a symlink in a stream leads out
//! of it. Its exit code 0 does not prove that the snapshot is complete: the caller also checks
//! the subvolume.

use std::ffi::OsStr;
use std::io::{self, PipeWriter};
use std::path::Path;

use tokio::process::Command;

use crate::child::Running;
use crate::exit_report::ExitReport;
use crate::tool::{Btrfs, shown};

/// Size of the pipe. As for `btrfs send`, a large one means fewer context switches.
const PIPE_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("start `{command}`")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed: {outcome}{}", hint(&outcome.stderr))]
    Failed { command: String, outcome: ExitReport },
    #[error("`{command}` ended before the end of the stream: {outcome}")]
    Early { command: String, outcome: ExitReport },
    #[error("write to `{command}`")]
    Write { command: String, source: io::Error },
    #[error("wait for `{command}`")]
    Wait { command: String, source: io::Error },
}

/// Explains a temporary name in an error: a new file is created under a name that consists of the
/// inode and the transaction of its source, and then renamed.
fn hint(stderr: &str) -> &'static str {
    let is_temporary = |word: &str| {
        let numbers = word.rsplit('/').next().and_then(|name| name.strip_prefix('o'));
        numbers.is_some_and(|numbers| {
            let numbers: Vec<_> = numbers.split('-').collect();
            numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u64>().is_ok())
        })
    };
    let words = stderr.split(|c: char| c.is_whitespace() || ":;,\"'`".contains(c));
    if words.into_iter().any(is_temporary) {
        " (a name like o257-8-0 is temporary: a new file has it until it is moved to its place, and \
         its first number is the inode at the source)"
    } else {
        ""
    }
}

pub struct Receiver {
    command: String,
    running: Running,
}

impl Receiver {
    /// Starts the program, and returns the pipe that it reads from. Writing to it blocks.
    pub fn start(btrfs: &Btrfs, directory: &Path) -> Result<(Receiver, PipeWriter), ReceiveError> {
        let arguments = ["receive", "-q", "--chroot"].map(OsStr::new);
        let arguments = [&arguments[..], &[directory.as_ref()]].concat();
        let command = shown(&arguments);
        let fail = |source| ReceiveError::Start { command: command.clone(), source };
        let (reader, writer) = io::pipe().map_err(fail)?;
        if let Err(errno) = rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES) {
            tracing::debug!(event = "pipe_not_enlarged", "{errno}");
        }
        let mut call: Command = btrfs.command(&arguments);
        call.stdin(reader).stdout(std::process::Stdio::null());
        // Dropping the call closes our copy of the read end.
        let (running, ()) = Running::start(call, |_| ()).map_err(fail)?;
        Ok((Receiver { command, running }, writer))
    }

    /// Waits for the program to end. Its pipe must be closed.
    pub async fn finish(&mut self) -> Result<(), ReceiveError> {
        let command = self.command.clone();
        match self.running.wait().await {
            Ok(outcome) if outcome.status.success() => Ok(()),
            Ok(outcome) => Err(ReceiveError::Failed { command, outcome }),
            Err(source) => Err(ReceiveError::Wait { command, source }),
        }
    }

    /// Returns why writing to the pipe failed. If the program no longer reads, the cause is how
    /// it ended.
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

    /// Terminates the program and waits for it.
    pub async fn stop(self) {
        if let Err(err) = self.running.terminate().await {
            tracing::warn!(event = "receive_not_stopped", "{}: {err}", self.command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_is_explained() {
        #[rustfmt::skip]
        let cases = [
            ("ERROR: mknod o257-8-0 failed: Operation not permitted",       true),
            ("ERROR: rename a/o258-9-1 -> b/c failed: No space left",       true),
            ("ERROR: lsetxattr a/old user.x failed: Operation not supported", false),
            ("ERROR: open o257 failed",                                     false),
            ("ERROR: open o-1-2-3 failed",                                  false),
            ("",                                                            false),
        ];
        for (stderr, want) in cases {
            assert_eq!(!hint(stderr).is_empty(), want, "{stderr}");
        }
    }
}

//! Runs `btrfs send --no-data`: what a send would write, without its data.
//!
//! It reads only metadata and takes as long as the kernel needs to compare two trees. The
//! stream names every inode that is new or changed, so the caller can examine those
//! without a walk over all files.

use std::ffi::OsStr;
use std::path::Path;

use btrfs_sendstream::{CommandKind, Forecast, StreamError, Verifier};
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use crate::child::Running;
use crate::compressed::Form;
use crate::send::{SendError, spawn};
use crate::tool::Btrfs;

/// Bytes per read. A piece names at most some thousand paths.
const PIECE_BYTES: usize = 64 << 10;

/// A running `btrfs send --no-data`. Dropping it terminates the program.
pub struct ForecastStream {
    command: String,
    stdout: ChildStdout,
    running: Running,
    verifier: Verifier,
    forecast: Forecast,
    piece: Vec<u8>,
}

impl ForecastStream {
    /// Starts the forecast of what [`SendStream::start`](crate::send::SendStream::start)
    /// would send with the same arguments.
    pub fn start(
        btrfs: &Btrfs,
        snapshot: &Path,
        parent: Option<&Path>,
        form: Form,
    ) -> Result<ForecastStream, SendError> {
        // The stand-in of the tests recognises this call by its second argument.
        let mut arguments = ["send", "--no-data", "-q"].map(OsStr::new).to_vec();
        arguments.extend(form.protocol_arguments().iter().map(OsStr::new));
        if let Some(parent) = parent {
            arguments.extend([OsStr::new("-p"), parent.as_ref()]);
        }
        arguments.push(snapshot.as_ref());
        let (command, running, stdout) = spawn(btrfs, &arguments)?;
        Ok(ForecastStream {
            command,
            stdout,
            running,
            verifier: Verifier::without_data(),
            forecast: Forecast::new(form.protocol()),
            piece: vec![0; PIECE_BYTES],
        })
    }

    /// Reads on and returns the paths of the next inodes that are new or changed, from
    /// the root of the snapshot. Returns `None` at the end of the stream.
    pub async fn next_paths(&mut self) -> Result<Option<Vec<Vec<u8>>>, SendError> {
        let read = self.stdout.read(&mut self.piece).await;
        let count =
            read.map_err(|source| SendError::Read { command: self.command.clone(), source })?;
        if count == 0 {
            return Ok(None);
        }
        let (forecast, mut paths) = (&mut self.forecast, Vec::new());
        let fed = self.verifier.feed_to(&self.piece[..count], |command| {
            forecast.add(&command);
            // The kernel ends the work on each inode with its times.
            if command.kind == CommandKind::Utimes {
                paths.extend(command.path().map(<[u8]>::to_vec));
            }
        });
        fed.map_err(|source| self.unsound(source))?;
        Ok(Some(paths))
    }

    /// Waits for the program and returns the forecast. Must be called at the end of the
    /// stream.
    pub async fn finish(mut self) -> Result<Forecast, SendError> {
        let command = self.command.clone();
        let outcome = self.running.wait().await;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(source) => return Err(SendError::Read { command, source }),
        };
        if !outcome.status.success() {
            return Err(SendError::Failed { command, outcome });
        }
        let verdict = self.verifier.finish();
        verdict.map_err(|source| SendError::Stream { command, source })?;
        Ok(self.forecast)
    }

    fn unsound(&self, source: StreamError) -> SendError {
        SendError::Stream { command: self.command.clone(), source }
    }
}

/// Runs a forecast to its end.
pub async fn forecast(
    btrfs: &Btrfs,
    snapshot: &Path,
    parent: Option<&Path>,
    form: Form,
) -> Result<Forecast, SendError> {
    let mut stream = ForecastStream::start(btrfs, snapshot, parent, form)?;
    while stream.next_paths().await?.is_some() {}
    stream.finish().await
}

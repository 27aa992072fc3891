//! Standard output of a command that prints line by line.
//!
//! A reader that has seen enough (`s3up list | head`) closes the pipe. That ends the command and is
//! no failure.

use std::io::{self, BufWriter, Stdout, Write};

use anyhow::Context;
use serde::Serialize;

#[derive(Debug)]
pub(super) struct Output(BufWriter<Stdout>);

/// Says whether anything still reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum OutputReader {
    Open,
    Closed,
}

impl Output {
    pub(super) fn new() -> Output {
        Output(BufWriter::new(io::stdout()))
    }

    pub(super) fn line(&mut self, line: &str) -> anyhow::Result<OutputReader> {
        written(writeln!(self.0, "{line}"))
    }

    pub(super) fn json_line(&mut self, value: &impl Serialize) -> anyhow::Result<OutputReader> {
        self.line(&serde_json::to_string(value).context("format a line of JSON")?)
    }

    /// Writes what is buffered.
    pub(super) fn flush(&mut self) -> anyhow::Result<OutputReader> {
        written(self.0.flush())
    }
}

fn written(result: io::Result<()>) -> anyhow::Result<OutputReader> {
    match result {
        Ok(()) => Ok(OutputReader::Open),
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(OutputReader::Closed),
        Err(err) => Err(err).context("write to standard output"),
    }
}

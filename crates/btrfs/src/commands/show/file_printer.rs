//! Prints files while they are found, so that the memory does not depend on their number.

use std::io::{self, BufWriter, Stdout, Write};

use btrfs_stream_index::chain::ChainFile;
use btrfs_to_s3::browse::BrowseError;

use super::browse::{FileLine, files_table};

/// Number of files whose columns are aligned with each other.
const ALIGNED_FILES: usize = 4096;

pub struct FilePrinter {
    is_json: bool,
    out: BufWriter<Stdout>,
    waiting: Vec<FileLine>,
    /// True once the first files were printed.
    has_begun: bool,
}

impl FilePrinter {
    pub fn new(is_json: bool) -> FilePrinter {
        let out = BufWriter::new(io::stdout());
        FilePrinter { is_json, out, waiting: Vec::new(), has_begun: false }
    }

    pub fn add(&mut self, path: &[u8], file: &ChainFile) -> Result<(), BrowseError> {
        self.waiting.push(FileLine::of(path, file));
        if self.waiting.len() < ALIGNED_FILES {
            return Ok(());
        }
        self.print().map_err(BrowseError::Print)
    }

    fn print(&mut self) -> io::Result<()> {
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        let lines = std::mem::take(&mut self.waiting);
        if !self.is_json {
            return self.out.write_all(files_table(lines, !has_begun).as_bytes());
        }
        for (n, line) in lines.iter().enumerate() {
            let is_first = n == 0 && !has_begun;
            self.out.write_all(if is_first { b"[\n" } else { b",\n" })?;
            let json = serde_json::to_string_pretty(line)?;
            for (n, line) in json.lines().enumerate() {
                write!(self.out, "{}  {line}", if n == 0 { "" } else { "\n" })?;
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<(), BrowseError> {
        self.end().map_err(BrowseError::Print)
    }

    fn end(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() || (!self.is_json && !self.has_begun) {
            self.print()?;
        }
        if self.is_json {
            self.out.write_all(if self.has_begun { b"\n]\n" } else { b"[]\n" })?;
        }
        self.out.flush()
    }
}

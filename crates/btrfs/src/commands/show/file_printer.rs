//! Prints files while they are found, so that the memory does not depend on their number.

use std::io::{self, BufWriter, Stdout, Write};

use btrfs_stream_index::chain::ChainFile;
use btrfs_to_s3::browse::BrowseError;
use s3up_cli::Header;

use super::browse::{FileLine, FileRows, add_file, file_rows};
use super::json_list::{JsonList, long_writes};

/// Number of files whose columns are aligned with each other.
const ALIGNED_FILES: usize = 4096;

pub struct FilePrinter(Form);

enum Form {
    Json(JsonList<BufWriter<Stdout>>),
    Table(TablePrinter),
}

struct TablePrinter {
    out: BufWriter<Stdout>,
    rows: FileRows,
    /// Shown before the first rows.
    header: Header,
}

impl FilePrinter {
    pub fn new(is_json: bool) -> FilePrinter {
        let out = long_writes();
        FilePrinter(match is_json {
            true => Form::Json(JsonList::new(out)),
            false => Form::Table(TablePrinter { out, rows: file_rows(), header: Header::Shown }),
        })
    }

    pub fn add(&mut self, path: &[u8], file: &ChainFile) -> Result<(), BrowseError> {
        let line = FileLine::of(path, file);
        let added = match &mut self.0 {
            Form::Json(list) => list.add(&line),
            Form::Table(table) => table.add(line),
        };
        added.map_err(BrowseError::Print)
    }

    pub fn finish(self) -> Result<(), BrowseError> {
        let finished = match self.0 {
            Form::Json(list) => list.finish().map(drop),
            Form::Table(table) => table.finish(),
        };
        finished.map_err(BrowseError::Print)
    }
}

impl TablePrinter {
    fn add(&mut self, line: FileLine) -> io::Result<()> {
        add_file(&mut self.rows, &line);
        if self.rows.count() < ALIGNED_FILES { Ok(()) } else { self.print() }
    }

    fn print(&mut self) -> io::Result<()> {
        let header = std::mem::replace(&mut self.header, Header::Hidden);
        self.out.write_all(self.rows.take(header).as_bytes())
    }

    fn finish(mut self) -> io::Result<()> {
        self.print()?;
        self.out.flush()
    }
}

//! Prints the differences between backups while they are found, so that the memory does not depend on
//! their number.

use std::io::{self, BufWriter, Stdout, Write};

use btrfs_to_s3::browse::BrowseError;
use btrfs_to_s3::browse::tree_diff::PathChange;

use super::browse::ChangeLine;
use super::json_list::{JsonList, long_writes};

pub enum ChangePrinter {
    Json(JsonList<BufWriter<Stdout>>),
    Lines(BufWriter<Stdout>),
}

impl ChangePrinter {
    pub fn new(is_json: bool) -> ChangePrinter {
        let out = long_writes();
        if is_json { ChangePrinter::Json(JsonList::new(out)) } else { ChangePrinter::Lines(out) }
    }

    pub fn add(&mut self, change: PathChange, path: &[u8]) -> Result<(), BrowseError> {
        let line = ChangeLine::of(change, path);
        let added = match self {
            ChangePrinter::Json(list) => list.add(&line),
            ChangePrinter::Lines(out) => writeln!(out, "{:<8} {}", line.change, line.path),
        };
        added.map_err(BrowseError::Print)
    }

    pub fn finish(self) -> Result<(), BrowseError> {
        let finished: io::Result<()> = match self {
            ChangePrinter::Json(list) => list.finish().map(drop),
            ChangePrinter::Lines(mut out) => out.flush(),
        };
        finished.map_err(BrowseError::Print)
    }
}

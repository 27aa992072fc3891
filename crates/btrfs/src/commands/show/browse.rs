//! Files of backups, their differences and the indexes, as tables and as JSON.

use std::fmt;

use btrfs_stream_index::FileType;
use btrfs_stream_index::chain::ChainFile;
use btrfs_to_s3::browse::shown;
use btrfs_to_s3::browse::tree_diff::PathChange;
use jiff::Timestamp;
use s3up_cli::{AlignedRows, table};
use s3up_core::{Size, error_chain};
use s3up_repository::chain::ChainEntry;
use s3up_repository::stamp::seconds;
use s3up_repository::stream_index::IndexError;
use serde::Serialize;

/// Files as rows of a table.
pub type FileRows = AlignedRows<5>;

/// A file in the JSON output.
#[derive(Debug, Serialize)]
pub struct FileLine {
    /// Bytes that are no text are written as `%XX`.
    pub path: String,
    #[serde(rename = "type")]
    pub file_type: &'static str,
    /// Permission bits, in octal digits.
    pub mode: Option<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: u64,
    pub modified_at: Option<String>,
    /// Target of a symlink.
    pub target: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ChangeLine {
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
}

#[derive(Debug, Serialize)]
pub struct IndexLine {
    pub manifest: String,
    pub created_at: String,
    /// `null` if the backup has no index that can be read.
    pub index_bytes: Option<u64>,
    /// The reason why the index cannot be read.
    pub problem: Option<String>,
}

fn name_of(file_type: Option<FileType>) -> &'static str {
    match file_type {
        Some(FileType::File) => "file",
        Some(FileType::Directory) => "directory",
        Some(FileType::Symlink) => "symlink",
        Some(FileType::CharDevice) => "char_device",
        Some(FileType::BlockDevice) => "block_device",
        Some(FileType::Fifo) => "fifo",
        Some(FileType::Socket) => "socket",
        None => "unknown",
    }
}

impl FileLine {
    pub fn of(path: &[u8], file: &ChainFile) -> FileLine {
        let metadata = &file.metadata;
        let modified = metadata.modified.and_then(|time| {
            // The time of a file may be outside of the calendar.
            Timestamp::new(time.seconds, i32::try_from(time.nanos).ok()?).ok()
        });
        FileLine {
            path: shown(path),
            file_type: name_of(metadata.file_type),
            mode: metadata.mode.map(|mode| format!("{mode:04o}")),
            uid: metadata.owner.map(|(user, _)| user),
            gid: metadata.owner.map(|(_, group)| group),
            size: metadata.length.after(0),
            modified_at: modified.map(seconds),
            target: metadata.target.as_deref().map(shown),
        }
    }
}

impl ChangeLine {
    pub fn of(change: PathChange, path: &[u8]) -> ChangeLine {
        let change = match change {
            PathChange::Added => "added",
            PathChange::Removed => "removed",
            PathChange::Changed => "changed",
        };
        ChangeLine { path: shown(path), change }
    }
}

impl IndexLine {
    pub fn of(entry: &ChainEntry, found: &Result<Option<u64>, IndexError>) -> IndexLine {
        IndexLine {
            manifest: entry.key.as_str().to_owned(),
            created_at: seconds(entry.manifest.created_at.time()),
            index_bytes: found.as_ref().ok().copied().flatten(),
            problem: found.as_ref().err().map(|err| error_chain(err)),
        }
    }
}

/// Returns the table of files, without rows.
pub fn file_rows() -> FileRows {
    FileRows::new(["MODE", "OWNER", "BYTES", "MODIFIED", "PATH"])
}

pub fn add_file(rows: &mut FileRows, line: &FileLine) {
    let owner = fmt::from_fn(|f| match (line.uid, line.gid) {
        (Some(uid), Some(gid)) => write!(f, "{uid}:{gid}"),
        _ => f.write_str("-"),
    });
    let path = fmt::from_fn(|f| {
        f.write_str(&line.path)?;
        match &line.target {
            Some(target) => write!(f, " -> {target}"),
            None if line.file_type == "directory" => f.write_str("/"),
            None => Ok(()),
        }
    });
    let mode = line.mode.as_deref().unwrap_or("-");
    let modified_at = line.modified_at.as_deref().unwrap_or("-");
    rows.add([&mode, &owner, &line.size, &modified_at, &path]);
}

pub fn index_table(lines: &[IndexLine]) -> String {
    let row = |line: &IndexLine| {
        let index = match (line.index_bytes, &line.problem) {
            (Some(bytes), _) => Size(bytes).to_string(),
            (None, Some(problem)) => problem.clone(),
            (None, None) => "none".to_owned(),
        };
        [line.created_at.clone(), index, line.manifest.clone()]
    };
    table(["BACKUP", "INDEX", "MANIFEST"], lines.iter().map(row))
}

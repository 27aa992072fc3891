//! Lines about remote files, for people and as JSON.
//!
//! The columns have a fixed width, so that a listing of any length is printed while it arrives. The
//! path is last and is never cut.

use jiff::Timestamp;
use s3up_cli::one_line;
use s3up_core::wire::ListedVersion;
use s3up_core::{Count, Size};

use super::output::{Output, OutputReader};
use crate::remote_files::remote_file::RemoteFile;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFormat {
    Table,
    Json,
}

/// Prints remote files and counts them.
#[derive(Debug)]
pub(super) struct FileLines {
    output: Output,
    format: LineFormat,
    pub(super) files: u64,
    bytes: u64,
    /// Path of the last version that was printed.
    last_path: String,
}

impl FileLines {
    pub(super) fn new(format: LineFormat) -> FileLines {
        let output = Output::new();
        FileLines { output, format, files: 0, bytes: 0, last_path: String::new() }
    }

    pub(super) fn file(&mut self, file: &RemoteFile) -> anyhow::Result<OutputReader> {
        self.files += 1;
        self.bytes += file.size;
        if self.format == LineFormat::Json {
            return self.output.json_line(file);
        }
        if self.files == 1
            && self.output.line("     SIZE  UPLOADED              PATH")? == OutputReader::Closed
        {
            return Ok(OutputReader::Closed);
        }
        self.output.line(&file_line(file))
    }

    /// Prints one version. Those of one file follow each other.
    pub(super) fn version(&mut self, version: &ListedVersion) -> anyhow::Result<OutputReader> {
        let is_next = self.last_path != version.path || self.files == 0;
        self.files += u64::from(is_next);
        self.bytes += version.size;
        if self.format == LineFormat::Json {
            self.last_path.clone_from(&version.path);
            return self.output.json_line(version);
        }
        if is_next {
            self.last_path.clone_from(&version.path);
            if self.output.line(&one_line(&version.path))? == OutputReader::Closed {
                return Ok(OutputReader::Closed);
            }
        }
        self.output.line(&version_line(version))
    }

    /// Ends a table with its totals.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if self.format == LineFormat::Table {
            let total = format!("{}, {}", Count(self.files, "file"), Size(self.bytes));
            if self.output.line(&total)? == OutputReader::Closed {
                return Ok(());
            }
        }
        self.output.flush().map(|_| ())
    }
}

fn file_line(file: &RemoteFile) -> String {
    let archived = if file.is_archived() { "  (archived)" } else { "" };
    let (size, path) = (Size(file.size).to_string(), one_line(file.path.as_str()));
    format!("{size:>9}  {}  {path}{archived}", shown_time(file.uploaded_at))
}

fn version_line(version: &ListedVersion) -> String {
    let at = version.uploaded_at.parse().map_or_else(|_| version.uploaded_at.clone(), shown_time);
    let size = match version.is_deleted {
        true => "deleted".to_owned(),
        false => Size(version.size).to_string(),
    };
    let newest = if version.is_latest { "newest" } else { "" };
    format!("{size:>9}  {at}  {newest:<6}  {}", one_line(&version.version_id))
}

/// Formats a time in UTC, to the second.
pub(super) fn shown_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_size_time_and_path() {
        let file = RemoteFile {
            path: s3up_core::RemotePath::parse("up/a b.jpg").unwrap(),
            size: 300_000,
            uploaded_at: "2026-01-31T23:59:59.9Z".parse().unwrap(),
            sha256: None,
            mtime_ns: None,
            mode: None,
            storage_class: Some("GLACIER".to_owned()),
            version_id: None,
        };
        assert_eq!(file_line(&file), "  293 KiB  2026-01-31T23:59:59Z  up/a b.jpg  (archived)");
    }

    #[test]
    fn a_line_of_a_version_fits_80_columns() {
        let mut version = ListedVersion {
            path: "a".to_owned(),
            version_id: "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY".to_owned(),
            size: 1,
            uploaded_at: "2026-01-31T23:59:59Z".to_owned(),
            is_latest: true,
            is_deleted: false,
            storage_class: None,
        };
        let line = version_line(&version);
        let want = "      1 B  2026-01-31T23:59:59Z  newest  3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY";
        assert_eq!(line, want);
        assert!(line.len() <= 80);
        version.is_deleted = true;
        assert!(version_line(&version).starts_with("  deleted  "));
    }
}

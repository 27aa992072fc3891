//! Prints what a restore of files would do, as a table or as JSON.

use btrfs_to_s3::restore_files::FileRequest;
use btrfs_to_s3::restore_files::documents::DocumentsPreview;
use btrfs_to_s3::restore_files::preview::{FilesPreview, ReadBackup};
use s3up_cli::{one_line, table};
use s3up_core::{Count, Size};
use s3up_repository::stamp::seconds;
use serde::Serialize;

use super::cost::{Priced, RestoreCostLine, restore_text};
use super::restore::{ArchivedLine, thaw_table};

/// The JSON output.
#[derive(Serialize)]
pub struct FilesLine<'a> {
    subvolume: &'a str,
    manifest: &'a str,
    target: String,
    files: u64,
    bytes: u64,
    directories: u64,
    /// Files that are at the target already.
    skipped: u64,
    /// Files that cannot be restored.
    conflicts: Vec<ConflictLine<'a>>,
    /// The backups that hold bytes of these files.
    backups: Vec<BackupLine<'a>>,
    chunks: usize,
    fetched_bytes: u64,
    thaw: Vec<ArchivedLine<'a>>,
    to_thaw: Vec<&'a str>,
    /// `null` if nothing is known of the prices of this server.
    cost: Option<&'a Priced<RestoreCostLine>>,
}

/// The JSON output while documents have to be thawed first.
#[derive(Serialize)]
pub struct DocumentsLine<'a> {
    subvolume: &'a str,
    target: String,
    /// The documents that have to be readable before the chunks are known that hold the files.
    thaw_first: String,
    thaw: Vec<ArchivedLine<'a>>,
    to_thaw: Vec<&'a str>,
    /// `null` if nothing is known of the prices of this server.
    cost: Option<&'a Priced<RestoreCostLine>>,
}

#[derive(Serialize)]
struct ConflictLine<'a> {
    path: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct BackupLine<'a> {
    manifest: &'a str,
    kind: String,
    created_at: String,
    fetched_bytes: u64,
    chunks: Vec<&'a str>,
    storage_classes: Vec<&'a str>,
}

impl<'a> FilesLine<'a> {
    pub fn of(
        preview: &'a FilesPreview,
        request: &'a FileRequest,
        cost: Option<&'a Priced<RestoreCostLine>>,
    ) -> FilesLine<'a> {
        let conflicts = preview.result.failures.iter();
        FilesLine {
            subvolume: request.subvolume.as_str(),
            manifest: preview.manifest.as_str(),
            target: request.target.display().to_string(),
            files: preview.wanted.files,
            bytes: preview.wanted.bytes,
            directories: preview.directories,
            skipped: preview.result.skipped.files,
            conflicts: conflicts
                .map(|failure| ConflictLine { path: &failure.path, reason: &failure.reason })
                .collect(),
            backups: preview.backups.iter().map(BackupLine::of).collect(),
            chunks: preview.chunks,
            fetched_bytes: preview.fetched_bytes,
            thaw: preview.thaw.iter().map(ArchivedLine::of).collect(),
            to_thaw: preview.to_thaw.iter().map(s3up_core::Key::as_str).collect(),
            cost,
        }
    }
}

impl<'a> DocumentsLine<'a> {
    pub fn of(
        preview: &'a DocumentsPreview,
        request: &'a FileRequest,
        cost: Option<&'a Priced<RestoreCostLine>>,
    ) -> DocumentsLine<'a> {
        DocumentsLine {
            subvolume: request.subvolume.as_str(),
            target: request.target.display().to_string(),
            thaw_first: preview.kind.to_string(),
            thaw: preview.thaw.iter().map(ArchivedLine::of).collect(),
            to_thaw: preview.to_thaw.iter().map(s3up_core::Key::as_str).collect(),
            cost,
        }
    }
}

impl<'a> BackupLine<'a> {
    fn of(backup: &'a ReadBackup) -> BackupLine<'a> {
        BackupLine {
            manifest: backup.manifest.as_str(),
            kind: backup.kind.to_string(),
            created_at: seconds(backup.created_at.time()),
            fetched_bytes: backup.bytes,
            chunks: backup.chunks.iter().map(s3up_core::Key::as_str).collect(),
            storage_classes: backup.storage_classes.iter().map(String::as_str).collect(),
        }
    }
}

pub fn to_table(preview: &FilesPreview, line: &FilesLine<'_>) -> String {
    let header = ["CREATED", "KIND", "DOWNLOAD", "CHUNKS", "CLASS"];
    let rows = line.backups.iter().map(|backup| {
        [
            backup.created_at.clone(),
            backup.kind.clone(),
            Size(backup.fetched_bytes).to_string(),
            backup.chunks.len().to_string(),
            backup.storage_classes.join("+"),
        ]
    });
    let counted = |count, noun, what| match count {
        0 => String::new(),
        _ => format!("{what}: {}\n", Count(count, noun)),
    };
    format!(
        "{}\n{} ({}) and {}: {} to download, from {} of {}\n{}{}manifest: {}\ntarget: {}\n{}{}{}",
        table(header, rows),
        Count(line.files, "file"),
        Size(line.bytes),
        Count(line.directories, "directory"),
        Size(line.fetched_bytes),
        line.backups.len(),
        Count::of(preview.chain, "backup"),
        counted(line.skipped, "file", "there already"),
        counted(line.conflicts.len() as u64, "file", "cannot be restored"),
        line.manifest,
        one_line(&line.target),
        thaw_table(&preview.thaw),
        keys_to_thaw(&line.to_thaw),
        line.cost.map(restore_text).unwrap_or_default()
    )
}

fn keys_to_thaw(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("to thaw: {key}\n")).collect()
}

pub fn documents_table(preview: &DocumentsPreview, line: &DocumentsLine<'_>) -> String {
    format!(
        "to thaw first: {}\ntarget: {}\n{}{}{}",
        line.thaw_first,
        one_line(&line.target),
        thaw_table(&preview.thaw),
        keys_to_thaw(&line.to_thaw),
        line.cost.map(restore_text).unwrap_or_default()
    )
}

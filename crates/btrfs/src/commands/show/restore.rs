//! Prints what a restore would do, as a table or as JSON.

use btrfs_to_s3::restore::preview::{ChainedBackup, Preview};
use btrfs_to_s3::restore::thaw_estimate::ArchivedChunks;
use s3up_cli::{one_line, table};
use s3up_core::storage_class::HourRange;
use s3up_core::{Count, Size};
use s3up_repository::stamp::seconds;
use serde::Serialize;

use super::cost::{Priced, RestoreCostLine, restore_text};

/// The JSON output.
#[derive(Serialize)]
pub struct PreviewLine<'a> {
    subvolume: &'a str,
    target: String,
    backups: Vec<BackupLine<'a>>,
    backups_received: usize,
    chunks: usize,
    total_bytes: u64,
    free_bytes: u64,
    thaw: Vec<ArchivedLine<'a>>,
    /// `null` if nothing is known of the prices of this server.
    cost: Option<&'a Priced<RestoreCostLine>>,
}

#[derive(Serialize)]
struct BackupLine<'a> {
    manifest: &'a str,
    kind: String,
    created_at: String,
    bytes: u64,
    chunks: usize,
    storage_classes: Vec<&'a str>,
}

/// The archived chunks of one storage class.
#[derive(Serialize)]
pub struct ArchivedLine<'a> {
    storage_class: &'a str,
    requests: usize,
    in_progress: usize,
    bytes: u64,
    standard_hours: HoursLine,
    bulk_hours: HoursLine,
}

#[derive(Serialize)]
struct HoursLine {
    from: u32,
    to: u32,
}

impl<'a> PreviewLine<'a> {
    pub fn of(preview: &'a Preview, cost: Option<&'a Priced<RestoreCostLine>>) -> PreviewLine<'a> {
        PreviewLine {
            subvolume: &preview.subvolume,
            target: preview.target.display().to_string(),
            backups: preview.backups.iter().map(BackupLine::of).collect(),
            backups_received: preview.backups_received,
            chunks: preview.chunks,
            total_bytes: preview.total_bytes,
            free_bytes: preview.free_bytes,
            thaw: preview.thaw.iter().map(ArchivedLine::of).collect(),
            cost,
        }
    }
}

impl<'a> BackupLine<'a> {
    fn of(backup: &'a ChainedBackup) -> BackupLine<'a> {
        BackupLine {
            manifest: backup.manifest.as_str(),
            kind: backup.kind.to_string(),
            created_at: seconds(backup.created_at.time()),
            bytes: backup.bytes,
            chunks: backup.chunks,
            storage_classes: backup.storage_classes.iter().map(String::as_str).collect(),
        }
    }
}

impl<'a> ArchivedLine<'a> {
    pub fn of(archived: &'a ArchivedChunks) -> ArchivedLine<'a> {
        let hours = |HourRange { from, to }| HoursLine { from, to };
        ArchivedLine {
            storage_class: &archived.storage_class,
            requests: archived.requests,
            in_progress: archived.in_progress,
            bytes: archived.bytes,
            standard_hours: hours(archived.standard_hours),
            bulk_hours: hours(archived.bulk_hours),
        }
    }
}

pub fn to_table(preview: &Preview, cost: Option<&Priced<RestoreCostLine>>) -> String {
    let header = ["BACKUP", "CREATED", "KIND", "SIZE", "CHUNKS", "CLASS"];
    let line = PreviewLine::of(preview, cost);
    let rows = line.backups.iter().zip(1..).map(|(entry, n): (_, usize)| {
        [
            n.to_string(),
            entry.created_at.clone(),
            entry.kind.clone(),
            Size(entry.bytes).to_string(),
            entry.chunks.to_string(),
            entry.storage_classes.join("+"),
        ]
    });
    let manifest = line.backups.last().map_or("", |newest| newest.manifest);
    format!(
        "{}\n{}{} with {}, {} in total\nmanifest: {manifest}\ntarget: {}, {} free\n{}{}",
        table(header, rows),
        Count::of(preview.backups.len(), "backup"),
        match preview.backups_received {
            0 => String::new(),
            received => format!(" ({received} already received by an interrupted restore)"),
        },
        Count::of(preview.chunks, "chunk"),
        Size(preview.total_bytes),
        one_line(&line.target),
        Size(preview.free_bytes),
        thaw_table(&preview.thaw),
        cost.map(restore_text).unwrap_or_default()
    )
}

/// Formats what has to be thawed first.
pub fn thaw_table(thaw: &[ArchivedChunks]) -> String {
    if thaw.is_empty() {
        return "thaw: not necessary\n".to_owned();
    }
    let header = ["CLASS", "TO THAW", "THAWING", "SIZE", "STANDARD", "BULK"];
    let rows = thaw.iter().map(|archived| {
        [
            archived.storage_class.clone(),
            archived.requests.to_string(),
            archived.in_progress.to_string(),
            Size(archived.bytes).to_string(),
            archived.standard_hours.to_string(),
            archived.bulk_hours.to_string(),
        ]
    });
    format!("\n{}", table(header, rows))
}

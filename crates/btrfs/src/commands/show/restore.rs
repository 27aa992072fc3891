//! Prints what a restore would do.

use btrfs_to_s3::restore::preview::Preview;
use s3up_cli::{one_line, table};
use s3up_core::{Count, Size};

pub fn to_table(preview: &Preview) -> String {
    let header = ["BACKUP", "CREATED", "KIND", "SIZE", "CHUNKS", "CLASS"];
    let rows = preview.backups.iter().zip(1..).map(|(entry, n): (_, usize)| {
        [
            n.to_string(),
            entry.created_at.clone(),
            entry.kind.clone(),
            Size(entry.bytes).to_string(),
            entry.chunks.to_string(),
            entry.storage_classes.join("+"),
        ]
    });
    let manifest = preview.backups.last().map_or("", |newest| &newest.manifest);
    format!(
        "{}\n{}{} with {}, {} in total\nmanifest: {manifest}\ntarget: {}, {} free\n{}",
        table(header, rows),
        Count::of(preview.backups.len(), "backup"),
        match preview.backups_received {
            0 => String::new(),
            received => format!(" ({received} already received by an interrupted restore)"),
        },
        Count::of(preview.chunks, "chunk"),
        Size(preview.total_bytes),
        one_line(&preview.target),
        Size(preview.free_bytes),
        thaw_table(preview)
    )
}

fn thaw_table(preview: &Preview) -> String {
    if preview.thaw.is_empty() {
        return "thaw: not necessary\n".to_owned();
    }
    let header = ["CLASS", "TO THAW", "THAWING", "SIZE", "STANDARD", "BULK"];
    let rows = preview.thaw.iter().map(|cold| {
        [
            cold.storage_class.clone(),
            cold.requests.to_string(),
            cold.in_progress.to_string(),
            Size(cold.bytes).to_string(),
            cold.standard_hours.to_string(),
            cold.bulk_hours.to_string(),
        ]
    });
    format!("\n{}", table(header, rows))
}

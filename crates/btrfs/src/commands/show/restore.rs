//! Prints what a restore would do.

use btrfs_to_s3::restore::preview::Preview;
use s3up_cli::table;
use s3up_core::Size;

pub fn to_table(preview: &Preview) -> String {
    let header = ["BACKUP", "KIND", "TIME", "BYTES", "CHUNKS", "STORAGE CLASS", "MANIFEST"];
    let rows = preview.links.iter().zip(1..).map(|(entry, n): (_, usize)| {
        [
            n.to_string(),
            entry.kind.clone(),
            entry.created_at.clone(),
            Size(entry.bytes).to_string(),
            entry.chunks.to_string(),
            entry.storage_classes.join(", "),
            entry.manifest.clone(),
        ]
    });
    let links = table(header, rows);
    format!(
        "{links}\n{} backups{}, {} chunks, {} in all; {} free at {}\n{}",
        preview.links.len(),
        match preview.links_here {
            0 => String::new(),
            here => format!(" ({here} already received by an interrupted restore)"),
        },
        preview.chunks,
        Size(preview.total_bytes),
        Size(preview.free_bytes),
        preview.target,
        thaw_table(preview)
    )
}

fn thaw_table(preview: &Preview) -> String {
    if preview.thaw.is_empty() {
        return "no chunk has to be thawed\n".to_owned();
    }
    let header = ["THAW", "REQUESTS", "IN PROGRESS", "BYTES", "STANDARD", "BULK"];
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

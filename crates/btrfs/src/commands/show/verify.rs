//! Prints the result of a verification to stdout, as a table or as JSON.

use s3up_cli::table;
use s3up_core::{Count, Size};
use s3up_repository::verify::{Depth, VerifyReport};
use serde::Serialize;

/// One subvolume in the JSON output.
#[derive(Debug, Serialize)]
pub struct VerifyLine {
    pub subvolume: String,
    /// True if there are no findings.
    pub sound: bool,
    pub backups: usize,
    pub objects: usize,
    pub bytes: u64,
    /// `null` unless every byte was to be read.
    pub bytes_read: Option<u64>,
    pub without_checksum: usize,
    /// Chunks that were not read because they must be thawed first.
    pub archived: Vec<String>,
    /// Incrementals that only btrfs-to-s3 can restore, because the snapshot and its parent have
    /// the same UUID.
    pub same_uuid: Vec<String>,
    pub unknown: usize,
    /// Number of manifests that were not read, so that their objects count as unknown.
    pub unread_manifests: usize,
    pub findings: Vec<AuditLine>,
}

#[derive(Debug, Serialize)]
pub struct AuditLine {
    pub key: String,
    /// `missing`, `size`, `checksum`, `storage_class`, `encryption`,
    /// `archived_document`, `chain`, `content` or `index`.
    pub what: &'static str,
    pub detail: String,
}

impl VerifyLine {
    pub fn of(verified: &VerifyReport, depth: Depth) -> VerifyLine {
        VerifyLine {
            subvolume: verified.subvolume.to_string(),
            sound: verified.findings.is_empty(),
            backups: verified.backups,
            objects: verified.objects,
            bytes: verified.bytes,
            bytes_read: (depth != Depth::Reported).then_some(verified.bytes_read),
            without_checksum: verified.without_checksum,
            archived: verified.archived.iter().map(|key| key.as_str().to_owned()).collect(),
            same_uuid: verified.same_uuid.iter().map(|key| key.as_str().to_owned()).collect(),
            unknown: verified.unknown,
            unread_manifests: verified.unread_manifests,
            findings: verified
                .findings
                .iter()
                .map(|finding| AuditLine {
                    key: finding.key.clone(),
                    what: finding.problem.as_str(),
                    detail: finding.problem.to_string(),
                })
                .collect(),
        }
    }
}

/// Formats a table of all subvolumes, then every finding.
pub fn to_table(all: &[VerifyLine]) -> String {
    let header = ["SUBVOLUME", "BACKUPS", "OBJECTS", "SIZE", "READ", "RESULT"];
    let rows = all.iter().map(|line| {
        [
            line.subvolume.clone(),
            line.backups.to_string(),
            line.objects.to_string(),
            Size(line.bytes).to_string(),
            line.bytes_read.map_or("-".to_owned(), |bytes| Size(bytes).to_string()),
            result(line),
        ]
    });
    let mut text = table(header, rows);
    for line in all {
        text.push_str(&notes(line));
    }
    text
}

/// Returns the cell of the last column. A chunk that was not read is not verified.
fn result(VerifyLine { findings, archived, .. }: &VerifyLine) -> String {
    match (findings.len(), archived.len()) {
        (0, 0) => "ok".to_owned(),
        (0, unread) => format!("incomplete: {} not read", Count::of(unread, "chunk")),
        (count, _) => Count::of(count, "problem").to_string(),
    }
}

fn notes(line: &VerifyLine) -> String {
    let VerifyLine { subvolume, archived, without_checksum, unknown, .. } = line;
    let mut text = String::new();
    for AuditLine { key, detail, .. } in &line.findings {
        text.push_str(&format!("{subvolume}: {key}: {detail}\n"));
    }
    if *without_checksum > 0 {
        text.push_str(&format!(
            "{subvolume}: S3 reports no checksum for {}; only the length was compared\n",
            Count::of(*without_checksum, "chunk")
        ));
    }
    if *unknown > 0 {
        text.push_str(&format!(
            "{subvolume}: no manifest{} names {}; 'btrfs-to-s3 list' shows them\n",
            if line.unread_manifests > 0 { " that could be read" } else { "" },
            Count::of(*unknown, "object")
        ));
    }
    for key in &line.same_uuid {
        text.push_str(&format!(
            "{subvolume}: {key}: the snapshot and its parent have the same UUID; only \
             btrfs-to-s3 can restore it, 'btrfs receive' by hand cannot\n"
        ));
    }
    for key in archived {
        text.push_str(&format!("{subvolume}: {key} is archived and was not read\n"));
    }
    text
}

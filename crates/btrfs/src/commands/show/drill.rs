//! The result of drills as a table and as JSON.

use btrfs_to_s3::drill::Drilled;
use s3up_cli::table;
use s3up_core::Size;
use serde::Serialize;

/// One subvolume in the JSON output.
#[derive(Debug, Serialize)]
pub struct DrillLine {
    pub subvolume: String,
    /// `good`, `failed` or `archived`.
    pub outcome: &'static str,
    pub manifest: Option<String>,
    pub links: Option<usize>,
    pub total_bytes: Option<u64>,
    pub elapsed_seconds: Option<f64>,
    /// How the restored tree was verified, or the error.
    pub said: String,
}

impl DrillLine {
    pub fn good(subvolume: &str, drilled: &Drilled) -> DrillLine {
        DrillLine {
            subvolume: subvolume.to_owned(),
            outcome: "good",
            manifest: Some(drilled.manifest.clone()),
            links: Some(drilled.backups),
            total_bytes: Some(drilled.total_bytes),
            elapsed_seconds: Some(drilled.elapsed.as_secs_f64()),
            said: drilled.proof.to_string(),
        }
    }

    pub fn bad(subvolume: &str, outcome: &'static str, said: String) -> DrillLine {
        DrillLine {
            subvolume: subvolume.to_owned(),
            outcome,
            manifest: None,
            links: None,
            total_bytes: None,
            elapsed_seconds: None,
            said,
        }
    }
}

pub fn to_table(all: &[DrillLine]) -> String {
    let header = ["SUBVOLUME", "OUTCOME", "BACKUPS", "BYTES", "SECONDS", "RESULT"];
    let dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let rows = all.iter().map(|line| {
        [
            line.subvolume.clone(),
            line.outcome.to_owned(),
            dash(line.links.map(|links| links.to_string())),
            dash(line.total_bytes.map(|bytes| Size(bytes).to_string())),
            dash(line.elapsed_seconds.map(|seconds| format!("{seconds:.1}"))),
            line.said.clone(),
        ]
    });
    table(header, rows)
}

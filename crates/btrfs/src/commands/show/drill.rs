//! The result of drills as a table and as JSON.

use std::fmt;
use std::time::Duration;

use btrfs_to_s3::drill::DrillResult;
use s3up_cli::{one_line, table};
use s3up_core::{Elapsed, Size};
use serde::Serialize;

/// The way in which the drill of one subvolume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DrillOutcome {
    Good,
    Failed,
    /// Some chunks have to be thawed first.
    Archived,
    Stopped,
}

impl fmt::Display for DrillOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DrillOutcome::Good => "good",
            DrillOutcome::Failed => "failed",
            DrillOutcome::Archived => "archived",
            DrillOutcome::Stopped => "stopped",
        })
    }
}

/// One subvolume in the JSON output.
#[derive(Debug, Serialize)]
pub struct DrillLine {
    pub subvolume: String,
    pub outcome: DrillOutcome,
    pub manifest: Option<String>,
    pub backups: Option<usize>,
    pub total_bytes: Option<u64>,
    pub elapsed_seconds: Option<f64>,
    /// The verification of the restored tree, or the error.
    pub result: String,
}

impl DrillLine {
    pub fn good(subvolume: &str, drilled: &DrillResult) -> DrillLine {
        DrillLine {
            subvolume: subvolume.to_owned(),
            outcome: DrillOutcome::Good,
            manifest: Some(drilled.manifest.clone()),
            backups: Some(drilled.backups),
            total_bytes: Some(drilled.total_bytes),
            elapsed_seconds: Some(drilled.elapsed.as_secs_f64()),
            result: drilled.proof.to_string(),
        }
    }

    pub fn bad(subvolume: &str, outcome: DrillOutcome, result: String) -> DrillLine {
        DrillLine {
            subvolume: subvolume.to_owned(),
            outcome,
            manifest: None,
            backups: None,
            total_bytes: None,
            elapsed_seconds: None,
            result,
        }
    }
}

/// Formats a table of all subvolumes, then the result of each as a sentence.
pub fn to_table(all: &[DrillLine]) -> String {
    let header = ["SUBVOLUME", "OUTCOME", "BACKUPS", "SIZE", "TIME"];
    let dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let rows = all.iter().map(|line| {
        [
            line.subvolume.clone(),
            line.outcome.to_string(),
            dash(line.backups.map(|backups| backups.to_string())),
            dash(line.total_bytes.map(|bytes| Size(bytes).to_string())),
            dash(line.elapsed_seconds.map(|seconds| elapsed(seconds).to_string())),
        ]
    });
    let mut text = table(header, rows);
    for DrillLine { subvolume, result, .. } in all {
        text.push_str(&format!("\n{subvolume}: {}\n", one_line(result)));
    }
    text
}

fn elapsed(seconds: f64) -> Elapsed {
    Elapsed(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

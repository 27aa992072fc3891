//! Prints a plan to stdout, as a table or as JSON.

use s3up_cli::table;
use serde::Serialize;

use super::Planned;
use crate::cause::error_chain;
use crate::plan::{Plan, seconds};

/// One subvolume in the JSON output.
#[derive(Serialize)]
struct Line {
    subvolume: String,
    /// `full`, `incremental`, `not_due`, or `unknown` if the subvolume could not be
    /// observed.
    decision: &'static str,
    reason: String,
    /// `resume` or `publish` for an interrupted backup of an earlier run.
    work: Option<&'static str>,
    /// Bytes that a resumed backup need not upload.
    acknowledged_bytes: Option<u64>,
    parent: Option<String>,
    snapshot: Option<String>,
    last_backup_at: Option<String>,
    next_due_at: Option<String>,
    next_due_kind: Option<String>,
}

impl Planned<'_> {
    pub fn to_table(&self) -> String {
        let header =
            ["SUBVOLUME", "DECISION", "PARENT", "SNAPSHOT", "LAST BACKUP", "NEXT DUE", "REASON"];
        let dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
        let rows = self.lines().into_iter().map(|line| {
            [
                line.subvolume,
                line.decision.to_owned(),
                dash(line.parent),
                dash(line.snapshot),
                dash(line.last_backup_at),
                dash(line.next_due_at),
                line.reason,
            ]
        });
        table(header, rows)
    }

    pub fn to_json(&self) -> String {
        json(&self.lines())
    }

    fn lines(&self) -> Vec<Line> {
        let planned = self.jobs.iter().map(|job| Line::of(&job.plan));
        let unknown = self.failed.iter().map(|(name, failure)| Line {
            subvolume: name.to_string(),
            decision: "unknown",
            reason: error_chain(failure),
            work: None,
            acknowledged_bytes: None,
            parent: None,
            snapshot: None,
            last_backup_at: None,
            next_due_at: None,
            next_due_kind: None,
        });
        planned.chain(unknown).collect()
    }
}

impl Line {
    fn of(plan: &Plan) -> Line {
        Line {
            subvolume: plan.subvolume.to_string(),
            decision: plan.word(),
            reason: plan.reason(),
            work: plan.work.run().map(|_| plan.work.word()),
            acknowledged_bytes: plan.work.acknowledged_bytes(),
            parent: plan.parent().map(ToString::to_string),
            snapshot: plan.snapshot.as_ref().map(ToString::to_string),
            last_backup_at: plan.last_at.map(seconds),
            next_due_at: Some(seconds(plan.next_due.at)),
            next_due_kind: Some(plan.next_due.kind.to_string()),
        }
    }
}

/// Formats `data` as indented JSON with a final newline.
pub fn json(data: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(data).expect("plain data is always JSON");
    text.push('\n');
    text
}

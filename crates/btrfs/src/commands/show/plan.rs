//! Prints a plan to stdout, as a table or as JSON.

use btrfs_to_s3::backup::planner::Planned;
use btrfs_to_s3::plan::Plan;
use s3up_cli::{one_line, table};
use s3up_core::{Size, error_chain};
use s3up_repository::stamp::seconds;
use serde::Serialize;

use super::json;

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
    /// Bytes that would be sent. `null` without `--bytes`.
    forecast_bytes: Option<u64>,
    /// True if the forecast is an upper limit.
    forecast_at_most: Option<bool>,
}

/// The forecast of one subvolume.
pub struct ForecastLine {
    pub subvolume: String,
    pub bytes: u64,
    pub is_limit: bool,
}

const MEANING: &str = "A forecast is what `btrfs send` would write now. Parts of an interrupted backup \
that are in S3\nalready are not uploaded again.";

/// Formats a table of all subvolumes, then the reason of each decision.
pub fn to_table(planned: &Planned<'_>, forecasts: &[ForecastLine]) -> String {
    let header = ["SUBVOLUME", "DECISION", "LAST BACKUP", "NEXT DUE"];
    let dash = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_owned());
    let lines = lines(planned, forecasts);
    let rows = lines.iter().map(|line| {
        [
            line.subvolume.clone(),
            line.decision.replace('_', " "),
            dash(&line.last_backup_at),
            match (&line.next_due_at, &line.next_due_kind) {
                (Some(at), Some(kind)) => format!("{at} ({kind})"),
                (at, _) => dash(at),
            },
        ]
    });
    let mut text = table(header, rows);
    for line in &lines {
        text.push_str(&notes(line));
    }
    if !forecasts.is_empty() {
        text.push_str(&format!("\n{}\n", MEANING));
    }
    text
}

fn notes(line: &Line) -> String {
    let mut text = format!("\n{}: {}\n", line.subvolume, one_line(&line.reason));
    let names = [("parent", &line.parent), ("snapshot", &line.snapshot)];
    for (what, name) in names {
        if let Some(name) = name {
            text.push_str(&format!("  {what:<8}  {name}\n"));
        }
    }
    if let Some(bytes) = line.forecast_bytes {
        let limit = if line.forecast_at_most == Some(true) { "at most " } else { "" };
        text.push_str(&format!("  {:<8}  {limit}{}\n", "forecast", Size(bytes)));
    }
    text
}

pub fn to_json(planned: &Planned<'_>, forecasts: &[ForecastLine]) -> String {
    json(&lines(planned, forecasts))
}

fn lines(planned: &Planned<'_>, forecasts: &[ForecastLine]) -> Vec<Line> {
    let jobs = planned.jobs.iter().map(|job| {
        let name = job.plan.subvolume.as_str();
        Line::of(&job.plan, forecasts.iter().find(|forecast| forecast.subvolume == name))
    });
    let unknown = planned.failed.iter().map(|(name, failure)| Line {
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
        forecast_bytes: None,
        forecast_at_most: None,
    });
    jobs.chain(unknown).collect()
}

impl Line {
    fn of(plan: &Plan, forecast: Option<&ForecastLine>) -> Line {
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
            forecast_bytes: forecast.map(|forecast| forecast.bytes),
            forecast_at_most: forecast.map(|forecast| forecast.is_limit),
        }
    }
}

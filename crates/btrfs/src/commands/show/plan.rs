//! Prints a plan to stdout, as a table or as JSON.

use std::collections::BTreeMap;

use btrfs_to_s3::backup::planner::RunPlan;
use btrfs_to_s3::plan::Plan;
use s3up_cli::{one_line, table};
use s3up_core::{Size, error_chain};
use s3up_repository::names::SubvolumeName;
use s3up_repository::retention::PrunePlan;
use s3up_repository::stamp::seconds;
use serde::Serialize;

use super::cost::{Priced, UploadLine, upload_text};
use super::json;
use super::prune::{Deletion, OldVersions, PruneLine};

/// One subvolume in the JSON output.
#[derive(Serialize)]
struct Line<'a> {
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
    /// Snapshot of the incremental that follows the interrupted backup.
    follow_up: Option<String>,
    /// An interrupted backup that waits until a backup is due.
    waiting: Option<String>,
    /// Set if a full is made that the schedule did not ask for.
    unplanned_full: Option<String>,
    last_backup_at: Option<String>,
    next_due_at: Option<String>,
    next_due_kind: Option<String>,
    /// Bytes that would be sent. `null` without `--bytes`.
    forecast_bytes: Option<u64>,
    /// True if the forecast is an upper limit.
    forecast_at_most: Option<bool>,
    /// Cost of the forecast bytes.
    cost: Option<&'a Priced<UploadLine>>,
    /// Plan of the prune at the end of the backup; `null` if the backup does not prune.
    prune: Option<PruneLine>,
    /// The same as a sentence.
    #[serde(skip)]
    deletion: Option<String>,
}

/// The forecast of one subvolume.
pub struct ForecastLine {
    pub subvolume: String,
    pub bytes: u64,
    pub is_limit: bool,
    /// `None` if nothing is known of the prices of this server.
    pub cost: Option<Priced<UploadLine>>,
}

/// The plans of the prunes, by subvolume.
pub type Prunes = BTreeMap<SubvolumeName, PrunePlan>;

/// Facts that are printed beside the plans.
#[derive(Clone, Copy)]
pub struct Details<'a> {
    pub forecasts: &'a [ForecastLine],
    pub prunes: &'a Prunes,
    /// Set if what the prunes delete stays in the bucket, or may stay.
    pub old_versions: Option<OldVersions>,
}

const MEANING: &str = "A forecast is what `btrfs send` would write now. Parts of an interrupted backup \
that are in S3\nalready are not uploaded again.";

/// Formats a table of all subvolumes, then the reason of each decision.
pub fn to_table(planned: &RunPlan<'_>, details: Details<'_>) -> String {
    let header = ["SUBVOLUME", "DECISION", "LAST BACKUP", "NEXT DUE"];
    let dash = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_owned());
    let lines = lines(planned, details);
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
    if let Some(versions) = details.old_versions {
        text.push_str(&format!("\nPrune: {versions}.\n"));
    }
    if !details.forecasts.is_empty() {
        text.push_str(&format!("\n{}\n", MEANING));
    }
    text
}

fn notes(line: &Line<'_>) -> String {
    let mut text = format!("\n{}: {}\n", line.subvolume, one_line(&line.reason));
    let names = [
        ("parent", &line.parent),
        ("snapshot", &line.snapshot),
        ("then", &line.follow_up),
        ("waiting", &line.waiting),
    ];
    for (what, name) in names {
        if let Some(name) = name {
            text.push_str(&format!("  {what:<8}  {name}\n"));
        }
    }
    if let Some(unplanned) = &line.unplanned_full {
        text.push_str(&format!("  note      {}\n", one_line(unplanned)));
    }
    if let Some(deletion) = &line.deletion {
        text.push_str(&format!("  prune     {deletion}\n"));
    }
    if let Some(bytes) = line.forecast_bytes {
        let limit = if line.forecast_at_most == Some(true) { "at most " } else { "" };
        text.push_str(&format!("  {:<8}  {limit}{}\n", "forecast", Size(bytes)));
    }
    if let Some(cost) = line.cost {
        text.push_str(&format!("  {:<8}  {}\n", "cost", upload_text(cost)));
    }
    text
}

pub fn to_json(planned: &RunPlan<'_>, details: Details<'_>) -> String {
    json(&lines(planned, details))
}

fn lines<'a>(planned: &RunPlan<'_>, details: Details<'a>) -> Vec<Line<'a>> {
    let jobs = planned.jobs.iter().map(|job| Line::of(&job.plan, details));
    let unknown = planned.failed.iter().map(|(name, failure)| Line {
        subvolume: name.to_string(),
        decision: "unknown",
        reason: error_chain(failure),
        work: None,
        acknowledged_bytes: None,
        parent: None,
        snapshot: None,
        follow_up: None,
        waiting: None,
        unplanned_full: None,
        last_backup_at: None,
        next_due_at: None,
        next_due_kind: None,
        forecast_bytes: None,
        forecast_at_most: None,
        cost: None,
        prune: None,
        deletion: None,
    });
    jobs.chain(unknown).collect()
}

impl<'a> Line<'a> {
    fn of(plan: &Plan, Details { forecasts, prunes, .. }: Details<'a>) -> Line<'a> {
        let name = plan.subvolume.as_str();
        let forecast = forecasts.iter().find(|forecast| forecast.subvolume == name);
        let prune = prunes.get(&plan.subvolume);
        let deletion = prune.filter(|prune| !prune.steps.is_empty()).map(Deletion);
        Line {
            subvolume: plan.subvolume.to_string(),
            decision: plan.as_str(),
            reason: plan.reason(),
            work: plan.resumption.run().map(|_| plan.resumption.as_str()),
            acknowledged_bytes: plan.resumption.acknowledged_bytes(),
            parent: plan.parent().map(ToString::to_string),
            snapshot: plan.snapshot.as_ref().map(ToString::to_string),
            follow_up: plan.follow_up.as_ref().map(ToString::to_string),
            waiting: plan.waiting.as_ref().map(ToString::to_string),
            unplanned_full: plan.unplanned.as_ref().map(ToString::to_string),
            last_backup_at: plan.last_at.map(seconds),
            next_due_at: Some(seconds(plan.next_due.at)),
            next_due_kind: Some(plan.next_due.kind.to_string()),
            forecast_bytes: forecast.map(|forecast| forecast.bytes),
            forecast_at_most: forecast.map(|forecast| forecast.is_limit),
            cost: forecast.and_then(|forecast| forecast.cost.as_ref()),
            prune: prune.map(|prune| PruneLine::of(&plan.subvolume, prune, None)),
            deletion: deletion.map(|deletion| deletion.to_string()),
        }
    }
}

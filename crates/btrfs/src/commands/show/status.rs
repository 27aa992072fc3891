//! Prints the status of the backups to stdout, for people.

use std::time::Duration;

use btrfs_to_s3::status::check::other_origin;
use btrfs_to_s3::status::{BackupStatus, SubvolumeStatus};
use s3up_cli::{one_line, table};
use s3up_core::{Count, Elapsed, Size};
use s3up_repository::stamp::seconds;

/// Maximum number of broken backups that are printed for each subvolume.
const BROKEN_SHOWN_MAX: usize = 10;

/// Formats the status of each subvolume, with a table of its newest backups.
pub fn to_text(all: &[SubvolumeStatus]) -> String {
    let texts: Vec<_> = all.iter().map(subvolume).collect();
    texts.join("\n")
}

fn subvolume(status: &SubvolumeStatus) -> String {
    let run = status.last_run.as_ref();
    let ran = run.map(|run| format!("{}, {}", seconds(run.ran_at), run.outcome.as_str()));
    let drill = status.last_good_drill.as_ref().map(|drill| seconds(drill.drilled_at));
    let never = || "never".to_owned();
    let mut lines = vec![
        ("last run", ran.unwrap_or_else(|| "none on this host".to_owned())),
        ("last backup", status.last_backup_at.clone().unwrap_or_else(never)),
        ("next due", due(status)),
        ("last drill", drill.unwrap_or_else(never)),
        ("verified", verified(&status.history)),
        ("restorable", restorable(&status.history)),
    ];
    let error = run.and_then(|run| run.error.clone());
    lines.extend(status.problem.clone().or(error).map(|problem| ("problem", problem)));
    lines.extend(status.broken.iter().take(BROKEN_SHOWN_MAX).map(|broken| {
        ("broken", format!("the backup of {}: {}", broken.created_at, broken.reason))
    }));
    if let Some(origin) = &status.other_origin {
        lines.push(("problem", other_origin(origin, status.is_origin_unproven)));
    }
    lines.extend(status.history.iter().filter_map(|line| {
        let reason = line.unplanned_full.as_ref()?;
        Some(("unplanned", format!("the full of {}: {reason}", line.created_at)))
    }));
    if status.broken.len() > BROKEN_SHOWN_MAX {
        let more = status.broken.len() - BROKEN_SHOWN_MAX;
        lines.push(("broken", format!("and {more} more; `list` names all")));
    }
    let mut text = format!("{}\n", status.subvolume);
    for (name, value) in lines {
        text.push_str(&format!("  {name:<11}  {}\n", one_line(&value)));
    }
    if !status.history.is_empty() {
        let header = ["CREATED", "KIND", "SIZE", "TIME", "THROUGHPUT", "STATE"];
        let backups = table(header, status.history.iter().map(cells));
        text.push('\n');
        backups.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

/// Says which of the backups in the table `verify` has found sound, as far as this host
/// remembers.
fn verified(history: &[BackupStatus]) -> String {
    let times: Vec<_> = history.iter().filter_map(|line| line.last_verified_at.as_ref()).collect();
    match times.iter().max() {
        Some(last) => format!("{last}, {} of {}", times.len(), Count::of(history.len(), "backup")),
        None => "never on this host".to_owned(),
    }
}

/// Says how many of the backups in the table can be restored, as far as the listing shows.
fn restorable(history: &[BackupStatus]) -> String {
    if history.is_empty() {
        return "nothing".to_owned();
    }
    let count = history.iter().filter(|line| line.restorable).count();
    format!("{count} of {}", Count::of(history.len(), "backup"))
}

fn due(status: &SubvolumeStatus) -> String {
    match (&status.next_due_at, &status.next_due_kind) {
        (Some(at), Some(kind)) if !status.due => format!("{at} ({kind})"),
        (Some(_), Some(kind)) => format!("now ({kind})"),
        (_, _) => "now (full)".to_owned(),
    }
}

fn cells(line: &BackupStatus) -> [String; 6] {
    let dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let elapsed = line.elapsed_seconds.and_then(|time| Duration::try_from_secs_f64(time).ok());
    [
        line.created_at.clone(),
        line.kind.clone(),
        dash(line.total_bytes.map(|bytes| Size(bytes).to_string())),
        dash(elapsed.map(|elapsed| Elapsed(elapsed).to_string())),
        dash(line.throughput.clone()),
        match (&line.error, &line.reason) {
            (Some(error), _) => format!("{}, unreadable: {error}", line.state),
            (None, Some(reason)) => format!("{}: {reason}", line.state),
            (None, None) => line.state.to_string(),
        },
    ]
}

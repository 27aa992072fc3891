//! How the backups of each subvolume stand, on stdout, for people.

use btrfs_to_s3::status::{Line, Status};
use s3up_cli::table;
use s3up_core::Size;
use s3up_repository::stamp::seconds;

/// Formats two tables: the status of each subvolume, then its backups.
pub fn to_table(all: &[Status]) -> String {
    let header =
        ["SUBVOLUME", "LAST RUN", "RESULT", "LAST BACKUP", "NEXT DUE", "GOOD DRILL", "PROBLEM"];
    let mut text = table(header, all.iter().map(cells));
    let backups = all
        .iter()
        .flat_map(|status| status.history.iter().map(|line| backup_cells(line, &status.subvolume)));
    let header = ["SUBVOLUME", "KIND", "CREATED", "SIZE", "SECONDS", "THROUGHPUT", "STATE"];
    text.push('\n');
    text.push_str(&table(header, backups));
    text
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".to_owned())
}

fn cells(status: &Status) -> [String; 7] {
    let run = status.last_run.as_ref();
    let error = run.and_then(|run| run.error.clone());
    let due = match (&status.next_due_at, &status.next_due_kind) {
        (Some(at), Some(kind)) if !status.due => format!("{at} ({kind})"),
        (Some(_), Some(kind)) => format!("now ({kind})"),
        (_, _) => "now (full)".to_owned(),
    };
    [
        status.subvolume.clone(),
        or_dash(run.map(|run| seconds(run.ran_at))),
        or_dash(run.map(|run| run.outcome.word().to_owned())),
        or_dash(status.last_backup_at.clone()),
        due,
        or_dash(status.last_good_drill.as_ref().map(|drill| seconds(drill.drilled_at))),
        or_dash(status.trouble.clone().or(error)),
    ]
}

fn backup_cells(line: &Line, subvolume: &str) -> [String; 7] {
    [
        subvolume.to_owned(),
        line.kind.clone(),
        line.created_at.clone(),
        or_dash(line.total_bytes.map(|bytes| Size(bytes).to_string())),
        or_dash(line.elapsed_seconds.map(|seconds| format!("{seconds:.1}"))),
        or_dash(line.throughput.clone()),
        match &line.error {
            Some(error) => format!("{}, unreadable: {error}", line.standing),
            None => line.standing.to_owned(),
        },
    ]
}

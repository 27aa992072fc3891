//! Reads the status of each subvolume: its last run, which this host remembers, and its
//! backups in the bucket.

use jiff::{Timestamp, Zoned};
use s3up_cli::table;
use s3up_core::Size;
use s3up_store::StoreError;
use serde::Serialize;

use crate::bucket::Bucket;
use crate::config::Config;
use crate::drill::{Drills, LastDrill};
use crate::history::{self, Entry};
use crate::look::{self, ObserveError};
use crate::plan::{self, Published, seconds};
use crate::snapshot::SubvolumeName;
use crate::state::{LastRun, LastRuns};

/// Status of one subvolume. The JSON output has these fields.
#[derive(Debug, Serialize)]
pub struct Status {
    pub subvolume: String,
    /// `null` if this host remembers no run.
    pub last_run: Option<LastRun>,
    /// `published`, `nothing`, or `broken`.
    pub backups: &'static str,
    /// Why `backups` is `broken`.
    pub trouble: Option<String>,
    pub last_backup_at: Option<String>,
    /// True if a backup is due now, by the schedule or because there is none.
    pub due: bool,
    pub next_due_at: Option<String>,
    pub next_due_kind: Option<String>,
    /// Same time as `next_due_at`.
    #[serde(skip)]
    pub due_at: Option<Timestamp>,
    /// `null` if this host remembers no successful drill.
    pub last_good_drill: Option<LastDrill>,
    /// True if `drill.scratch_dir` is set.
    #[serde(skip)]
    pub drills: bool,
    pub history: Vec<Line>,
}

/// One backup.
#[derive(Debug, Serialize)]
pub struct Line {
    pub kind: String,
    pub created_at: String,
    pub standing: &'static str,
    pub manifest: String,
    pub total_bytes: Option<u64>,
    pub elapsed_seconds: Option<f64>,
    pub bytes_per_second: Option<f64>,
    /// Rate with a unit, for people.
    pub throughput: Option<String>,
    /// Why the manifest cannot be read.
    pub error: Option<String>,
}

pub async fn status(
    config: &Config,
    bucket: &Bucket,
    (state, drills): (&LastRuns, &Drills),
    subvolume: &SubvolumeName,
    (now, history_count): (&Zoned, usize),
) -> Result<Status, ObserveError> {
    let layout = &config.bucket.layout;
    let pointer = bucket.pointer(&layout.pointer(subvolume)).await?;
    let published = look::published(bucket, layout, subvolume, pointer.as_ref()).await?;
    let history = read_history(bucket, config, subvolume, &published, history_count).await?;
    let next = plan::due_by_schedule(&config.schedule, &published, now.time_zone());
    let (backups, trouble) = match &published {
        Published::Nothing => ("nothing", None),
        Published::Chain(_) => ("published", None),
        Published::Broken { reason } => ("broken", Some(reason.clone())),
        Published::ManifestMissing { key } => {
            ("broken", Some(format!("manifest {key} is missing in the bucket")))
        }
    };
    Ok(Status {
        subvolume: subvolume.to_string(),
        last_run: state.last_run(subvolume).cloned(),
        backups,
        trouble,
        last_backup_at: plan::last_at(&published).map(seconds),
        due: next.is_none_or(|next| next.at <= now.timestamp()),
        next_due_at: next.map(|next| seconds(next.at)),
        next_due_kind: next.map(|next| next.kind.to_string()),
        due_at: next.map(|next| next.at),
        last_good_drill: drills.last(subvolume).cloned(),
        drills: config.drill_dir.is_some(),
        history,
    })
}

async fn read_history(
    bucket: &Bucket,
    config: &Config,
    subvolume: &SubvolumeName,
    published: &Published,
    count: usize,
) -> Result<Vec<Line>, StoreError> {
    let layout = &config.bucket.layout;
    let entries = history::history(bucket, layout, subvolume, published, count).await?;
    Ok(entries.iter().map(Line::of).collect())
}

impl Line {
    fn of(entry: &Entry) -> Line {
        let manifest = entry.manifest.as_ref().ok();
        let throughput = manifest.and_then(history::throughput);
        Line {
            kind: entry.kind.to_string(),
            created_at: seconds(entry.created_at.time()),
            standing: entry.standing.word(),
            manifest: entry.key.as_str().to_owned(),
            total_bytes: manifest.map(|manifest| manifest.total_bytes),
            elapsed_seconds: manifest.and_then(|manifest| manifest.elapsed_seconds),
            bytes_per_second: throughput.map(|found| found.bytes_per_second().round()),
            throughput: throughput.map(|found| found.to_string()),
            error: entry.manifest.as_ref().err().cloned(),
        }
    }
}

/// Formats two tables: the status of each subvolume, then its backups.
pub fn to_table(all: &[Status]) -> String {
    let header =
        ["SUBVOLUME", "LAST RUN", "RESULT", "LAST BACKUP", "NEXT DUE", "GOOD DRILL", "PROBLEM"];
    let mut text = table(header, all.iter().map(Status::cells));
    let backups = all
        .iter()
        .flat_map(|status| status.history.iter().map(|line| line.cells(&status.subvolume)));
    let header = ["SUBVOLUME", "KIND", "CREATED", "SIZE", "SECONDS", "THROUGHPUT", "STATE"];
    text.push('\n');
    text.push_str(&table(header, backups));
    text
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".to_owned())
}

impl Status {
    fn cells(&self) -> [String; 7] {
        let run = self.last_run.as_ref();
        let error = run.and_then(|run| run.error.clone());
        let due = match (&self.next_due_at, &self.next_due_kind) {
            (Some(at), Some(kind)) if !self.due => format!("{at} ({kind})"),
            (Some(_), Some(kind)) => format!("now ({kind})"),
            (_, _) => "now (full)".to_owned(),
        };
        [
            self.subvolume.clone(),
            or_dash(run.map(|run| seconds(run.ran_at))),
            or_dash(run.map(|run| run.outcome.word().to_owned())),
            or_dash(self.last_backup_at.clone()),
            due,
            or_dash(self.last_good_drill.as_ref().map(|drill| seconds(drill.drilled_at))),
            or_dash(self.trouble.clone().or(error)),
        ]
    }
}

impl Line {
    fn cells(&self, subvolume: &str) -> [String; 7] {
        [
            subvolume.to_owned(),
            self.kind.clone(),
            self.created_at.clone(),
            or_dash(self.total_bytes.map(|bytes| Size(bytes).to_string())),
            or_dash(self.elapsed_seconds.map(|seconds| format!("{seconds:.1}"))),
            or_dash(self.throughput.clone()),
            match &self.error {
                Some(error) => format!("{}, unreadable: {error}", self.standing),
                None => self.standing.to_owned(),
            },
        ]
    }
}

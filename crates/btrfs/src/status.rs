//! Reads the status of each subvolume: its last run, which this host remembers, and its
//! backups in the bucket.

pub mod check;
pub mod history;
pub mod last_drills;
pub mod last_runs;

use jiff::{Timestamp, Zoned};
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::names::SubvolumeName;
use s3up_repository::published::{Published, PublishedError, published};
use s3up_repository::stamp::seconds;
use s3up_store::StoreError;
use serde::Serialize;

use crate::plan::decide;
use crate::plan::schedule::Schedule;
use crate::status::history::Entry;
use crate::status::last_drills::{Drills, LastDrill};
use crate::status::last_runs::{LastRun, LastRuns};

/// The sources of the status of a subvolume.
pub struct Sources<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub schedule: &'a Schedule,
    pub runs: &'a LastRuns,
    pub drills: &'a Drills,
    /// True if `drill.scratch_dir` is set.
    pub has_drills: bool,
}

/// Status of one subvolume. The JSON output has these fields.
#[derive(Debug, Serialize)]
pub struct Status {
    pub subvolume: String,
    /// `null` if this host remembers no run.
    pub last_run: Option<LastRun>,
    /// `published`, `nothing`, or `broken`.
    pub backups: &'static str,
    /// The reason why `backups` is `broken`.
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
    pub state: &'static str,
    pub manifest: String,
    pub total_bytes: Option<u64>,
    pub elapsed_seconds: Option<f64>,
    pub bytes_per_second: Option<f64>,
    /// Rate with a unit, for people.
    pub throughput: Option<String>,
    /// The reason why the manifest cannot be read.
    pub error: Option<String>,
}

pub async fn status(
    sources: &Sources<'_>,
    subvolume: &SubvolumeName,
    (now, history_count): (&Zoned, usize),
) -> Result<Status, PublishedError> {
    let Sources { bucket, layout, schedule, runs, drills, has_drills } = sources;
    let pointer = bucket.pointer(&layout.pointer(subvolume)).await?;
    let published = published(bucket, layout, subvolume, pointer.as_ref()).await?;
    let history = read_history(bucket, layout, subvolume, &published, history_count).await?;
    let next = decide::due_by_schedule(schedule, &published, now.time_zone());
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
        last_run: runs.last_run(subvolume).cloned(),
        backups,
        trouble,
        last_backup_at: decide::last_at(&published).map(seconds),
        due: next.is_none_or(|next| next.at <= now.timestamp()),
        next_due_at: next.map(|next| seconds(next.at)),
        next_due_kind: next.map(|next| next.kind.to_string()),
        due_at: next.map(|next| next.at),
        last_good_drill: drills.last(subvolume).cloned(),
        drills: *has_drills,
        history,
    })
}

async fn read_history(
    bucket: &Bucket,
    layout: &Layout,
    subvolume: &SubvolumeName,
    published: &Published,
    count: usize,
) -> Result<Vec<Line>, StoreError> {
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
            state: entry.publication.word(),
            manifest: entry.key.as_str().to_owned(),
            total_bytes: manifest.map(|manifest| manifest.total_bytes),
            elapsed_seconds: manifest.and_then(|manifest| manifest.elapsed_seconds),
            bytes_per_second: throughput.map(|found| found.bytes_per_second().round()),
            throughput: throughput.map(|found| found.to_string()),
            error: entry.manifest.as_ref().err().cloned(),
        }
    }
}

//! The output of `s3up status --json`. All times are Unix seconds.

use serde::Serialize;

use crate::reporting::messages::time;
use crate::states::counts::{FileCount, StateCounts};
use crate::states::decide::ListedProblem;
use crate::states::drill_record::DrillRecord;
use crate::states::gateway_state::GatewayState;
use crate::status::dir_status::DirStatus;
use crate::status::path::{FileState, FileStatus, PathStatus};
use crate::status::{Status, WatchStatus};

#[derive(Debug, Serialize)]
pub(in crate::commands) struct StatusLine<'s> {
    running: bool,
    alive_at: Option<i64>,
    watcher: Option<String>,
    gateway: Option<&'s GatewayState>,
    last_upload_at: Option<i64>,
    last_drill: Option<DrillRecord>,
    oldest_pending_at: Option<i64>,
    total: CountsLine,
    watches: Vec<WatchLine<'s>>,
}

/// One file, or the files of one directory.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::commands) enum PathLine<'s> {
    File(FileLine<'s>),
    Dir(DirLine<'s>),
}

#[derive(Debug, Serialize)]
struct WatchLine<'s> {
    #[serde(flatten)]
    files: DirLine<'s>,
    /// Files that a cleanup deleted.
    locally_deleted: CountLine,
    last_scan_at: Option<i64>,
    poll: bool,
}

#[derive(Debug, Serialize)]
pub(in crate::commands) struct DirLine<'s> {
    local_path: &'s str,
    counts: CountsLine,
    excluded: Vec<ExcludedLine>,
    problems: Vec<ProblemLine<'s>>,
    /// Number of protected files on a filesystem without change times.
    unprovable: u64,
    /// Number of files that seem to belong to databases.
    live_databases: u64,
    error: Option<&'s str>,
}

#[derive(Debug, Serialize)]
pub(in crate::commands) struct FileLine<'s> {
    local_path: &'s str,
    remote_path: Option<&'s str>,
    /// `protected`, `pending`, `baseline`, `excluded`, `problem`, `missing` or
    /// `deleted` (by a cleanup).
    state: &'static str,
    reason: Option<String>,
    help: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct CountsLine {
    protected: CountLine,
    pending: CountLine,
    baseline: CountLine,
    excluded: CountLine,
    problems: CountLine,
}

#[derive(Debug, Serialize)]
struct CountLine {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct ExcludedLine {
    reason: &'static str,
    entries: u64,
}

#[derive(Debug, Serialize)]
struct ProblemLine<'s> {
    local_path: &'s str,
    reason: String,
    help: &'static str,
}

impl StatusLine<'_> {
    pub(in crate::commands) fn of(status: &Status) -> StatusLine<'_> {
        StatusLine {
            running: status.running,
            alive_at: status.alive_at,
            watcher: status.watcher.as_ref().map(ToString::to_string),
            gateway: status.gateway.as_ref(),
            last_upload_at: status.last_upload_at,
            last_drill: status.last_drill,
            oldest_pending_at: status.oldest_pending_at,
            total: CountsLine::of(&status.total),
            watches: status.watches.iter().map(WatchLine::of).collect(),
        }
    }
}

impl PathLine<'_> {
    pub(in crate::commands) fn of(status: &PathStatus) -> PathLine<'_> {
        match status {
            PathStatus::File(status) => PathLine::File(FileLine::of(status)),
            PathStatus::Dir(status) => PathLine::Dir(DirLine::of(status)),
        }
    }
}

impl WatchLine<'_> {
    fn of(watch: &WatchStatus) -> WatchLine<'_> {
        WatchLine {
            files: DirLine::of(&watch.files),
            locally_deleted: CountLine::of(watch.locally_deleted),
            last_scan_at: watch.last_scan_at,
            poll: watch.poll,
        }
    }
}

impl DirLine<'_> {
    fn of(status: &DirStatus) -> DirLine<'_> {
        let DirStatus { local_path, counts, excluded, problems, error, .. } = status;
        let excluded = excluded.iter();
        DirLine {
            local_path,
            counts: CountsLine::of(counts),
            excluded: excluded
                .map(|(reason, entries)| ExcludedLine {
                    reason: reason.as_str(),
                    entries: *entries,
                })
                .collect(),
            problems: problems.iter().map(ProblemLine::of).collect(),
            unprovable: status.unprovable,
            live_databases: status.live_databases.files,
            error: error.as_deref(),
        }
    }
}

impl FileLine<'_> {
    fn of(status: &FileStatus) -> FileLine<'_> {
        let (reason, help) = match &status.state {
            FileState::Protected | FileState::Baseline | FileState::Missing => (None, None),
            FileState::LocallyDeleted(at) => (Some(format!("by cleanup at {}", time(*at))), None),
            FileState::Pending(reason) => (Some(reason.to_string()), None),
            FileState::Excluded(reason) => (Some(reason.to_string()), None),
            FileState::Problem(problem) => (Some(problem.to_string()), Some(problem.help())),
        };
        FileLine {
            local_path: &status.local_path,
            remote_path: status.remote_path.as_deref(),
            state: status.state.as_str(),
            reason,
            help,
        }
    }
}

impl CountsLine {
    fn of(counts: &StateCounts) -> CountsLine {
        let StateCounts { protected, pending, baseline, excluded, problems } = *counts;
        CountsLine {
            protected: CountLine::of(protected),
            pending: CountLine::of(pending),
            baseline: CountLine::of(baseline),
            excluded: CountLine::of(excluded),
            problems: CountLine::of(problems),
        }
    }
}

impl CountLine {
    fn of(FileCount { files, bytes }: FileCount) -> CountLine {
        CountLine { files, bytes }
    }
}

impl ProblemLine<'_> {
    fn of(listed: &ListedProblem) -> ProblemLine<'_> {
        ProblemLine {
            local_path: &listed.local_path,
            reason: listed.problem.to_string(),
            help: listed.problem.help(),
        }
    }
}

//! Reports a run to the gateway of `[report]`, at its end and each hour while it lasts.
//!
//! The run has ended by then, or continues meanwhile: nothing here changes its result.

use std::convert::Infallible;
use std::time::Duration;

use btrfs_host::tool::Btrfs;
use btrfs_to_s3::backup_report::deliver::ReportSettings;
use btrfs_to_s3::backup_report::known::{CheckKind, KnownReports};
use btrfs_to_s3::backup_report::subvolume::{Memory, Observation, checked, report};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::nested;
use btrfs_to_s3::status::last_drills::Drills;
use btrfs_to_s3::status::last_runs::LastRuns;
use btrfs_to_s3::status::last_verified::LastVerifies;
use btrfs_to_s3::status::{SubvolumeStatus, status};
use jiff::Timestamp;
use s3up_cli::ShutdownSignal;
use s3up_core::error_chain;
use s3up_core::wire::{BACKUP_REPORT_VERSION, BackupReport, ProgramFacts, SubvolumeReport};
use s3up_repository::names::{Subvolume, SubvolumeName};
use s3up_repository::stamp::seconds;

use super::status::{btrfs_if_root, sources};
use super::{connect_within, host_identity, host_name, now};

/// A gateway takes a host for silent after a day without a report, and a full of terabytes takes longer.
const REPORTED_EVERY: Duration = Duration::from_secs(3600);
/// Time to read the state of all subvolumes from the bucket. S3 that is away must not delay the end of
/// a run for as long as it may delay a backup.
const OBSERVE_TIME_MAX: Duration = Duration::from_secs(120);
/// Time for a request to S3, with its repetitions.
const OBSERVE_RETRY_FOR: Duration = Duration::from_secs(10);
/// Time to deliver the report of a run that was asked to stop.
const STOPPED_TIME_MAX: Duration = Duration::from_secs(5);

/// Does `work`, and reports meanwhile that it still runs.
pub async fn reporting_while<T>(
    config: &Config,
    command: &'static str,
    work: impl Future<Output = T>,
) -> T {
    let Some(settings) = &config.report else { return work.await };
    tokio::select! {
        done = work => done,
        never = report_hourly(config, settings, command) => match never {},
    }
}

/// Reports that a command runs. Observes nothing, because the command uses the bucket.
async fn report_hourly(
    config: &Config,
    settings: &ReportSettings,
    command: &'static str,
) -> Infallible {
    let running_since = Some(seconds(now().timestamp()));
    loop {
        tokio::time::sleep(REPORTED_EVERY).await;
        let observations = config.subvolumes.iter().map(|_| Observation::None);
        let subvolumes = reports_of(config, observations, now().timestamp());
        let running_since = running_since.clone();
        deliver(settings, &BackupReport { running_since, ..whole(command, subvolumes) }).await;
    }
}

/// Observes the backups, and reports the end of a run. Never fails.
pub async fn report_end(config: &Config, command: &'static str, shutdown: &ShutdownSignal) {
    let Some(settings) = &config.report else { return };
    let observed = match shutdown.received() {
        Some(_) => None,
        None => tokio::select! {
            observed = observe(config, shutdown) => Some(observed),
            _ = shutdown.wait() => None,
        },
    };
    let observations: Vec<_> = match &observed {
        Some(observed) => observed.iter().map(ObservedSubvolume::as_observation).collect(),
        None => config.subvolumes.iter().map(|_| Observation::None).collect(),
    };
    let subvolumes = reports_of(config, observations, now().timestamp());
    // Kept first: a report that does not arrive is in the next one.
    let named = config.subvolumes.iter().map(|subvolume| subvolume.name.clone());
    known_reports(config).note(named.zip(subvolumes.iter().cloned()));
    let report = whole(command, subvolumes);
    tokio::select! {
        () = deliver(settings, &report) => {}
        () = stopped(shutdown) => {
            tracing::warn!(
                event = "backup_report_not_delivered",
                host = settings.url.host_str(),
                "stopped by a signal before the gateway answered; the next run reports again"
            );
        }
    }
}

/// Remembers the result of a drill or a verify for the reports.
pub fn note_check(
    config: &Config,
    name: &SubvolumeName,
    (kind, deep): (CheckKind, bool),
    result: Result<(), &str>,
) {
    if config.report.is_none() || config.subvolume(name).is_none() {
        return;
    }
    let mut known = known_reports(config);
    let check = checked(known.last_check(name, kind), result, deep, now().timestamp());
    known.note_check(name, kind, check);
}

async fn stopped(shutdown: &ShutdownSignal) {
    shutdown.wait().await;
    tokio::time::sleep(STOPPED_TIME_MAX).await;
}

async fn deliver(settings: &ReportSettings, report: &BackupReport) {
    let host = settings.url.host_str();
    match settings.deliver(report).await {
        Ok(()) => tracing::debug!(event = "backup_report_delivered", host),
        Err(err) => {
            let error = error_chain(&err);
            tracing::warn!(
                event = "backup_report_not_delivered",
                host,
                error,
                "the next run reports again; check `report` in the configuration"
            );
        }
    }
}

fn known_reports(config: &Config) -> KnownReports {
    KnownReports::open(&config.state_path, config.bucket.location())
}

/// Returns the reports of all subvolumes, with an observation of each.
fn reports_of<'l>(
    config: &Config,
    observations: impl IntoIterator<Item = Observation<'l>>,
    now: Timestamp,
) -> Vec<SubvolumeReport> {
    let known = known_reports(config);
    let runs = LastRuns::open(&config.state_path, config.bucket.location());
    let drills = Drills::open(&config.state_path, config.bucket.location());
    let one = |(Subvolume { name, .. }, observation): (&Subvolume, Observation<'_>)| {
        let (known, last_run) = (known.get(name), runs.last_run(name));
        let memory = Memory { known, last_run, good_drill: drills.last(name) };
        report(name, &observation, &memory, now)
    };
    config.subvolumes.iter().zip(observations).map(one).collect()
}

fn whole(command: &str, subvolumes: Vec<SubvolumeReport>) -> BackupReport {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    BackupReport {
        version: BACKUP_REPORT_VERSION,
        program: ProgramFacts { version, host: host_name() },
        command: command.to_owned(),
        running_since: None,
        subvolumes,
    }
}

/// The outcome of the observation of one subvolume.
enum ObservedSubvolume {
    Seen { status: Box<SubvolumeStatus>, nested: Option<String> },
    Failed(String),
}

impl ObservedSubvolume {
    fn as_observation(&self) -> Observation<'_> {
        match self {
            ObservedSubvolume::Seen { status, nested } => {
                Observation::Seen { status, nested: nested.as_deref() }
            }
            ObservedSubvolume::Failed(reason) => Observation::Failed(reason),
        }
    }
}

/// Reads the state of each subvolume of the configuration, in their order.
async fn observe(config: &Config, shutdown: &ShutdownSignal) -> Vec<ObservedSubvolume> {
    let failed = |reason: &str| {
        config
            .subvolumes
            .iter()
            .map(|_| ObservedSubvolume::Failed(reason.to_owned()))
            .collect::<Vec<_>>()
    };
    match tokio::time::timeout(OBSERVE_TIME_MAX, observe_all(config, shutdown)).await {
        Ok(Ok(observed)) => observed,
        Ok(Err(err)) => failed(&format!("{err:#}")),
        Err(_) => failed(&format!("S3 did not answer within {} s", OBSERVE_TIME_MAX.as_secs())),
    }
}

async fn observe_all(
    config: &Config,
    shutdown: &ShutdownSignal,
) -> anyhow::Result<Vec<ObservedSubvolume>> {
    let mut bucket = connect_within(OBSERVE_RETRY_FOR, &config.bucket, shutdown).await?;
    bucket.retry_for = bucket.retry_for.min(OBSERVE_RETRY_FOR);
    let runs = LastRuns::open(&config.state_path, config.bucket.location());
    let drills = Drills::open(&config.state_path, config.bucket.location());
    let verifies = LastVerifies::open(&config.state_path, config.bucket.location());
    let (host, btrfs) = (host_identity(), btrfs_if_root());
    let sources = sources(config, &bucket, (&runs, &drills, &verifies), (&host, btrfs.as_ref()));
    let (covered, now) = (config.covered(), now());
    let mut all = Vec::new();
    for subvolume in &config.subvolumes {
        all.push(match status(&sources, subvolume, (&now, 0)).await {
            Ok(status) => {
                let nested = nested_problem(btrfs.as_ref(), subvolume, &covered).await;
                ObservedSubvolume::Seen { status: Box::new(status), nested }
            }
            Err(err) => ObservedSubvolume::Failed(error_chain(&err)),
        });
    }
    Ok(all)
}

/// Returns the problem of the subvolumes inside one that are in no backup. Only root can list them.
async fn nested_problem(
    btrfs: Option<&Btrfs>,
    subvolume: &Subvolume,
    covered: &[std::path::PathBuf],
) -> Option<String> {
    match nested::not_backed_up(btrfs?, subvolume, covered).await {
        Ok(found) if found.is_empty() => None,
        Ok(found) => Some(nested::problem(&found)),
        Err(err) => Some(format!("cannot look for nested subvolumes: {}", error_chain(&err))),
    }
}

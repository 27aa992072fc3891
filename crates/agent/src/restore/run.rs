//! Carries out a restore: lists, observes and plans one page ahead, and fetches many files at once.
//!
//! Memory is bounded: two pages of the listing, and the files that are being fetched.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::RestoreError;
use super::fetch::{FailureScope, FetchFailure, Fetched, Fetcher, FileTask, Received};
use super::observe::{ExpectedFile, observe};
use super::plan::{LocalEntry, MetadataStep, Overwrite, Step, WholeReason, decide};
use super::retry::FAILURES_IN_A_ROW_MAX;
use super::summary::{PlanSummary, RestoreSummary};
use super::target_dir::{Placement, TargetDir};
use crate::gateway::client::GatewayClient;
use crate::gateway::error::GatewayError;
use crate::remote_files::local_names::{below, local_name};
use crate::remote_files::pages::{Moment, Pages};
use crate::remote_files::remote_file::RemoteFile;
use crate::remote_files::versioning::{VersioningError, require_versions};

/// Number of files that are fetched at once. The connections are kept open, so each costs one request;
/// this many hide the delay of a distant gateway.
pub const CONCURRENT: usize = 32;

#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// A remote directory; an empty one stands for all files.
    pub prefix: String,
    pub moment: Moment,
    /// The files are written below it, without the prefix.
    pub target: PathBuf,
    pub overwrite: Overwrite,
}

/// A file, its place and what is done with it.
type Planned = (RemoteFile, PathBuf, Step);

/// Takes the end of each file.
pub type Ended<'f> = &'f mut (dyn FnMut(&RemoteFile, Option<&str>) + Send);

/// Restores the files of `request`. `ended` is called for each file, with the reason if it was not
/// restored, and `received` for bytes.
pub async fn restore(
    gateway: &GatewayClient,
    request: &RestoreRequest,
    received: Received,
    ended: Ended<'_>,
) -> Result<RestoreSummary, RestoreError> {
    check_versions(gateway, request.moment).await?;
    let target = Arc::new(open_locked(&request.target).await?);
    let fetcher = Fetcher::new(gateway, &target, received);
    let (pages, mut planned) = mpsc::channel(1);
    // Dropping the set ends its tasks.
    let mut planner = JoinSet::new();
    planner.spawn(plan_pages(gateway.clone(), request.clone(), Some(target.clone()), pages));
    let mut executor =
        Executor { fetcher, summary: RestoreSummary::default(), failures_in_a_row: 0, ended };
    executor.run(&mut planned).await?;
    planner_result(planner).await?;
    let summary = executor.summary;
    if summary.restored.files + summary.skipped.files + summary.failed.files == 0 {
        return Err(RestoreError::NothingFound { prefix: request.prefix.clone() });
    }
    let path = request.target.clone();
    let synced = tokio::task::spawn_blocking(move || target.sync()).await;
    let synced = synced.map_err(|_| RestoreError::Panicked)?;
    synced.map_err(|source| RestoreError::Sync { path, source })?;
    Ok(summary)
}

/// Fetches `files` into a target that has none of them. It does not sync.
pub async fn fetch_files(
    gateway: &GatewayClient,
    target: &Arc<TargetDir>,
    files: Vec<RemoteFile>,
    received: Received,
    ended: Ended<'_>,
) -> Result<RestoreSummary, RestoreError> {
    let fetcher = Fetcher::new(gateway, target, received);
    let planned = files.into_iter().map(|file| {
        let name = local_name(file.path.as_str());
        (file, name, Step::Create)
    });
    let (pages, mut page) = mpsc::channel(1);
    pages.try_send(planned.collect()).expect("the channel has a place");
    drop(pages);
    let mut executor =
        Executor { fetcher, summary: RestoreSummary::default(), failures_in_a_row: 0, ended };
    executor.run(&mut page).await?;
    Ok(executor.summary)
}

/// Returns the plan of `request`. It changes nothing, and does not create the target.
pub async fn plan(
    gateway: &GatewayClient,
    request: &RestoreRequest,
) -> Result<PlanSummary, RestoreError> {
    check_versions(gateway, request.moment).await?;
    let target = match TargetDir::open(&request.target) {
        Ok(target) => Some(Arc::new(target)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(RestoreError::Target { path: request.target.clone(), source }),
    };
    let (pages, mut planned) = mpsc::channel(1);
    let mut planner = JoinSet::new();
    planner.spawn(plan_pages(gateway.clone(), request.clone(), target, pages));
    let (mut summary, mut is_empty) = (PlanSummary::default(), true);
    while let Some(page) = planned.recv().await {
        is_empty &= page.is_empty();
        page.iter().for_each(|(file, _, step)| summary.add(file, step));
    }
    planner_result(planner).await?;
    if is_empty {
        return Err(RestoreError::NothingFound { prefix: request.prefix.clone() });
    }
    Ok(summary)
}

async fn planner_result(
    mut planner: JoinSet<Result<(), RestoreError>>,
) -> Result<(), RestoreError> {
    match planner.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(_)) | None => Err(RestoreError::Panicked),
    }
}

/// Refuses a time where the bucket keeps no versions: the newest files are not those of that time.
async fn check_versions(gateway: &GatewayClient, moment: Moment) -> Result<(), VersioningError> {
    match moment {
        Moment::Newest => Ok(()),
        Moment::At(_) => require_versions(gateway).await,
    }
}

async fn open_locked(path: &Path) -> Result<TargetDir, RestoreError> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let failed = |source| RestoreError::Target { path: path.clone(), source };
        let target = TargetDir::create(&path).map_err(failed)?;
        match target.lock().map_err(failed)? {
            true => Ok(target),
            false => Err(RestoreError::Locked { path }),
        }
    });
    opened.await.map_err(|_| RestoreError::Panicked)?
}

/// Lists, observes and plans, and sends one page after the other.
async fn plan_pages(
    gateway: GatewayClient,
    request: RestoreRequest,
    target: Option<Arc<TargetDir>>,
    planned: mpsc::Sender<Vec<Planned>>,
) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::List { prefix: request.prefix.clone(), source };
    let mut pages = Pages::new(&gateway, &request.prefix, request.moment);
    while let Some(page) = pages.next().await.map_err(failed)? {
        let mut files = Vec::with_capacity(page.len());
        for file in page {
            let name = below(file.path.as_str(), &request.prefix).map(local_name);
            let name = name.ok_or_else(|| {
                let what = format!(
                    "expected a path below {:?}, found {:?}",
                    request.prefix,
                    file.path.as_str()
                );
                failed(GatewayError::InvalidAnswer { what })
            })?;
            files.push((file, name));
        }
        let overwrite = request.overwrite;
        let page = match &target {
            Some(target) => observe_page(&gateway, target, files, overwrite).await?,
            None => files.into_iter().map(|(file, name)| (file, name, Step::Create)).collect(),
        };
        // The receiver is gone if the restore was stopped.
        if planned.send(page).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn observe_page(
    gateway: &GatewayClient,
    target: &Arc<TargetDir>,
    files: Vec<(RemoteFile, PathBuf)>,
    overwrite: Overwrite,
) -> Result<Vec<Planned>, RestoreError> {
    let (mut files, mut entries) = observe_all(target, files).await?;
    for ((file, name), entry) in files.iter_mut().zip(&mut entries) {
        let may_be_whole = matches!(entry, LocalEntry::File { size, .. } if *size == file.size);
        if !may_be_whole || file.sha256.is_some() {
            continue;
        }
        // The listing did not have the facts of this version; its object may.
        let version = file.version_id.as_deref();
        let Ok(facts) = gateway.head_version(&file.path, version).await else { continue };
        file.sha256 = facts.sha256;
        file.mtime_ns = facts.mtime_ns.or(file.mtime_ns);
        file.mode = facts.mode.map(|mode| format!("{mode:04o}")).or(file.mode.take());
        if facts.sha256.is_some() {
            let (one, observed) = observe_all(target, vec![(file.clone(), name.clone())]).await?;
            if let (Some((observed_file, _)), Some(observed)) =
                (one.into_iter().next(), observed.into_iter().next())
            {
                (*file, *entry) = (observed_file, observed);
            }
        }
    }
    let planned = files.into_iter().zip(entries).map(|((file, name), entry)| {
        let step = decide(&file, &entry, overwrite);
        (file, name, step)
    });
    Ok(planned.collect())
}

type Files = Vec<(RemoteFile, PathBuf)>;

async fn observe_all(
    target: &Arc<TargetDir>,
    files: Files,
) -> Result<(Files, Vec<LocalEntry>), RestoreError> {
    let target = target.clone();
    let observed = tokio::task::spawn_blocking(move || {
        let entry = |(file, name): &(RemoteFile, PathBuf)| {
            let (size, sha256) = (file.size, file.sha256);
            observe(&target, &ExpectedFile { path: name.clone(), size, sha256 })
        };
        let entries = files.iter().map(entry).collect();
        (files, entries)
    });
    observed.await.map_err(|_| RestoreError::Panicked)
}

struct Executor<'f> {
    fetcher: Fetcher,
    summary: RestoreSummary,
    failures_in_a_row: u32,
    ended: Ended<'f>,
}

/// Work that is left for one file.
#[derive(Debug)]
enum FileWork {
    Fetch(FileTask),
    SetMetadata(RemoteFile, PathBuf, WholeReason),
}

#[derive(Debug)]
enum FileDone {
    Fetched(RemoteFile, Result<Fetched, FetchFailure>),
    MetadataSet(RemoteFile, WholeReason, io::Result<()>),
}

impl Executor<'_> {
    /// Carries out every step of `planned`.
    async fn run(
        &mut self,
        planned: &mut mpsc::Receiver<Vec<Planned>>,
    ) -> Result<(), RestoreError> {
        let (mut queue, mut running) = (VecDeque::new(), JoinSet::<FileDone>::new());
        let mut is_planned = false;
        loop {
            while running.len() < CONCURRENT
                && let Some(work) = queue.pop_front()
            {
                self.spawn(work, &mut running);
            }
            if is_planned && running.is_empty() {
                return Ok(());
            }
            tokio::select! {
                Some(done) = running.join_next() => {
                    self.done(done.map_err(|_| RestoreError::Panicked)?)?;
                }
                page = planned.recv(), if !is_planned && queue.is_empty() => match page {
                    Some(page) => queue.extend(page.into_iter().filter_map(|it| self.work(it))),
                    None => is_planned = true,
                },
            }
        }
    }

    /// Returns the work of a step, if there is some.
    fn work(&mut self, (remote, path, step): Planned) -> Option<FileWork> {
        let fetch =
            |remote, path, placement| Some(FileWork::Fetch(FileTask { remote, path, placement }));
        match step {
            Step::Create => fetch(remote, path, Placement::Free),
            Step::Replace => fetch(remote, path, Placement::Replace),
            Step::Skip(whole, MetadataStep::Set) => {
                Some(FileWork::SetMetadata(remote, path, whole))
            }
            Step::Skip(whole, metadata) => {
                self.summary.metadata_differs += u64::from(metadata == MetadataStep::Keep);
                self.whole(&remote, whole);
                None
            }
            Step::Refuse(conflict) => {
                self.failed(&remote, conflict.to_string());
                None
            }
        }
    }

    fn spawn(&self, work: FileWork, running: &mut JoinSet<FileDone>) {
        match work {
            FileWork::Fetch(task) => {
                let fetcher = self.fetcher.clone();
                running.spawn(async move {
                    let fetched = fetcher.fetch(&task).await;
                    FileDone::Fetched(task.remote, fetched)
                });
            }
            FileWork::SetMetadata(remote, path, whole) => {
                let target = self.fetcher.target.clone();
                running.spawn_blocking(move || {
                    let set = target.set_metadata(&path, &remote.metadata());
                    FileDone::MetadataSet(remote, whole, set)
                });
            }
        }
    }

    fn whole(&mut self, remote: &RemoteFile, whole: WholeReason) {
        self.summary.add_whole(remote, whole);
        (self.ended)(remote, None);
    }

    fn done(&mut self, done: FileDone) -> Result<(), RestoreError> {
        match done {
            FileDone::Fetched(remote, fetched) => self.fetched(&remote, fetched),
            FileDone::MetadataSet(remote, whole, set) => {
                match set {
                    Ok(()) => self.summary.metadata_set += 1,
                    Err(_) => self.summary.metadata_refused += 1,
                }
                self.whole(&remote, whole);
                Ok(())
            }
        }
    }

    fn fetched(
        &mut self,
        remote: &RemoteFile,
        fetched: Result<Fetched, FetchFailure>,
    ) -> Result<(), RestoreError> {
        let failure = match fetched {
            Ok(Fetched { verified, metadata_error }) => {
                self.failures_in_a_row = 0;
                self.summary.restored.add_file(remote.size);
                self.summary.without_digest += u64::from(!verified);
                self.summary.metadata_refused += u64::from(metadata_error.is_some());
                (self.ended)(remote, None);
                return Ok(());
            }
            Err(failure) => failure,
        };
        let FetchFailure { reason, scope } = failure;
        match scope {
            FailureScope::File => {}
            FailureScope::Gateway => self.failures_in_a_row += 1,
            FailureScope::All => self.failures_in_a_row = FAILURES_IN_A_ROW_MAX,
        }
        if self.failures_in_a_row < FAILURES_IN_A_ROW_MAX {
            self.failed(remote, reason);
            return Ok(());
        }
        let reason = format!("restore {:?}: {reason}", remote.path.as_str());
        Err(RestoreError::Stopped { reason, summary: Box::new(std::mem::take(&mut self.summary)) })
    }

    fn failed(&mut self, remote: &RemoteFile, reason: String) {
        (self.ended)(remote, Some(&reason));
        self.summary.add_failure(remote, reason);
    }
}

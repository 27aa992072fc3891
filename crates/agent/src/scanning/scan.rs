//! A scan: compares a walk of a watch with the database.
//!
//! The watcher makes uploads fast; the scan makes them complete. It changes
//! nothing: it reports the state of every entry, and at the end which known
//! files are gone. The daemon acts on that, and `status` counts it. The walk
//! waits for the reader of its batches, so that a scan of a million files holds
//! a few hundred of them.
//!
//! If the root is missing, or its known files cannot all have been deleted
//! (`missing_files`), the scan fails and no file is taken as deleted.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::database::{DatabaseError, LOOKUP_MAX, Reader};
use crate::files::confined_fs::{self, Root};
use crate::files::filesystem::Filesystem;
use crate::files::identity::Identity;
use crate::files::watch::Watch;
use crate::files::writes::Evidence;
use crate::scanning::live_databases::{LiveDatabases, is_database_file};
use crate::scanning::low_priority;
use crate::scanning::missing_files::{self, MissingFiles, MissingVerdict};
use crate::scanning::walk::{self, Exclusion, RootError, WalkEntry, WalkEntryKind};
use crate::states::counts::StateCounts;
use crate::states::decide::{FilePolicy, FileProblem, ListedProblem, State, decide};
use crate::states::version::ObservedFile;

/// Maximum number of batches that the walk is ahead of the comparison.
const BATCHES_AHEAD: usize = 2;
/// Maximum number of problems listed by name; more are only counted. No person
/// reads more.
pub const PROBLEMS_MAX: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("scan of {root:?} was interrupted")]
    Interrupted { root: PathBuf },
}

/// A regular file and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedFile {
    pub path: PathBuf,
    pub identity: Identity,
    pub state: State,
}

/// Result of a complete scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    pub counts: StateCounts,
    pub excluded: BTreeMap<Exclusion, u64>,
    /// The first [`PROBLEMS_MAX`] problems.
    pub problems: Vec<ListedProblem>,
    /// Time of the last change of the pending file that has not changed for the longest time.
    pub oldest_pending_ns: Option<i64>,
    /// Error of the watch as a whole, which could not be scanned.
    pub error: Option<String>,
    /// `local_path` of each known file that is gone.
    pub gone: Vec<String>,
    /// Filesystem of the root.
    pub filesystem: Option<String>,
    /// Number of protected files whose content could have been replaced without a sign, while no
    /// agent ran: their filesystem has no change times.
    pub unprovable: u64,
    pub live_databases: LiveDatabases,
}

/// Entries of a watch, and the filesystem that they are on.
#[derive(Debug)]
struct Batch {
    entries: Vec<WalkEntry>,
    filesystem: Filesystem,
}

/// Result of the walk.
#[derive(Debug)]
struct WalkEnd {
    flow: ControlFlow<()>,
    filesystem: String,
    may_lack_change_times: bool,
}

/// A running scan. Dropping it ends the walk.
#[derive(Debug)]
pub struct Scan {
    watch: Arc<Watch>,
    /// Relative path of the directory that is scanned; empty for the whole watch.
    top: PathBuf,
    reader: Reader,
    policy: FilePolicy,
    batches: mpsc::Receiver<Batch>,
    walk: oneshot::Receiver<Result<WalkEnd, RootError>>,
    report: ScanReport,
    /// Hash of each path that exists: eight bytes instead of a name. If a
    /// deleted file has the hash of another one, its row only stays for longer.
    path_hashes: Vec<u64>,
    /// True if a file shows a change time of its own.
    has_change_times: bool,
}

impl Scan {
    pub fn start(watch: Arc<Watch>, reader: Reader, policy: FilePolicy) -> Scan {
        Scan::of_directory(watch, PathBuf::new(), reader, policy)
    }

    /// Scans one directory of a watch and what is below it.
    pub fn of_directory(
        watch: Arc<Watch>,
        top: PathBuf,
        reader: Reader,
        policy: FilePolicy,
    ) -> Scan {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let walk = low_priority::spawn({
            let (watch, top) = (watch.clone(), top.clone());
            move || walk_in_batches(&watch, top, &sender)
        });
        let report = ScanReport::default();
        let (path_hashes, has_change_times) = (Vec::new(), false);
        Scan { watch, top, reader, policy, batches, walk, report, path_hashes, has_change_times }
    }

    /// Returns the next files, or `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<ScannedFile>>, DatabaseError> {
        let Some(Batch { entries, filesystem }) = self.batches.recv().await else {
            return Ok(None);
        };
        let mut files = Vec::new();
        for WalkEntry { path, kind } in entries {
            self.path_hashes.push(hash(&path));
            match kind {
                WalkEntryKind::File(identity) => files.push((path, identity)),
                WalkEntryKind::Excluded(exclusion) => self.excluded(exclusion),
                WalkEntryKind::Unreadable(error) => {
                    self.problem(&path, 0, FileProblem::Unreadable(error));
                }
            }
        }
        let names: Vec<_> = files.iter().map(|(path, _)| self.watch.local_path(path)).collect();
        let known = self.reader.known(&names).await?;
        let mut scanned = Vec::with_capacity(files.len());
        for ((path, identity), known) in files.into_iter().zip(known) {
            if is_database_file(&path) {
                self.report.live_databases.add(|| self.watch.local_path(&path));
            }
            self.has_change_times |= identity.ctime_ns != identity.mtime_ns;
            let observed = ObservedFile { identity, filesystem, evidence: Evidence::Seen };
            let state = decide(&observed, &self.watch.remote_path(&path), &known, &self.policy);
            self.count(&path, &identity, &state);
            scanned.push(ScannedFile { path, identity, state });
        }
        Ok(Some(scanned))
    }

    /// Returns the report. Call it after the last batch.
    pub async fn finish(mut self) -> Result<ScanReport, ScanError> {
        self.batches.close();
        let walked = self.walk.await.map_err(|_| ScanError::interrupted(&self.watch))?;
        let WalkEnd { flow, filesystem, may_lack_change_times } = walked?;
        if flow.is_break() {
            return Err(ScanError::interrupted(&self.watch));
        }
        self.report.filesystem = Some(filesystem.clone());
        if may_lack_change_times && !self.has_change_times {
            self.report.unprovable = self.report.counts.protected.files;
        }
        if !self.top.as_os_str().is_empty() {
            // Which files are gone is decided for a whole watch only.
            return Ok(self.report);
        }
        self.path_hashes.sort_unstable();
        let (gone, known) = missing(&self.watch, &self.reader, &self.path_hashes).await?;
        let missing = MissingFiles { known, gone: gone.len() as u64 };
        let state = self.reader.watch_state(&self.watch.local_prefix()).await?;
        let before = state.and_then(|state| state.filesystem);
        let verdict = missing_files::judge(missing, before.as_deref(), &filesystem);
        self.report.error = verdict.error(&self.watch.root, missing);
        if verdict == MissingVerdict::Deleted {
            self.report.gone = gone;
        }
        Ok(self.report)
    }

    fn count(&mut self, path: &Path, identity: &Identity, state: &State) {
        let counts = &mut self.report.counts;
        match state {
            State::Protected => counts.protected.add_file(identity.size),
            State::Pending(_) => {
                counts.pending.add_file(identity.size);
                let oldest = &mut self.report.oldest_pending_ns;
                let changed_at = identity.changed_at_ns();
                *oldest = Some(oldest.map_or(changed_at, |oldest| oldest.min(changed_at)));
            }
            State::Baseline { .. } => counts.baseline.add_file(identity.size),
            State::Problem(problem) => self.problem(path, identity.size, problem.clone()),
        }
    }

    fn excluded(&mut self, exclusion: Exclusion) {
        self.report.counts.excluded.add_file(0);
        *self.report.excluded.entry(exclusion).or_default() += 1;
    }

    fn problem(&mut self, path: &Path, bytes: u64, problem: FileProblem) {
        self.report.counts.problems.add_file(bytes);
        if self.report.problems.len() < PROBLEMS_MAX {
            let local_path = self.watch.local_path(path);
            self.report.problems.push(ListedProblem { local_path, problem });
        }
    }
}

impl ScanError {
    /// The scan did not reach its end, so nothing follows from it.
    pub(crate) fn interrupted(watch: &Watch) -> ScanError {
        ScanError::Interrupted { root: watch.root.clone() }
    }
}

/// Sends the entries of `top` and below it into the channel, until its receiver is dropped.
fn walk_in_batches(
    watch: &Watch,
    top: PathBuf,
    sender: &mpsc::Sender<Batch>,
) -> Result<WalkEnd, RootError> {
    let root = walk::open_root(watch)?;
    let failed = |source| RootError { root: watch.root.clone(), source };
    let filesystem_id = root.filesystem_id().map_err(failed)?;
    let may_lack_change_times = root.may_lack_change_times().map_err(failed)?;
    let filesystem = root.filesystem;
    let send = |entries| send(sender, Batch { entries, filesystem });
    let mut entries = Vec::with_capacity(LOOKUP_MAX);
    let flow = walk::walk(watch, root, top, |found| {
        entries.push(found);
        if entries.len() < LOOKUP_MAX {
            return ControlFlow::Continue(());
        }
        send(std::mem::replace(&mut entries, Vec::with_capacity(LOOKUP_MAX)))
    })?;
    let flow = if entries.is_empty() { flow } else { send(entries) };
    Ok(WalkEnd { flow, filesystem: filesystem_id, may_lack_change_times })
}

fn send(sender: &mpsc::Sender<Batch>, batch: Batch) -> ControlFlow<()> {
    match sender.blocking_send(batch) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// Returns the known files of `watch` that were not found and do not exist, and the
/// number of all known files.
async fn missing(
    watch: &Arc<Watch>,
    reader: &Reader,
    path_hashes: &[u64],
) -> Result<(Vec<String>, u64), ScanError> {
    let prefix = watch.local_prefix();
    let (mut gone, mut known, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page = reader.page_on_disk(&prefix, &after).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(last);
        known += page.len() as u64;
        let not_found = page
            .into_iter()
            .filter_map(|name| Some((watch.path_of(&name)?, name)))
            .filter(|(path, _)| path_hashes.binary_search(&hash(path)).is_err())
            .collect();
        gone.extend(confirm_gone(watch.clone(), not_found).await?);
    }
    Ok((gone, known))
}

/// Returns those that do not exist, checked one by one: the walk may have missed
/// a file in a directory that was unreadable or was renamed meanwhile.
async fn confirm_gone(
    watch: Arc<Watch>,
    not_found: Vec<(PathBuf, String)>,
) -> Result<Vec<String>, ScanError> {
    if not_found.is_empty() {
        return Ok(Vec::new());
    }
    let check = move || -> io::Result<Vec<String>> {
        let root = Root::open(&watch.root)?;
        let gone = |path: &Path| root.stat(path).is_err_and(|err| confined_fs::is_gone(&err));
        Ok(not_found.into_iter().filter(|(path, _)| gone(path)).map(|(_, name)| name).collect())
    };
    // If the root vanishes now, no file is taken as gone.
    Ok(tokio::task::spawn_blocking(check).await.ok().and_then(Result::ok).unwrap_or_default())
}

fn hash(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

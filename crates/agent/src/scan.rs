//! A scan: the walk of a watch, compared with the database.
//!
//! The watcher makes things fast, the scan makes them right. It only looks: it
//! says of every entry in which state it is, and at the end which known files
//! are gone. The daemon acts on that, `status` counts it. Batches come as fast
//! as they are taken, so a scan of a million files holds some hundred.
//!
//! A root that is missing, or under which not one known file is left (emptied,
//! unmounted, replaced), is trouble of the watch; nothing is forgotten then.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::beneath::{self, Root};
use crate::db::{DbError, LOOKUP_MAX, Reader};
use crate::decide::{Policy, State, Trouble, decide};
use crate::identity::Identity;
use crate::tally::Tally;
use crate::walk::{self, Exclusion, Found, RootTrouble, What};
use crate::watch::Watch;

/// Batches that the walk may be ahead of the comparison.
const BATCHES_AHEAD: usize = 2;
/// Problems kept by name; more are only counted. A person reads no more.
pub const PROBLEMS_MAX: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error(transparent)]
    Root(#[from] RootTrouble),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the scan of {root:?} was stopped")]
    Stopped { root: PathBuf },
}

/// A regular file, and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub path: PathBuf,
    pub identity: Identity,
    pub state: State,
}

/// What a complete scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub tally: Tally,
    pub excluded: BTreeMap<Exclusion, u64>,
    /// The first [`PROBLEMS_MAX`], by `local_path`.
    pub problems: Vec<(String, String)>,
    /// Trouble of the watch as a whole.
    pub trouble: Option<String>,
    /// `local_path` of known files that are gone.
    pub gone: Vec<String>,
}

/// A scan under way. Dropped, it ends the walk.
#[derive(Debug)]
pub struct Scan {
    watch: Arc<Watch>,
    reader: Reader,
    policy: Policy,
    batches: mpsc::Receiver<Vec<Found>>,
    walk: JoinHandle<Result<ControlFlow<()>, RootTrouble>>,
    report: Report,
    /// A hash for each path that was seen: eight bytes instead of a name. Two
    /// names of one hash only keep a deleted file's row for longer.
    seen: Vec<u64>,
}

impl Scan {
    pub fn start(watch: Arc<Watch>, reader: Reader, policy: Policy) -> Scan {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let walked = watch.clone();
        let walk = tokio::task::spawn_blocking(move || walk_in_batches(&walked, &sender));
        let report = Report::default();
        Scan { watch, reader, policy, batches, walk, report, seen: Vec::new() }
    }

    /// The next files, or `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Seen>>, DbError> {
        let Some(batch) = self.batches.recv().await else { return Ok(None) };
        let mut files = Vec::new();
        for Found { path, what } in batch {
            self.seen.push(hash(&path));
            match what {
                What::File(identity) => files.push((path, identity)),
                What::Excluded(exclusion) => self.excluded(exclusion),
                What::Trouble(reason) => self.problem(&path, 0, reason),
            }
        }
        let names: Vec<_> = files.iter().map(|(path, _)| self.watch.local_path(path)).collect();
        let known = self.reader.known(&names).await?;
        let mut seen = Vec::with_capacity(files.len());
        for ((path, identity), known) in files.into_iter().zip(known) {
            let state = decide(&identity, &self.watch.remote_path(&path), &known, &self.policy);
            self.count(&path, &identity, &state);
            seen.push(Seen { path, identity, state });
        }
        Ok(Some(seen))
    }

    /// What was found, after the last batch.
    pub async fn finish(mut self) -> Result<Report, ScanError> {
        self.batches.close();
        match self.walk.await {
            Ok(walked) => {
                if walked?.is_break() {
                    return Err(self.watch.stopped());
                }
            }
            Err(_) => return Err(self.watch.stopped()),
        }
        self.seen.sort_unstable();
        let missing = missing(&self.watch, &self.reader, &self.seen).await?;
        match missing {
            Missing::Some(gone) => self.report.gone = gone,
            Missing::All(count) => {
                self.report.trouble = Some(format!(
                    "not one of {count} known files is left in {:?}: emptied, unmounted or \
                     replaced; nothing in it is taken for deleted",
                    self.watch.root
                ));
            }
        }
        Ok(self.report)
    }

    fn count(&mut self, path: &Path, identity: &Identity, state: &State) {
        let tally = &mut self.report.tally;
        match state {
            State::Protected => tally.protected.add_file(identity.size),
            State::Pending(_) => tally.pending.add_file(identity.size),
            State::Baseline { .. } => tally.baseline.add_file(identity.size),
            State::Problem(trouble) => self.problem(path, identity.size, reason(trouble)),
        }
    }

    fn excluded(&mut self, exclusion: Exclusion) {
        self.report.tally.excluded.add_file(0);
        *self.report.excluded.entry(exclusion).or_default() += 1;
    }

    fn problem(&mut self, path: &Path, bytes: u64, reason: String) {
        self.report.tally.problems.add_file(bytes);
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push((self.watch.local_path(path), reason));
        }
    }
}

impl Watch {
    /// What a scan says that did not come to its end: nothing may be concluded.
    pub(crate) fn stopped(&self) -> ScanError {
        ScanError::Stopped { root: self.root.clone() }
    }
}

fn reason(trouble: &Trouble) -> String {
    trouble.to_string()
}

/// Walks `watch` into the channel; ends early when nobody listens.
fn walk_in_batches(
    watch: &Watch,
    sender: &mpsc::Sender<Vec<Found>>,
) -> Result<ControlFlow<()>, RootTrouble> {
    let mut batch = Vec::with_capacity(LOOKUP_MAX);
    let flow = walk::walk(watch, |found| {
        batch.push(found);
        if batch.len() < LOOKUP_MAX {
            return ControlFlow::Continue(());
        }
        send(sender, std::mem::replace(&mut batch, Vec::with_capacity(LOOKUP_MAX)))
    })?;
    Ok(if batch.is_empty() { flow } else { send(sender, batch) })
}

fn send(sender: &mpsc::Sender<Vec<Found>>, batch: Vec<Found>) -> ControlFlow<()> {
    match sender.blocking_send(batch) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

enum Missing {
    Some(Vec<String>),
    /// All of so many known files, which is not believed.
    All(u64),
}

/// The known files of `watch` that were not seen and do not exist.
async fn missing(watch: &Arc<Watch>, reader: &Reader, seen: &[u64]) -> Result<Missing, ScanError> {
    let prefix = watch.local_prefix();
    let (mut gone, mut known, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page = reader.page(&prefix, &after).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(last);
        known += page.len() as u64;
        let unseen = page
            .into_iter()
            .filter_map(|name| Some((watch.path_of(&name)?, name)))
            .filter(|(path, _)| seen.binary_search(&hash(path)).is_err())
            .collect();
        gone.extend(confirm_gone(watch.clone(), unseen).await?);
    }
    if known > 0 && gone.len() as u64 == known {
        return Ok(Missing::All(known));
    }
    Ok(Missing::Some(gone))
}

/// Those that do not exist, by a look at each: an entry may have been missed,
/// in a folder that could not be read or that was renamed meanwhile.
async fn confirm_gone(
    watch: Arc<Watch>,
    unseen: Vec<(PathBuf, String)>,
) -> Result<Vec<String>, ScanError> {
    if unseen.is_empty() {
        return Ok(Vec::new());
    }
    let look = move || -> io::Result<Vec<String>> {
        let root = Root::open(&watch.root)?;
        let gone = |path: &Path| root.stat(path).is_err_and(|err| beneath::is_gone(&err));
        Ok(unseen.into_iter().filter(|(path, _)| gone(path)).map(|(_, name)| name).collect())
    };
    // A root that vanishes now takes nothing with it.
    Ok(tokio::task::spawn_blocking(look).await.ok().and_then(Result::ok).unwrap_or_default())
}

fn hash(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

//! Carries out a drill.
//!
//! The files are those that this host uploaded, and those that the gateway lists beside them. So a file
//! of this host fails the drill if the bucket has lost it.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use s3up_core::wire::LIST_LIMIT_MAX;
use s3up_core::{RemotePath, Sha256Digest};

use super::judge::{ExpectedDigests, judge};
use super::scratch::Scratch;
use crate::database::{DatabaseError, Reader};
use crate::files::watch::Watch;
use crate::gateway::client::GatewayClient;
use crate::gateway::error::GatewayError;
use crate::random::random_or;
use crate::remote_files::local_names::{below, local_name};
use crate::remote_files::pages::{Moment, Pages};
use crate::remote_files::remote_file::RemoteFile;
use crate::restore::error::RestoreError;
use crate::restore::fetch::Received;
use crate::restore::observe;
use crate::restore::run::fetch_files;
use crate::restore::summary::{FAILURES_MAX, Failure};
use crate::sample::Sample;
use crate::states::counts::FileCount;
use crate::states::decide::KnownFile;

#[derive(Clone, Debug)]
pub struct DrillRequest {
    /// A remote directory; an empty one stands for all files.
    pub prefix: String,
    /// Number of files that are chosen at random; `None` for all.
    pub sample: Option<usize>,
    /// Directory in which the scratch directory is made.
    pub scratch: PathBuf,
}

/// The database and the watches of this host, to compare with.
#[derive(Clone, Debug)]
pub struct HostRecords {
    pub reader: Reader,
    pub watches: Vec<Watch>,
}

#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error("list the files below {prefix:?}")]
    List { prefix: String, source: GatewayError },
    #[error(
        "neither the gateway nor this host knows a file below {prefix:?}, so nothing was proven; check \
         the prefix with `s3up list`"
    )]
    NothingFound { prefix: String },
    #[error("use a scratch directory in {path:?}; pass --scratch DIR for another one")]
    Scratch { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The result of a drill.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DrillSummary {
    pub passed: FileCount,
    pub failed: FileCount,
    /// Files among `passed` that were compared with the record of this host.
    pub compared_with_host: u64,
    pub failures: Vec<Failure>,
}

pub async fn drill(
    gateway: &GatewayClient,
    host: Option<&HostRecords>,
    request: &DrillRequest,
    received: Received,
) -> Result<DrillSummary, DrillError> {
    let failed = |source| DrillError::Scratch { path: request.scratch.clone(), source };
    let parent = request.scratch.clone();
    let scratch = blocking(move || Scratch::create(&parent)).await.map_err(failed)?;
    let mut drill = Drill {
        gateway,
        host,
        scratch: Arc::new(scratch),
        received,
        summary: DrillSummary::default(),
    };
    let result = drill.run(request).await;
    // Removed by dropping it, too, if the drill failed.
    let Drill { scratch, summary, .. } = drill;
    result?;
    if summary.passed.files + summary.failed.files == 0 {
        return Err(DrillError::NothingFound { prefix: request.prefix.clone() });
    }
    if let Some(scratch) = Arc::into_inner(scratch) {
        blocking(move || scratch.remove()).await.map_err(failed)?;
    }
    Ok(summary)
}

struct Drill<'d> {
    gateway: &'d GatewayClient,
    host: Option<&'d HostRecords>,
    scratch: Arc<Scratch>,
    received: Received,
    summary: DrillSummary,
}

impl Drill<'_> {
    async fn run(&mut self, request: &DrillRequest) -> Result<(), DrillError> {
        let failed = |source| DrillError::List { prefix: request.prefix.clone(), source };
        let mut chosen = request.sample.map(Sample::new);
        let mut pages = Pages::new(self.gateway, &request.prefix, Moment::Newest);
        while let Some(page) = pages.next().await.map_err(failed)? {
            let candidates = self.not_uploaded_here(page).await?;
            self.take(candidates, &mut chosen, request).await?;
        }
        let mut last = String::new();
        while let Some((candidates, next)) = self.uploaded_here(&request.prefix, &last).await? {
            self.take(candidates, &mut chosen, request).await?;
            last = next;
        }
        let mut chosen = chosen.map(Sample::into_chosen).unwrap_or_default();
        chosen.sort_by(|one, other| one.path.cmp(&other.path));
        while !chosen.is_empty() {
            let rest = chosen.split_off(chosen.len().min(LIST_LIMIT_MAX));
            self.batch(std::mem::replace(&mut chosen, rest), request).await?;
        }
        Ok(())
    }

    /// Restores the files, or adds them to the sample.
    async fn take(
        &mut self,
        candidates: Vec<RemoteFile>,
        chosen: &mut Option<Sample<RemoteFile>>,
        request: &DrillRequest,
    ) -> Result<(), DrillError> {
        match chosen {
            None if candidates.is_empty() => Ok(()),
            None => self.batch(candidates, request).await,
            Some(sample) => {
                candidates.into_iter().for_each(|candidate| sample.add(candidate, random()));
                Ok(())
            }
        }
    }

    /// Returns the listed files of which this host has no record.
    async fn not_uploaded_here(
        &self,
        page: Vec<RemoteFile>,
    ) -> Result<Vec<RemoteFile>, DrillError> {
        let Some(host) = self.host else { return Ok(page) };
        let known = host.known(&page).await?;
        let files = page.into_iter().zip(known);
        let files = files.filter(|(file, known)| uploaded(known, file.path.as_str()).is_none());
        Ok(files.map(|(file, _)| file).collect())
    }

    /// Returns some files below `prefix` that this host uploaded, and the `local_path` to continue
    /// after; `None` at the end.
    async fn uploaded_here(
        &self,
        prefix: &str,
        after: &str,
    ) -> Result<Option<(Vec<RemoteFile>, String)>, DrillError> {
        let Some(host) = self.host else { return Ok(None) };
        let names = host.reader.page("/", after).await?;
        let Some(last) = names.last().cloned() else { return Ok(None) };
        let mut candidates = Vec::new();
        for (name, known) in names.iter().zip(host.reader.known(&names).await?) {
            let Some(row) = &known.row else { continue };
            // The rows of a watch that was removed from the configuration are not looked for.
            let is_watched = host.local_path(&row.remote_path).as_ref() == Some(name);
            let Ok(path) = RemotePath::parse(&row.remote_path) else { continue };
            if let Some(sha256) = uploaded(&known, path.as_str())
                && is_watched
                && below(path.as_str(), prefix).is_some()
            {
                candidates.push(RemoteFile::of_record(path, row.size, sha256));
            }
        }
        Ok(Some((candidates, last)))
    }

    /// Restores, compares and removes some files.
    async fn batch(
        &mut self,
        files: Vec<RemoteFile>,
        request: &DrillRequest,
    ) -> Result<(), DrillError> {
        let expected = self.expected(&files).await?;
        let mut not_restored = HashMap::new();
        let mut ended = |file: &RemoteFile, failure: Option<&str>| {
            if let Some(reason) = failure {
                not_restored.insert(file.path.clone(), reason.to_owned());
            }
        };
        let target = self.scratch.target.clone();
        let (gateway, received) = (self.gateway, self.received.clone());
        fetch_files(gateway, &target, files.clone(), received, &mut ended).await?;
        let names: Vec<_> = files.iter().map(|file| local_name(file.path.as_str())).collect();
        let scratch = self.scratch.clone();
        let failed = |source| DrillError::Scratch { path: request.scratch.clone(), source };
        let found = blocking(move || {
            let found: Vec<_> =
                names.iter().map(|name| observe::hash(&scratch.target, name)).collect();
            scratch.clear()?;
            Ok(found)
        });
        let found = found.await.map_err(failed)?;
        for ((file, expected), found) in files.iter().zip(expected).zip(found) {
            let result = match (not_restored.remove(&file.path), found) {
                (Some(reason), _) => Err(reason),
                (None, Err(err)) => Err(format!("read it back: {err}")),
                (None, Ok(found)) => judge(expected, found).map_err(|failure| failure.to_string()),
            };
            self.add(file, expected, result);
        }
        Ok(())
    }

    /// Returns what each file is compared with.
    async fn expected(&self, files: &[RemoteFile]) -> Result<Vec<ExpectedDigests>, DrillError> {
        let mut expected: Vec<_> =
            files.iter().map(|file| ExpectedDigests { host: None, gateway: file.sha256 }).collect();
        let Some(host) = self.host else { return Ok(expected) };
        let known = host.known(files).await?;
        for ((file, expected), known) in files.iter().zip(&mut expected).zip(known) {
            expected.host = uploaded(&known, file.path.as_str());
        }
        Ok(expected)
    }

    fn add(&mut self, file: &RemoteFile, expected: ExpectedDigests, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.summary.passed.add_file(file.size);
                self.summary.compared_with_host += u64::from(expected.host.is_some());
            }
            Err(reason) => {
                self.summary.failed.add_file(file.size);
                if self.summary.failures.len() < FAILURES_MAX {
                    self.summary.failures.push(Failure { path: file.path.to_string(), reason });
                }
            }
        }
    }
}

impl HostRecords {
    fn local_path(&self, remote_path: &str) -> Option<String> {
        self.watches.iter().find_map(|watch| watch.local_path_of_remote(remote_path))
    }

    /// Returns the rows of each of `files`, in the same order.
    async fn known(&self, files: &[RemoteFile]) -> Result<Vec<KnownFile>, DatabaseError> {
        let name = |file: &RemoteFile| self.local_path(file.path.as_str()).unwrap_or_default();
        let names: Vec<_> = files.iter().map(name).collect();
        self.reader.known(&names).await
    }
}

/// Returns the SHA-256 of what this host uploaded last under the path.
fn uploaded(known: &KnownFile, remote_path: &str) -> Option<Sha256Digest> {
    let row = known.row.as_ref().filter(|row| row.remote_path == remote_path)?;
    row.version.map(|version| version.sha256)
}

/// Runs `work` on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err)))
}

/// Returns a number in 0..1; without randomness, the first files are the sample.
fn random() -> f64 {
    random_or(0.999)
}

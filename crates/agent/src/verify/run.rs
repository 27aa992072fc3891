//! Carries out the comparison, batch by batch.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::fstat;
use s3up_core::wire::{EXISTS_FILES_MAX, ExistsQuery, QueriedFile, Verdict};
use s3up_core::{Sha256, Sha256Digest, error_chain};

use super::judge::{DiskContent, Finding, judge};
use crate::config::Config;
use crate::database::{self, DatabaseError, DeletedRow, Reader};
use crate::files::confined_fs::Root;
use crate::files::identity::Identity;
use crate::files::watch::Watch;
use crate::gateway::client::GatewayClient;
use crate::gateway::error::GatewayError;
use crate::random::random_or;
use crate::sample::Sample;
use crate::scanning::scan::{Scan, ScanError, ScanReport, ScannedFile};
use crate::states::decide::{KnownFile, State};
use crate::status::policy;

/// Size of the read buffer for hashing.
const HASH_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("ask the gateway which files it has")]
    Gateway(#[from] GatewayError),
    #[error(
        "expected answers of the gateway for {expected} files, found {found}; check the URL of the gateway and any proxy"
    )]
    Answers { expected: usize, found: usize },
    #[error(
        "a thread that reads files ended early; this is a bug, report it and run the command again"
    )]
    Panicked,
}

/// The result of a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifySummary {
    /// Files of which disk, database and gateway agree.
    pub verified: u64,
    /// Protected files that were left out of the sample.
    pub not_sampled: u64,
    /// Files that a cleanup deleted, and that the gateway has.
    pub locally_deleted: u64,
    pub excluded: u64,
    pub findings: u64,
}

/// A protected file.
#[derive(Clone, Debug)]
struct Candidate {
    path: PathBuf,
    local_path: String,
    remote_path: String,
    identity: Identity,
    sha256: Sha256Digest,
}

/// Called with the number of bytes that were hashed.
pub type Hashed = Arc<dyn Fn(u64) + Send + Sync>;

/// Takes the findings, by `local_path`.
pub type Findings<'f> = &'f mut (dyn FnMut(&str, &Finding) + Send);

pub struct Verification<'v> {
    config: &'v Config,
    gateway: &'v GatewayClient,
    reader: Reader,
    hashed: Hashed,
    findings: Findings<'v>,
    summary: VerifySummary,
}

/// Verifies all files, or all states and the content of a random `sample` of the protected files.
pub async fn verify(
    config: &Config,
    gateway: &GatewayClient,
    sample: Option<usize>,
    hashed: Hashed,
    findings: Findings<'_>,
) -> Result<VerifySummary, VerifyError> {
    let reader = database::open_read_only(&config.database).await?;
    let summary = VerifySummary::default();
    let mut verification =
        Verification { config, gateway, reader: reader.clone(), hashed, findings, summary };
    let result = verification.run(sample).await;
    let summary = verification.summary;
    reader.close().await;
    result.map(|()| summary)
}

impl Verification<'_> {
    async fn run(&mut self, sample: Option<usize>) -> Result<(), VerifyError> {
        let mut chosen = sample.map(Sample::new);
        for watch in self.config.watches.clone() {
            self.watch(Arc::new(watch), &mut chosen).await?;
        }
        let Some(chosen) = chosen else { return Ok(()) };
        let mut chosen = chosen.into_chosen();
        self.summary.not_sampled -= chosen.len() as u64;
        chosen.sort_by(|(_, one), (_, other)| one.local_path.cmp(&other.local_path));
        for (watch, candidate) in chosen {
            self.compare(&watch, vec![candidate]).await?;
        }
        Ok(())
    }

    async fn watch(
        &mut self,
        watch: Arc<Watch>,
        chosen: &mut Option<Sample<(Arc<Watch>, Candidate)>>,
    ) -> Result<(), VerifyError> {
        self.deleted(&watch).await?;
        let state = self.reader.watch_state(&watch.local_prefix()).await?;
        let policy = policy(self.config, state.as_ref());
        let mut scan = Scan::start(watch.clone(), self.reader.clone(), policy);
        while let Some(files) = scan.next().await? {
            let candidates = self.candidates(&watch, files).await?;
            match chosen {
                None => self.compare(&watch, candidates).await?,
                Some(sample) => {
                    self.summary.not_sampled += candidates.len() as u64;
                    candidates
                        .into_iter()
                        .for_each(|candidate| sample.add((watch.clone(), candidate), random()));
                }
            }
        }
        let report = match scan.finish().await {
            Ok(report) => report,
            Err(ScanError::Database(err)) => return Err(err.into()),
            Err(err @ (ScanError::Root(_) | ScanError::Interrupted { .. })) => {
                ScanReport { error: Some(error_chain(&err)), ..ScanReport::default() }
            }
        };
        self.summary.excluded += report.counts.excluded.files;
        if let Some(error) = report.error {
            self.finding(&watch.root.to_string_lossy(), &Finding::NotScanned(error));
        }
        // Problems beyond the limit of the report have no name here.
        let unnamed = report.counts.problems.files.saturating_sub(report.problems.len() as u64);
        self.summary.findings += unnamed;
        for problem in report.problems {
            let state = Finding::NotProtected(format!("problem: {}", problem.problem));
            self.finding(&problem.local_path, &state);
        }
        Ok(())
    }

    /// Returns the protected files, and reports the others. Problems are in the report of the scan.
    async fn candidates(
        &mut self,
        watch: &Watch,
        files: Vec<ScannedFile>,
    ) -> Result<Vec<Candidate>, VerifyError> {
        let names: Vec<_> = files.iter().map(|file| watch.local_path(&file.path)).collect();
        let known = self.reader.known(&names).await?;
        let mut candidates = Vec::new();
        for ((file, local_path), known) in files.into_iter().zip(names).zip(known) {
            let state = match &file.state {
                State::Protected => match candidate(&file, &local_path, known) {
                    Some(candidate) => {
                        candidates.push(candidate);
                        continue;
                    }
                    None => "pending: its row has no SHA-256".to_owned(),
                },
                State::Pending(reason) => format!("pending: {reason}"),
                State::Baseline { .. } => {
                    "baseline: it existed before the agent and is not uploaded".to_owned()
                }
                State::Problem(_) => continue,
            };
            self.finding(&local_path, &Finding::NotProtected(state));
        }
        Ok(candidates)
    }

    async fn compare(
        &mut self,
        watch: &Arc<Watch>,
        candidates: Vec<Candidate>,
    ) -> Result<(), VerifyError> {
        for candidates in candidates.chunks(EXISTS_FILES_MAX) {
            let query = |candidate: &Candidate| QueriedFile {
                path: candidate.remote_path.clone(),
                size: candidate.identity.size,
                sha256: candidate.sha256,
            };
            let query = ExistsQuery { files: candidates.iter().map(query).collect() };
            let (verdicts, hashed) = tokio::join!(
                self.gateway.exists_many(&query),
                hash_all(watch.clone(), candidates.to_vec(), self.hashed.clone())
            );
            let verdicts = verdicts?.files;
            if verdicts.len() != candidates.len() {
                let (expected, found) = (candidates.len(), verdicts.len());
                return Err(VerifyError::Answers { expected, found });
            }
            let hashed = hashed?;
            for ((candidate, disk), verdict) in candidates.iter().zip(hashed).zip(verdicts) {
                let verdict = match verdict.path == candidate.remote_path {
                    true => verdict.verdict,
                    false => Verdict::Unknown,
                };
                match judge(candidate.sha256, &disk, verdict) {
                    None => self.summary.verified += 1,
                    Some(finding) => self.finding(&candidate.local_path, &finding),
                }
            }
        }
        Ok(())
    }

    /// Asks the gateway for all files that a cleanup deleted: it has the only copy.
    async fn deleted(&mut self, watch: &Watch) -> Result<(), VerifyError> {
        let (prefix, mut after) = (watch.local_prefix(), String::new());
        loop {
            let page = self.reader.deleted_page(&prefix, &after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.local_path);
            let query = |row: &DeletedRow| QueriedFile {
                path: row.remote_path.clone(),
                size: row.size,
                sha256: row.sha256,
            };
            let query = ExistsQuery { files: page.iter().map(query).collect() };
            let verdicts = self.gateway.exists_many(&query).await?.files;
            if verdicts.len() != page.len() {
                let (expected, found) = (page.len(), verdicts.len());
                return Err(VerifyError::Answers { expected, found });
            }
            for (row, verdict) in page.iter().zip(verdicts) {
                match (verdict.path == row.remote_path, verdict.verdict) {
                    (true, Verdict::Unchanged) => self.summary.locally_deleted += 1,
                    (true, verdict) => {
                        self.finding(&row.local_path, &Finding::DeletedAndLost(verdict));
                    }
                    (false, _) => {
                        let finding = Finding::NotCompared(Verdict::Unknown);
                        self.finding(&row.local_path, &finding);
                    }
                }
            }
        }
    }

    fn finding(&mut self, local_path: &str, finding: &Finding) {
        self.summary.findings += 1;
        (self.findings)(local_path, finding);
    }
}

fn candidate(file: &ScannedFile, local_path: &str, known: KnownFile) -> Option<Candidate> {
    let row = known.row?;
    Some(Candidate {
        path: file.path.clone(),
        local_path: local_path.to_owned(),
        remote_path: row.remote_path,
        identity: file.identity,
        sha256: row.version?.sha256,
    })
}

async fn hash_all(
    watch: Arc<Watch>,
    candidates: Vec<Candidate>,
    progress: Hashed,
) -> Result<Vec<DiskContent>, VerifyError> {
    let hashed = tokio::task::spawn_blocking(move || {
        let root = match Root::open(&watch.root) {
            Ok(root) => root,
            Err(err) => {
                let error = format!("open {:?}: {err}", watch.root);
                return vec![DiskContent::Unreadable(error); candidates.len()];
            }
        };
        let mut buffer = vec![0; HASH_BYTES];
        let content = |candidate: &Candidate| {
            let content = content(&root, candidate, &mut buffer);
            progress(candidate.identity.size);
            content
        };
        candidates.iter().map(content).collect()
    });
    hashed.await.map_err(|_| VerifyError::Panicked)
}

fn content(root: &Root, candidate: &Candidate, buffer: &mut [u8]) -> DiskContent {
    match hash(root, candidate, buffer) {
        Ok(Some(sha256)) => DiskContent::Hashed(sha256),
        Ok(None) => DiskContent::Changed,
        Err(err) => DiskContent::Unreadable(err.to_string()),
    }
}

/// Returns `None` if the file is not the one that was scanned.
fn hash(root: &Root, candidate: &Candidate, buffer: &mut [u8]) -> io::Result<Option<Sha256Digest>> {
    let (mut file, stat) = root.file(&candidate.path)?;
    if Identity::of(&stat) != candidate.identity {
        return Ok(None);
    }
    let mut hasher = Sha256::default();
    loop {
        match file.read(buffer)? {
            0 => break,
            len => hasher.update(&buffer[..len]),
        }
    }
    let after = Identity::of(&fstat(&file)?);
    Ok((after == candidate.identity).then(|| hasher.finish()))
}

/// Returns a number in 0..1; without randomness, the first files are the sample.
fn random() -> f64 {
    random_or(0.999)
}

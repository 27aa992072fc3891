//! Asks the gateway whether it has files of a watch that the database does not know.
//!
//! One listing tells, if the key may list. A key of a web host often may not: then the gateway is
//! asked for each file on disk, until it has one of them. Only an answer is evidence: an
//! unreachable gateway leaves the question open.

use std::sync::Arc;

use s3up_core::wire::{ExistsQuery, QueriedFile, Verdict};
use s3up_core::{Code, RemotePath, Sha256Digest, error_chain};

use crate::database::{DatabaseError, Reader};
use crate::files::watch::Watch;
use crate::gateway::client::GatewayClient;
use crate::gateway::error::GatewayError;
use crate::scanning::scan::{Scan, ScanError, ScannedFile};
use crate::states::decide::{FilePolicy, PendingReason, State};
use crate::states::watch_history::StoredFiles;

/// Maximum number of tries while the gateway does not answer the question. After that it counts as
/// one that cannot be asked, because new files wait meanwhile.
pub(super) const TRIES_MAX: u32 = 5;
/// Maximum number of pages of a listing: ten million files. A database with a row for each of
/// them was hardly lost, and a wrong guess costs one more request for each file.
const PAGES_MAX: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    #[error("ask the gateway whether this client is new")]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

#[derive(Debug)]
pub(super) struct WatchHistoryQuery<'q> {
    pub(super) watch: &'q Arc<Watch>,
    pub(super) policy: FilePolicy,
    pub(super) reader: &'q Reader,
    pub(super) gateway: &'q GatewayClient,
    /// Number of tries before this one.
    pub(super) tries: u32,
}

impl WatchHistoryQuery<'_> {
    pub(super) async fn ask(self) -> Result<StoredFiles, QueryError> {
        let listed = match self.list().await {
            Err(QueryError::Gateway(err)) if !is_inconclusive(&err) => err,
            listed => return listed,
        };
        match self.ask_for_each().await {
            Err(QueryError::Gateway(err)) if is_final(&err) || self.is_last_try(&err) => {
                let (listed, asked) = (error_chain(&listed), error_chain(&err));
                Ok(StoredFiles::CannotAsk(format!("list: {listed}; exists: {asked}")))
            }
            asked => asked,
        }
    }

    fn is_last_try(&self, err: &GatewayError) -> bool {
        self.tries + 1 >= TRIES_MAX && !is_inconclusive(err)
    }

    async fn list(&self) -> Result<StoredFiles, QueryError> {
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let page = self.gateway.list(self.watch.prefix.as_str(), cursor.as_deref()).await?;
            let names: Vec<_> = page
                .files
                .iter()
                .filter_map(|file| self.watch.local_path_of_remote(&file.path))
                .collect();
            if let Some(unknown) = self.reader.first_unknown(&names).await? {
                return Ok(StoredFiles::Unknown(unknown));
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(StoredFiles::NoneUnknown);
            }
        }
        Ok(StoredFiles::CannotAsk(format!("list: more than {PAGES_MAX} pages")))
    }

    /// Asks for each file on disk that could be baseline.
    async fn ask_for_each(&self) -> Result<StoredFiles, QueryError> {
        let mut scan = Scan::start(self.watch.clone(), self.reader.clone(), self.policy.clone());
        while let Some(files) = scan.next().await? {
            let could_be_baseline =
                |file: &ScannedFile| file.state == State::Pending(PendingReason::HistoryUnknown);
            let files: Vec<_> = files.into_iter().filter(could_be_baseline).collect();
            if let Some(stored) = self.first_stored(&files).await? {
                return Ok(StoredFiles::Unknown(stored));
            }
        }
        // An error of the root must not look like an empty watch.
        let report = scan.finish().await?;
        match report.error {
            Some(_) => Err(ScanError::interrupted(self.watch).into()),
            None => Ok(StoredFiles::NoneUnknown),
        }
    }

    async fn first_stored(&self, files: &[ScannedFile]) -> Result<Option<String>, QueryError> {
        let queried: Vec<_> = files.iter().filter_map(|file| self.queried(file)).collect();
        if queried.is_empty() {
            return Ok(None);
        }
        let verdicts = self.gateway.exists_many(&ExistsQuery { files: queried }).await?;
        for file in verdicts.files {
            match file.verdict {
                Verdict::Missing | Verdict::BadPath => {}
                Verdict::Unchanged | Verdict::Differs => return Ok(Some(file.path)),
                // A refusal does not say whether the file is there.
                Verdict::TooLarge | Verdict::Forbidden | Verdict::Quota | Verdict::Unknown => {
                    let Ok(path) = RemotePath::parse(&file.path) else { continue };
                    if self.gateway.exists(&path).await?.exists {
                        return Ok(Some(file.path));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Asks with the digest of an empty file, because only the path matters here.
    fn queried(&self, file: &ScannedFile) -> Option<QueriedFile> {
        let path = self.watch.remote_path(&file.path).ok()?;
        let (size, sha256) = (file.identity.size, Sha256Digest::of(b""));
        Some(QueriedFile { path: path.as_str().to_owned(), size, sha256 })
    }
}

/// Returns true if the gateway was not reached, or does not know the key: the question is still open.
fn is_inconclusive(err: &GatewayError) -> bool {
    match err {
        GatewayError::Unreachable(_)
        | GatewayError::Handshake(_)
        | GatewayError::Stalled(_)
        | GatewayError::Redirected { .. } => true,
        GatewayError::Refused(refusal) | GatewayError::NotTheGateway(refusal) => {
            matches!(refusal.status, 401 | 429)
        }
        GatewayError::InvalidAnswer { .. } => false,
    }
}

/// Returns true if the gateway would answer the same way again.
fn is_final(err: &GatewayError) -> bool {
    match err {
        GatewayError::Refused(refusal) => {
            matches!(refusal.code, Code::Forbidden | Code::MethodNotAllowed | Code::StoreRefused)
        }
        GatewayError::Unreachable(_)
        | GatewayError::Handshake(_)
        | GatewayError::Stalled(_)
        | GatewayError::Redirected { .. }
        | GatewayError::NotTheGateway(_)
        | GatewayError::InvalidAnswer { .. } => false,
    }
}

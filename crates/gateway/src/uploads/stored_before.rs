//! Finds the file that is stored under the path of an upload, with as few requests as possible.
//!
//! The catalogue may save a request. It never decides that content is stored already, nor that a file
//! may be overwritten: S3 says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use s3up_core::{ClientName, Sha256Digest};
use s3up_store::{Length, ObjectFacts};

use super::existing::{Decision, decide};
use super::stage::IncomingFile;
use super::{RETRY_FOR, Uploads};
use crate::clients::{Client, OverwritePolicy};
use crate::database::record::{CatalogueEntry, Record};
use crate::refusal::Refusal;

/// Maximum number of files that are listed to find out whether the catalogue has them all: one page.
const LISTED_MAX: usize = 1000;
/// Maximum time for that. Without an answer the upload checks its own path.
const COMPLETENESS_WAIT_MAX: Duration = Duration::from_secs(2);
/// Maximum number of checks that find files which the catalogue lacks. One may find files of uploads that end at
/// this moment: they are in S3 already and not yet in the catalogue.
const COMPLETENESS_CHECKS_MAX: u32 = 5;
/// Pause before the next check, in which such uploads end.
const COMPLETENESS_PAUSE: Duration = Duration::from_secs(1);

/// The file that is stored under the path of an upload.
pub(super) enum StoredBefore {
    /// Whatever is there may be replaced.
    NotAsked,
    Nothing,
    Found {
        found: Box<ObjectFacts>,
        has_same_content: bool,
    },
}

impl StoredBefore {
    /// Returns the decision, with the stored file and its SHA-256 if it has the same content.
    pub(super) fn decide(
        &self,
        file: &IncomingFile,
    ) -> Result<(Decision, Option<(ObjectFacts, Sha256Digest)>), Refusal> {
        let (found, has_same_content) = match self {
            StoredBefore::NotAsked | StoredBefore::Nothing => (None, false),
            StoredBefore::Found { found, has_same_content } => (Some(&**found), *has_same_content),
        };
        let overwrite = file.client.policy.overwrite;
        let decision = decide(found, has_same_content, overwrite, &file.metadata)?;
        let same = found.filter(|_| has_same_content).cloned().zip(file.metadata.sha256);
        Ok((decision, same))
    }
}

impl Uploads {
    /// Returns the file that is stored under the path. S3 is asked once at most: not if nothing
    /// depends on the answer.
    pub(super) async fn find(&self, file: &IncomingFile) -> Result<StoredBefore, Refusal> {
        match (file.client.policy.overwrite, file.metadata.sha256) {
            (OverwritePolicy::Versioned, None) => {
                self.start_completeness_check(file);
                return Ok(StoredBefore::NotAsked);
            }
            // If the catalogue is wrong, the same content is stored once more, as another version.
            (OverwritePolicy::Versioned, Some(_)) if self.is_new(file).await => {
                return Ok(StoredBefore::Nothing);
            }
            // That a file is never overwritten must not depend on the catalogue.
            (OverwritePolicy::Versioned | OverwritePolicy::Never, _) => {}
        }
        let Some(found) = self.store().head(&file.key, None, RETRY_FOR).await? else {
            return Ok(StoredBefore::Nothing);
        };
        let has_same_content = match file.metadata.sha256 {
            None => false,
            Some(_) if differs_in_size(file.admission.length, found.size) => false,
            Some(sha256) if found.sha256.is_some() => found.sha256 == Some(sha256),
            // The object does not carry its SHA-256. The catalogue may know it for this version.
            Some(sha256) => {
                let entry = self.catalogue_entry(file).await;
                entry.is_some_and(|entry| entry.describes(&found) && entry.sha256 == Some(sha256))
            }
        };
        Ok(StoredBefore::Found { found: Box::new(found), has_same_content })
    }

    /// Returns true if the catalogue has every file of the client and none under this path.
    async fn is_new(&self, file: &IncomingFile) -> bool {
        let client = &file.client.policy.name;
        let Some(path) = self.recorder.path(client, &file.key) else { return false };
        let is_complete = match file.client.resources.is_catalogue_complete.get() {
            Some(is_complete) => *is_complete,
            None => self.check_completeness(&file.client).await,
        };
        is_complete && self.database.is_new(client, &path).await
    }

    /// Starts the check beside an upload that needs no answer. Later ones do, and by then S3 may list
    /// more files than one page has.
    fn start_completeness_check(&self, file: &IncomingFile) {
        let resources = &file.client.resources;
        let is_checked = resources.is_catalogue_complete.get().is_some();
        if is_checked || resources.completeness_check.available_permits() == 0 {
            return;
        }
        let (uploads, client) = (self.clone(), Arc::clone(&file.client));
        tokio::spawn(async move { uploads.check_completeness(&client).await });
    }

    /// Returns true if the catalogue has every file of a client, and remembers the answer; "no" only if several
    /// checks find it. While another upload asks, in the pause after it, and without an answer, it returns
    /// false: a later upload tries again.
    async fn check_completeness(&self, client: &Client) -> bool {
        let resources = &client.resources;
        let check = Arc::clone(&resources.completeness_check).try_acquire_owned();
        let Ok(permit) = check else { return false };
        let answer = self.is_complete(&client.policy.name);
        match tokio::time::timeout(COMPLETENESS_WAIT_MAX, answer).await {
            Ok(Some(false))
                if resources.completeness_failures.fetch_add(1, Ordering::Relaxed) + 1
                    < COMPLETENESS_CHECKS_MAX =>
            {
                tokio::spawn(async move {
                    tokio::time::sleep(COMPLETENESS_PAUSE).await;
                    drop(permit);
                });
                false
            }
            Ok(Some(is_complete)) => *resources.is_catalogue_complete.get_or_init(|| is_complete),
            Ok(None) | Err(_) => false,
        }
    }

    /// Finds out whether the catalogue has every file of a client: it says so itself, or it has all
    /// of the few that S3 lists. What is stored from now on is recorded. `None`: no answer.
    async fn is_complete(&self, client: &ClientName) -> Option<bool> {
        if self.database.is_complete(client).await.ok()? {
            return Some(true);
        }
        let prefix = self.recorder.client_prefix(client);
        let page = self.store().list_after(&prefix, None, LISTED_MAX, Duration::ZERO).await.ok()?;
        // An upload is in flight until it is recorded, so each object is of one of these or was recorded before.
        let in_flight = self.in_flight.keys();
        let objects = page.objects.iter().filter(|it| !in_flight.contains(&it.key));
        let paths: Option<Vec<_>> =
            objects.map(|it| self.recorder.path_of_text(client, &it.key)).collect();
        let known = match paths {
            Some(paths) if page.is_last => self.database.knows_all(client, &paths).await,
            Some(_) | None => false,
        };
        if known {
            let at = self.database.now();
            self.database.record(Record::Complete { client: client.clone(), at });
        }
        Some(known)
    }

    async fn catalogue_entry(&self, file: &IncomingFile) -> Option<CatalogueEntry> {
        let client = &file.client.policy.name;
        let path = self.recorder.path(client, &file.key)?;
        self.database.entries(client, std::slice::from_ref(&path)).await.remove(&path)
    }

    /// Returns the size of the version that an upload replaces, as the quota counts it.
    pub(super) async fn replaced_bytes(&self, file: &IncomingFile, stored: &StoredBefore) -> u64 {
        match stored {
            StoredBefore::Found { found, .. } => found.size,
            StoredBefore::Nothing => 0,
            StoredBefore::NotAsked => {
                self.catalogue_entry(file).await.map_or(0, |entry| entry.size)
            }
        }
    }
}

fn differs_in_size(announced: Length, found: u64) -> bool {
    matches!(announced, Length::Exactly(bytes) if bytes != found)
}

//! Changes mtime and mode of a stored file whose content stays: nothing is uploaded.
//!
//! The bucket is the truth about files, so the metadata changes there: the object is copied onto itself,
//! which makes a new version. A file that cannot be copied without a risk to its content keeps the metadata
//! of its upload, and the log says why.

use std::collections::BTreeMap;
use std::fmt;

use s3up_core::storage_class::is_archive_class;
use s3up_core::wire::UploadResponse;
use s3up_core::{Code, Key, Sha256Digest};
use s3up_store::{COPY_BYTES_MAX, ObjectFacts, StoreErrorKind, Versioning, is_etag_reported};

use super::in_flight::KeyLock;
use super::metadata::{FileMetadata, SHA256_METADATA};
use super::stage::{IncomingFile, log_upload, unchanged_response};
use super::stored_before::StoredBefore;
use super::{RETRY_FOR, Uploads};
use crate::clients::OverwritePolicy;
use crate::clock::CLOCK;
use crate::refusal::Refusal;

/// The change of the metadata of a stored file.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// It has this metadata already.
    Same,
    Replace(BTreeMap<String, String>),
    Keep(Obstacle),
}

/// Reason for keeping the metadata of the upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    NeverOverwritten,
    /// A copy whose request timed out may end after a newer upload, whose content would be gone.
    NoVersions,
    TooLarge,
    Archived,
    /// The copy could be one of another version than the one that was seen.
    NoEtag,
    NotSupported,
}

impl Uploads {
    /// Gives a stored file the announced mtime and mode, if its content has the announced SHA-256.
    /// A client that disconnects does not interrupt it.
    pub(crate) async fn update_metadata(
        &self,
        file: IncomingFile,
        sha256: Sha256Digest,
    ) -> Result<UploadResponse, Refusal> {
        let uploads = self.clone();
        let task = self.commits.spawn(async move { uploads.update(file, sha256).await });
        task.await.unwrap_or_else(|err| Err(Refusal::new(Code::Internal, err)))
    }

    async fn update(
        &self,
        mut file: IncomingFile,
        sha256: Sha256Digest,
    ) -> Result<UploadResponse, Refusal> {
        let began = CLOCK.start();
        let mut record = self.recorder.begin(&file.client.policy.name, &file.key, began);
        let updated = self.try_update(&mut file, sha256).await;
        let (now, is_changed) = updated.inspect_err(|refusal| record.refused(refusal))?;
        record.metadata_updated(&now, sha256);
        let response = unchanged_response(&file.key, &now, sha256);
        let response = UploadResponse { unchanged: !is_changed, ..response };
        log_upload(&file.client, &response, began);
        Ok(response)
    }

    /// Returns the facts of the file from now on, and true if they changed.
    async fn try_update(
        &self,
        file: &mut IncomingFile,
        sha256: Sha256Digest,
    ) -> Result<(ObjectFacts, bool), Refusal> {
        let lock = self.in_flight.lock(&file.key).await?;
        let turn = self.take_turn(&file.client.policy.name, &file.key).await;
        let _slot = match file.slot.take() {
            Some(slot) => slot,
            None => lock.run(file.client.upload_slot()).await??,
        };
        // Before the file is read, so that no other gateway replaces what was seen.
        turn.hold().await?;
        turn.run(self.look_and_update(file, sha256, &lock)).await
    }

    async fn look_and_update(
        &self,
        file: &IncomingFile,
        sha256: Sha256Digest,
        lock: &KeyLock,
    ) -> Result<(ObjectFacts, bool), Refusal> {
        let store = self.store();
        let found = match self.find(file).await? {
            StoredBefore::Found { found, has_same_content: true } => *found,
            StoredBefore::Found { has_same_content: false, .. } => {
                let what = format!("expected a file with SHA-256 {sha256}, found another one");
                return Err(Refusal::new(Code::DigestMismatch, what));
            }
            StoredBefore::Nothing | StoredBefore::NotAsked => {
                return Err(Refusal::new(Code::NotFound, "no file is stored under this path"));
            }
        };
        let versioning = store.capabilities().versioning;
        let overwrite = file.client.policy.overwrite;
        match plan(&found, &file.metadata, sha256, overwrite, versioning) {
            Plan::Same => Ok((found, false)),
            Plan::Keep(obstacle) => {
                log_kept(&file.key, obstacle);
                Ok((found, false))
            }
            Plan::Replace(metadata) => {
                lock.check()?;
                self.check_key(&file.client)?;
                match store.replace_metadata(&file.key, &found, &metadata, RETRY_FOR).await {
                    Ok(now) => Ok((now, true)),
                    Err(err) => {
                        let Some(obstacle) = obstacle(err.kind) else { return Err(err.into()) };
                        log_kept(&file.key, obstacle);
                        Ok((found, false))
                    }
                }
            }
        }
    }
}

fn plan(
    found: &ObjectFacts,
    announced: &FileMetadata,
    sha256: Sha256Digest,
    overwrite: OverwritePolicy,
    versioning: Option<Versioning>,
) -> Plan {
    let mut metadata = found.metadata.clone();
    metadata.extend(announced.user_metadata());
    if metadata == found.metadata {
        return Plan::Same;
    }
    if overwrite == OverwritePolicy::Never {
        return Plan::Keep(Obstacle::NeverOverwritten);
    }
    if versioning != Some(Versioning::Enabled) {
        return Plan::Keep(Obstacle::NoVersions);
    }
    if found.size > COPY_BYTES_MAX {
        return Plan::Keep(Obstacle::TooLarge);
    }
    if is_archive_class(found.storage_class.as_deref()) {
        return Plan::Keep(Obstacle::Archived);
    }
    if !is_etag_reported(&found.etag) {
        return Plan::Keep(Obstacle::NoEtag);
    }
    metadata.insert(SHA256_METADATA.to_owned(), sha256.to_string());
    Plan::Replace(metadata)
}

/// Returns the obstacle that a failed copy shows; `None` if the copy may succeed later.
fn obstacle(kind: StoreErrorKind) -> Option<Obstacle> {
    match kind {
        StoreErrorKind::Archived => Some(Obstacle::Archived),
        StoreErrorKind::NotImplemented => Some(Obstacle::NotSupported),
        StoreErrorKind::NotFound
        | StoreErrorKind::NoUpload
        | StoreErrorKind::NoBucket
        | StoreErrorKind::NoLifecycleRules
        | StoreErrorKind::BadCredentials
        | StoreErrorKind::ExpiredCredentials
        | StoreErrorKind::NoCredentials
        | StoreErrorKind::Denied
        | StoreErrorKind::WrongRegion
        | StoreErrorKind::ClockSkew
        | StoreErrorKind::Precondition
        | StoreErrorKind::TooLong
        | StoreErrorKind::Quota
        | StoreErrorKind::Transient
        | StoreErrorKind::Unreadable
        | StoreErrorKind::Corrupt
        | StoreErrorKind::Permanent => None,
    }
}

fn log_kept(key: &Key, obstacle: Obstacle) {
    tracing::info!(
        event = "metadata_not_updated",
        %key,
        reason = %obstacle,
        "mtime and mode stay those of the upload"
    );
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Obstacle::NeverOverwritten => "this client may not overwrite files",
            Obstacle::NoVersions => "the bucket is not known to keep versions",
            Obstacle::TooLarge => "the object is longer than 64 MiB",
            Obstacle::Archived => "the object is archived",
            Obstacle::NoEtag => "the server tells no ETag of the object",
            Obstacle::NotSupported => "the server does not copy objects",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn metadata_is_replaced_where_that_is_possible_and_changes_something() {
        let sha256 = Sha256Digest::of(b"content");
        let announced = |mtime_ns, mode| FileMetadata { mtime_ns, mode, ..FileMetadata::default() };
        let stored = || ObjectFacts {
            size: 7,
            etag: "\"e\"".to_owned(),
            version_id: None,
            content_type: None,
            modified_at: SystemTime::UNIX_EPOCH,
            metadata: user_metadata(&[("mtime-ns", "5"), ("mode", "0644"), ("mine", "x")]),
            sha256: None,
            crc64nvme: None,
            storage_class: None,
            sse: None,
        };
        let large = ObjectFacts { size: COPY_BYTES_MAX + 1, ..stored() };
        let untold = ObjectFacts { etag: String::new(), ..stored() };
        let archived = ObjectFacts { storage_class: Some("GLACIER".to_owned()), ..stored() };
        let hex = sha256.to_string();
        let replaced = Plan::Replace(user_metadata(&[
            ("mtime-ns", "5"),
            ("mode", "0600"),
            ("mine", "x"),
            ("sha256", &hex),
        ]));
        let (versioned, never) = (OverwritePolicy::Versioned, OverwritePolicy::Never);
        let (on, off) = (Some(Versioning::Enabled), Some(Versioning::Off));
        let unknown = Some(Versioning::Unknown);
        #[rustfmt::skip]
        let cases = [
            (stored(),         announced(Some(5), Some(0o644)), versioned, on,      Plan::Same),
            (stored(),         announced(None, None),           versioned, on,      Plan::Same),
            (stored(),         announced(Some(5), Some(0o644)), never,     off,     Plan::Same),
            (stored(),         announced(None, Some(0o600)),    versioned, on,      replaced),
            (stored(),         announced(Some(6), None),        never,     on,      Plan::Keep(Obstacle::NeverOverwritten)),
            (stored(),         announced(Some(6), None),        versioned, off,     Plan::Keep(Obstacle::NoVersions)),
            (stored(),         announced(Some(6), None),        versioned, unknown, Plan::Keep(Obstacle::NoVersions)),
            (stored(),         announced(Some(6), None),        versioned, None,    Plan::Keep(Obstacle::NoVersions)),
            (large,            announced(Some(6), None),        versioned, on,      Plan::Keep(Obstacle::TooLarge)),
            (archived.clone(), announced(Some(6), None),        versioned, on,      Plan::Keep(Obstacle::Archived)),
            (archived,         announced(Some(5), None),        versioned, on,      Plan::Same),
            (untold,           announced(Some(6), None),        versioned, on,      Plan::Keep(Obstacle::NoEtag)),
        ];
        for (found, announced, overwrite, versioning, want) in cases {
            let planned = plan(&found, &announced, sha256, overwrite, versioning);
            assert_eq!(planned, want, "{announced:?} {versioning:?}");
        }
    }

    #[test]
    fn a_copy_that_can_never_succeed_keeps_the_metadata_and_another_failure_is_told() {
        #[rustfmt::skip]
        let cases = [
            (StoreErrorKind::NotImplemented, Some(Obstacle::NotSupported)),
            (StoreErrorKind::Archived,       Some(Obstacle::Archived)),
            (StoreErrorKind::Transient,      None),
            (StoreErrorKind::Denied,         None),
            (StoreErrorKind::Precondition,   None),
        ];
        for (kind, want) in cases {
            assert_eq!(obstacle(kind), want, "{kind:?}");
        }
    }

    fn user_metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

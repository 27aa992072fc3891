//! Decides whether what a snapshot record calls unfinished may be removed from the
//! bucket.
//!
//! A record is only a note on a filesystem, and that filesystem can go back in time: it
//! was rolled back, or restored, or the snapshot directory lies in what is backed up. So
//! the bucket is asked first ([`observe`]). A backup whose manifest is whole and leads to a
//! full is a backup, whatever a record says, and is never removed. What could not be
//! read is not removed either. The decision ([`may_be_removed`]) is pure.

use s3up_core::{Key, error_chain};
use s3up_repository::audit::{self, AuditError, ExpectedSettings};
use s3up_repository::chain::ChainError;
use s3up_repository::documents::{Bucket, ReadChainError};
use s3up_repository::layout::Layout;
use s3up_repository::manifest::Pointer;
use s3up_repository::names::SnapshotName;
use s3up_store::StoreError;

/// The state in the bucket of a backup that a record calls unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InBucket {
    /// There is no manifest, so it never was a backup.
    NoManifest,
    /// Its manifest is whole and leads to a full.
    Backup { is_pointed_to: bool },
    /// A document cannot be read, so it is unknown what it is.
    Unreadable { reason: String },
    /// A manifest is there, but one of its objects or parents is missing or damaged.
    Damaged { reason: String },
}

/// The process that wrote the objects, as far as that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenBy {
    /// This process itself, so that no note is needed.
    ThisProcess,
    /// A run that only a record or a journal names.
    AsRecorded,
}

/// The time of the backup, beside what was published when this run was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It is newer than every backup that was published, so none was ever based on it.
    NewerThanPublished,
    /// It may have been published earlier.
    Older,
}

/// The decision, with the reason for keeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    Remove,
    /// It is a backup; its record is wrong.
    IsBackup,
    Keep {
        reason: String,
    },
}

pub fn may_be_removed(found: &InBucket, written_by: WrittenBy, age: Age) -> Removal {
    match (found, written_by, age) {
        (InBucket::NoManifest, _, _) => Removal::Remove,
        // This process wrote it and could not publish it.
        (InBucket::Backup { is_pointed_to: false }, WrittenBy::ThisProcess, _) => Removal::Remove,
        (InBucket::Backup { .. }, _, _) => Removal::IsBackup,
        (InBucket::Unreadable { reason }, _, _) => Removal::Keep { reason: reason.clone() },
        (InBucket::Damaged { .. }, WrittenBy::ThisProcess, _)
        | (InBucket::Damaged { .. }, WrittenBy::AsRecorded, Age::NewerThanPublished) => {
            Removal::Remove
        }
        (InBucket::Damaged { reason }, WrittenBy::AsRecorded, Age::Older) => {
            Removal::Keep { reason: format!("it may have been published: {reason}") }
        }
    }
}

/// Asks the bucket what the objects of a backup are. It changes nothing.
pub async fn observe(
    bucket: &Bucket,
    layout: &Layout,
    backup: &SnapshotName,
) -> Result<InBucket, StoreError> {
    let key = layout.manifest(backup);
    if bucket.store.head(&key, None, bucket.retry_for).await?.is_none() {
        return Ok(InBucket::NoManifest);
    }
    let pointer = bucket.pointer(&layout.pointer(&backup.subvolume)).await?;
    let is_pointed_to = match pointer.map(|read| read.pointer) {
        None => false,
        Some(pointer) => match pointer.as_ref().map(Pointer::key) {
            Ok(Ok(named)) => named == key,
            Ok(Err(err)) => return Ok(InBucket::Unreadable { reason: error_chain(&err) }),
            Err(err) => return Ok(InBucket::Unreadable { reason: error_chain(err) }),
        },
    };
    if let Some(found) = chain_problem(bucket, layout, backup, &key).await? {
        return Ok(found);
    }
    let checked = match audit::check(bucket, key, &ExpectedSettings::Nothing).await {
        Ok(checked) => checked,
        Err(AuditError::Store(err)) => return Err(err),
    };
    Ok(match checked.damage() {
        Some(finding) => InBucket::Damaged { reason: finding.to_string() },
        None => InBucket::Backup { is_pointed_to },
    })
}

async fn chain_problem(
    bucket: &Bucket,
    layout: &Layout,
    backup: &SnapshotName,
    manifest: &Key,
) -> Result<Option<InBucket>, StoreError> {
    let chain = match bucket.chain(manifest.clone()).await {
        Ok(chain) => chain,
        Err(ReadChainError::Store(err)) if err.kind == s3up_store::StoreErrorKind::TooLong => {
            return Ok(Some(InBucket::Unreadable { reason: error_chain(&err) }));
        }
        Err(ReadChainError::Store(err)) => return Err(err),
        Err(ReadChainError::Chain(err @ ChainError::Document { .. })) => {
            return Ok(Some(InBucket::Unreadable { reason: error_chain(&err) }));
        }
        Err(ReadChainError::Chain(err)) => {
            return Ok(Some(InBucket::Damaged { reason: error_chain(&err) }));
        }
    };
    let missing = bucket.missing(&layout.directory(&backup.subvolume), &chain).await?;
    let damaged = |key: &String| InBucket::Damaged {
        reason: format!("{key} is missing or has the wrong size"),
    };
    Ok(missing.first().map(damaged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_was_a_backup_may_be_removed() {
        use Age::{NewerThanPublished, Older};
        use WrittenBy::{AsRecorded, ThisProcess};
        let text = |text: &str| text.to_owned();
        let backup = |is_pointed_to| InBucket::Backup { is_pointed_to };
        let unreadable = || InBucket::Unreadable { reason: text("no JSON") };
        let damaged = || InBucket::Damaged { reason: text("c0 is missing") };
        let keep = |reason: &str| Removal::Keep { reason: text(reason) };
        let old = || keep("it may have been published: c0 is missing");
        #[rustfmt::skip]
        let cases = [
            // in the bucket          written by   age                 decision
            (InBucket::NoManifest,    AsRecorded,  Older,              Removal::Remove),
            (InBucket::NoManifest,    AsRecorded,  NewerThanPublished, Removal::Remove),
            (InBucket::NoManifest,    ThisProcess, NewerThanPublished, Removal::Remove),
            (backup(false),           AsRecorded,  Older,              Removal::IsBackup),
            (backup(false),           AsRecorded,  NewerThanPublished, Removal::IsBackup),
            (backup(true),            AsRecorded,  NewerThanPublished, Removal::IsBackup),
            (backup(true),            ThisProcess, NewerThanPublished, Removal::IsBackup),
            (backup(false),           ThisProcess, NewerThanPublished, Removal::Remove),
            (unreadable(),            AsRecorded,  Older,              keep("no JSON")),
            (unreadable(),            AsRecorded,  NewerThanPublished, keep("no JSON")),
            (unreadable(),            ThisProcess, NewerThanPublished, keep("no JSON")),
            (damaged(),               AsRecorded,  Older,              old()),
            (damaged(),               AsRecorded,  NewerThanPublished, Removal::Remove),
            (damaged(),               ThisProcess, Older,              Removal::Remove),
        ];
        for (found, written_by, age, want) in cases {
            let got = may_be_removed(&found, written_by, age);
            assert_eq!(got, want, "{found:?} {written_by:?} {age:?}");
        }
    }
}

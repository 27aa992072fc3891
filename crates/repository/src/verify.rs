//! Verifies that everything the bucket should hold for a subvolume exists and is what
//! was sent. Nothing is downloaded or thawed, unless every byte is to be read
//! ([`deep`]).
//!
//! Every backup is verified, also outside the published chain. A problem is a
//! [`AuditFinding`] with its key and stops nothing.

mod deep;
mod index_check;

use s3up_core::progress::ProgressSink;
use s3up_core::{Clock, Key};
use s3up_store::StoreError;

use crate::audit::{self, AuditError, AuditFinding, ExpectedSettings, ObjectProblem};
use crate::catalogue::read::CatalogueError;
use crate::catalogue::{Catalogue, Pointing, Unrestorable};
use crate::documents::Bucket;
use crate::layout::{Layout, index_key};
use crate::names::SubvolumeName;

/// The depth of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Compare what S3 reports about each object.
    Reported,
    /// Also read every byte, fetching this many ranges at a time.
    Read { concurrency: usize },
}

pub struct Verify<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub expected: ExpectedSettings,
    pub depth: Depth,
    pub clock: Clock,
    pub progress: &'a ProgressSink,
}

/// Result for one subvolume.
#[derive(Debug)]
pub struct VerifyReport {
    pub subvolume: SubvolumeName,
    pub backups: usize,
    pub objects: usize,
    /// Length of the chunks.
    pub bytes: u64,
    /// Length of the chunks that were read to their last byte.
    pub bytes_read: u64,
    /// Number of chunks without a checksum to compare.
    pub without_checksum: usize,
    /// Chunks that must be thawed before they can be read.
    pub archived: Vec<Key>,
    /// Incrementals whose stream names the snapshot and its parent by the same UUID, so that
    /// `btrfs receive` by hand builds a wrong tree.
    pub same_uuid: Vec<Key>,
    /// Number of objects that no manifest names.
    pub unknown: usize,
    /// Number of manifests that were not read, so that their objects count as unknown.
    pub unread_manifests: usize,
    pub findings: Vec<AuditFinding>,
    /// Manifests of the backups without findings whose chunks were all examined.
    pub sound: Vec<Key>,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] deep::Unread),
}

impl VerifyReport {
    /// Returns the number of findings about backups. A backup is as good without its index.
    fn problems(&self) -> usize {
        let is_of_index =
            |found: &&AuditFinding| matches!(found.problem, ObjectProblem::Index { .. });
        self.findings.len() - self.findings.iter().filter(is_of_index).count()
    }

    fn found(&mut self, key: &Key, problem: ObjectProblem) {
        self.findings.push(AuditFinding { key: key.as_str().to_owned(), problem });
    }
}

impl Verify<'_> {
    pub async fn run(&self, subvolume: &SubvolumeName) -> Result<VerifyReport, VerifyError> {
        let catalogue = Catalogue::read(self.bucket, self.layout, subvolume).await?;
        let mut verified = VerifyReport {
            subvolume: subvolume.clone(),
            backups: catalogue.backups.len(),
            objects: 0,
            bytes: 0,
            bytes_read: 0,
            without_checksum: 0,
            archived: Vec::new(),
            same_uuid: Vec::new(),
            unknown: catalogue.unknown(self.layout).count(),
            unread_manifests: catalogue.backups.iter().filter(|it| it.manifest.is_err()).count(),
            findings: Vec::new(),
            sound: Vec::new(),
        };
        let pointer = self.layout.pointer(subvolume);
        match &catalogue.pointer {
            Pointing::At(_) => {}
            Pointing::Nothing => {
                verified.found(&pointer, ObjectProblem::Missing);
            }
            Pointing::Broken(Unrestorable::Broken(reason)) => {
                verified.found(&pointer, ObjectProblem::Chain { reason: reason.clone() });
            }
            Pointing::Broken(Unrestorable::Archived(_)) => {
                let listed = catalogue.objects.get(pointer.as_str());
                let class = listed.map_or("unknown class", |object| &*object.class).to_owned();
                verified.found(&pointer, ObjectProblem::ArchivedDocument { class });
            }
        }
        for backup in &catalogue.backups {
            let key = &backup.listed.key;
            let before = (verified.problems(), verified.archived.len());
            if let (Ok(_), Err(Unrestorable::Broken(reason))) = (&backup.manifest, &backup.full) {
                verified.found(key, ObjectProblem::Chain { reason: reason.clone() });
            }
            self.check_backup(key, &mut verified).await?;
            let is_unchanged = before == (verified.problems(), verified.archived.len());
            // While a manifest of its chain is archived, a backup was not examined as a whole.
            if is_unchanged && backup.full.is_ok() {
                verified.sound.push(key.clone());
            }
        }
        Ok(verified)
    }

    async fn check_backup(
        &self,
        manifest: &Key,
        verified: &mut VerifyReport,
    ) -> Result<(), VerifyError> {
        let checked = audit::check(self.bucket, manifest.clone(), &self.expected).await?;
        verified.objects += checked.objects;
        verified.bytes += checked.bytes;
        verified.without_checksum += checked.without_checksum;
        // Damaged objects need not be downloaded.
        let is_sound = !checked.findings.iter().any(|finding| finding.problem.is_damage());
        verified.findings.extend(checked.findings);
        if checked.entry.as_ref().is_some_and(|entry| entry.manifest.has_uuid_of_parent()) {
            verified.same_uuid.push(manifest.clone());
        }
        if let (Depth::Read { concurrency }, Some(entry), true) =
            (self.depth, checked.entry, is_sound)
        {
            let now = self.clock.now();
            let read = deep::read(self.bucket, &entry, concurrency, now, self.progress).await?;
            verified.bytes_read += read.bytes;
            verified.archived.extend(read.archived);
            if let Some(reason) = read.damage {
                verified.found(manifest, ObjectProblem::Content { reason });
            }
            if let Some(reason) = read.index {
                verified.found(&index_key(manifest), ObjectProblem::Index { reason });
            }
        }
        Ok(())
    }
}

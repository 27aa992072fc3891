//! The catalogue: everything that the bucket holds for one subvolume. It contains every
//! manifest, the generations and chains that they form, and the objects that no
//! manifest names.
//!
//! Pure: it is built from a listing and the manifests. An unreadable or archived manifest, a
//! missing parent or a missing chunk is a value with its reason, and hides nothing
//! else. Each manifest's chunks are checked against the listing and then dropped, so
//! [`OBJECTS_MAX`] bounds the memory.
//!
//! Not here: reading the bucket (`read`), printing (`show`), and what may be deleted
//! ([`retention`](crate::retention)).

pub mod builder;
pub mod prefixes;
mod preview;
pub mod read;
pub mod unrestorable;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use s3up_core::Key;
use s3up_core::storage_class::is_archive_class;

use crate::chain::ChainEntry;
use crate::layout::Layout;
use crate::manifest::Manifest;
use crate::names::{BackupKind, SubvolumeName};
use crate::origin::Origin;
use crate::stamp::Stamp;

pub use self::unrestorable::Unrestorable;

/// Each object takes some two hundred bytes of memory. This many chunks of the usual
/// 200 GiB are a hundred petabytes.
pub const OBJECTS_MAX: usize = 500_000;
/// Maximum number of missing objects that a backup names. All are counted.
const ABSENT_NAMED_MAX: usize = 20;

/// Contents of the bucket for one subvolume.
#[derive(Debug)]
pub struct Catalogue {
    pub subvolume: SubvolumeName,
    pub pointer: Pointing,
    /// ETag of the pointer that was read.
    pub pointer_etag: Option<String>,
    /// Ordered by the time in their names.
    pub backups: Vec<Backup>,
    /// All objects below the prefix of the subvolume, by key.
    pub objects: BTreeMap<String, CatalogueObject>,
}

/// Target of the pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointing {
    Nothing,
    /// Index of a backup.
    At(usize),
    /// The pointer cannot be read, or names a manifest that does not exist.
    Broken(Unrestorable),
}

/// One manifest.
#[derive(Debug)]
pub struct Backup {
    pub listed: ManifestKey,
    /// The manifest without its chunks, or why it cannot be read.
    pub manifest: Result<ChainEntry, Unrestorable>,
    /// Length of the stream.
    pub total_bytes: u64,
    pub chunk_count: usize,
    /// Storage classes of the chunks, from the listing.
    pub classes: BTreeSet<Arc<str>>,
    pub absent: MissingObjects,
    pub parent: Option<usize>,
    /// Index of its full, or why the chain does not lead to one.
    pub full: Result<usize, Unrestorable>,
}

/// A key that has the form of a manifest key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestKey {
    pub stamp: Stamp,
    pub kind: BackupKind,
    pub key: Key,
}

/// Objects that a manifest names and that are missing or have another size in the
/// listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingObjects {
    pub count: usize,
    /// The first of them, as messages.
    pub names: Vec<String>,
}

/// An object in the listing.
#[derive(Clone, Debug)]
pub struct CatalogueObject {
    /// Bytes.
    pub size: u64,
    pub modified_at: Timestamp,
    pub class: Arc<str>,
    /// Indexes of the backups whose manifests name it.
    pub named_by: Vec<usize>,
}

/// Relation of a backup to the published chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publication {
    /// Part of the chain that the pointer leads to.
    Current,
    /// Older than the newest published backup, and not in its chain.
    Earlier,
    /// Newer than the published chain: its run was killed or is still running.
    Unpublished,
    /// The pointer leads to no chain.
    Unknown,
    /// The manifest of the backup, or of one that it is based on, is archived.
    Archived(Key),
    /// The backup cannot be restored.
    Broken(String),
}

/// A full and all backups that are based on it.
#[derive(Debug, PartialEq, Eq)]
pub struct Generation {
    pub full: usize,
    /// Includes the full, oldest first.
    pub backups: Vec<usize>,
    /// One chain for each backup that no other is based on.
    pub chains: Vec<Vec<usize>>,
}

#[derive(Debug, thiserror::Error)]
#[error("list {directory}: expected at most {OBJECTS_MAX} objects, found more; use longer chunks")]
pub struct TooManyObjects {
    pub directory: String,
}

impl Catalogue {
    /// Returns the chain from the full to this backup. If there is no full, returns as
    /// much of it as exists.
    pub fn chain(&self, newest: usize) -> Vec<usize> {
        let mut chain = vec![newest];
        let mut at = newest;
        while self.backups[newest].full.as_ref().is_ok_and(|full| *full != at) {
            let Some(parent) = self.backups[at].parent else { break };
            chain.push(parent);
            at = parent;
        }
        chain.reverse();
        chain
    }

    /// Returns why a backup cannot be restored, as far as the listing shows.
    pub fn problem(&self, n: usize) -> Option<Unrestorable> {
        if let Err(reason) = &self.backups[n].full {
            return Some(reason.clone());
        }
        self.chain(n).into_iter().find_map(|at| self.backups[at].lack())
    }

    /// Returns the published chain, or why it is incomplete.
    pub fn current(&self) -> Result<Option<Vec<usize>>, Unrestorable> {
        match &self.pointer {
            Pointing::Nothing => Ok(None),
            Pointing::Broken(reason) => Err(reason.clone()),
            Pointing::At(n) => match self.problem(*n) {
                Some(reason) => Err(reason),
                None => Ok(Some(self.chain(*n))),
            },
        }
    }

    pub fn publications(&self) -> Vec<Publication> {
        let current = self.current();
        let standing = |n: usize| match (self.problem(n), &current) {
            (Some(Unrestorable::Archived(key)), _) => Publication::Archived(key),
            (Some(Unrestorable::Broken(reason)), _) => Publication::Broken(reason),
            (None, Err(_)) => Publication::Unknown,
            (None, Ok(None)) => Publication::Unpublished,
            (None, Ok(Some(chain))) if chain.contains(&n) => Publication::Current,
            (None, Ok(Some(chain))) => match chain.last() {
                Some(newest) if self.made_after(n, *newest) => Publication::Unpublished,
                Some(_) | None => Publication::Earlier,
            },
        };
        (0..self.backups.len()).map(standing).collect()
    }

    /// Returns true if the backup was made elsewhere than the published chain and is no part of
    /// its history. One that does not name its origin is not.
    pub fn is_of_another_origin(&self, n: usize) -> bool {
        let Some(origin) = self.origin(n) else { return false };
        let Pointing::At(newest) = self.pointer else { return false };
        let Ok(newest) = &self.backups[newest].manifest else { return false };
        let Manifest { origin: published, earlier_origins, .. } = &newest.manifest;
        let mut known = published.iter().chain(earlier_origins);
        published.is_some() && !known.any(|known| known.is_same(origin))
    }

    /// Returns the origin of a backup, if its manifest names it.
    pub fn origin(&self, n: usize) -> Option<&Origin> {
        self.backups[n].manifest.as_ref().ok()?.manifest.origin.as_ref()
    }

    pub fn made_after(&self, n: usize, other: usize) -> bool {
        self.backups[n].created_at() > self.backups[other].created_at()
    }

    /// Returns the generations, oldest first. Backups without a full are in none.
    pub fn generations(&self) -> Vec<Generation> {
        let mut of_full: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut is_parent = vec![false; self.backups.len()];
        for (n, backup) in self.backups.iter().enumerate() {
            if let Ok(full) = backup.full {
                of_full.entry(full).or_default().push(n);
                backup.parent.into_iter().for_each(|parent| is_parent[parent] = true);
            }
        }
        let generation = |(full, mut backups): (usize, Vec<usize>)| {
            backups.sort_by_key(|n| (self.backups[*n].created_at(), *n));
            let tips = backups.iter().filter(|n| !is_parent[**n]);
            let chains = tips.map(|tip| self.chain(*tip)).collect();
            Generation { full, backups, chains }
        };
        let mut generations: Vec<_> = of_full.into_iter().map(generation).collect();
        generations.sort_by_key(|generation| {
            (self.backups[generation.full].created_at(), generation.full)
        });
        generations
    }

    /// Returns the documents that are in an archive class, so that a restore has to thaw them
    /// before anything else.
    pub fn archived_documents(&self, layout: &Layout) -> Vec<&str> {
        let is_document = |key: &str| {
            key == layout.pointer(&self.subvolume).as_str()
                || [BackupKind::Full, BackupKind::Incremental].into_iter().any(|kind| {
                    let manifests = layout.manifests(&self.subvolume, kind);
                    key.starts_with(&manifests) && key.ends_with(".json")
                })
        };
        let archived =
            self.objects.iter().filter(|(_, object)| is_archive_class(Some(&object.class)));
        archived.map(|(key, _)| key.as_str()).filter(|key| is_document(key)).collect()
    }

    /// Returns the objects that are neither pointer nor manifest and that no manifest
    /// names.
    pub fn unknown(&self, layout: &Layout) -> impl Iterator<Item = (&String, &CatalogueObject)> {
        let pointer = layout.pointer(&self.subvolume);
        let manifests: BTreeSet<&str> =
            self.backups.iter().map(|backup| backup.listed.key.as_str()).collect();
        self.objects.iter().filter(move |(key, object)| {
            object.named_by.is_empty()
                && key.as_str() != pointer.as_str()
                && !manifests.contains(key.as_str())
        })
    }
}

impl Backup {
    /// Creation time in the manifest. If that cannot be read, the time in its name.
    pub fn created_at(&self) -> Stamp {
        self.manifest.as_ref().map_or(self.listed.stamp, |entry| entry.manifest.created_at)
    }

    /// Returns why the backup itself is incomplete, regardless of its parents.
    fn lack(&self) -> Option<Unrestorable> {
        Some(Unrestorable::of_objects(self.absent.count, self.absent.names.first()?))
    }
}

#[cfg(test)]
pub(crate) mod tests;

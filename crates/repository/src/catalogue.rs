//! What the bucket holds of one subvolume: every manifest, the generations and
//! chains that they make up, and what no manifest names.
//!
//! Pure: made from a listing and the manifests that were read. A manifest that
//! cannot be read, a parent that is gone, a chunk that is missing are values
//! here, with their reason, and keep nothing else from being seen. Chunks are
//! counted against the listing as each manifest comes by, and not kept; so what
//! is held is bounded by [`OBJECTS_MAX`].
//!
//! Not here: how it is read (`read`), how it is printed (`show`), what may go
//! ([`retention`](crate::retention)).

mod builder;
pub mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use s3up_core::Key;

pub use self::builder::{CatalogueBuilder, ObjectIndex};
use crate::chain::ChainEntry;
use crate::layout::Layout;
use crate::names::{Kind, SubvolumeName};
use crate::stamp::Stamp;

/// Each is some two hundred bytes in memory; of chunks of the usual 200 GiB so
/// many are a hundred petabytes.
pub const OBJECTS_MAX: usize = 500_000;
/// Of the objects that a backup lacks, so many are named; all are counted.
const ABSENT_NAMED_MAX: usize = 20;

/// What the bucket holds of one subvolume.
#[derive(Debug)]
pub struct Catalogue {
    pub subvolume: SubvolumeName,
    pub pointer: Pointing,
    /// The version of the pointer that was read.
    pub pointer_etag: Option<String>,
    /// By the time in their names.
    pub backups: Vec<Backup>,
    /// By key: all that is in the folder of the subvolume.
    pub objects: BTreeMap<String, Object>,
}

/// Where the pointer points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointing {
    Nothing,
    /// To this backup.
    At(usize),
    /// It cannot be read, or names no manifest that is there.
    Broken(String),
}

/// One manifest.
#[derive(Debug)]
pub struct Backup {
    pub found: Found,
    /// Without its chunks, or why it cannot be read.
    pub manifest: Result<ChainEntry, String>,
    /// Bytes of its stream.
    pub total_bytes: u64,
    pub chunk_count: usize,
    /// Of its chunks, as the listing has them.
    pub classes: BTreeSet<Arc<str>>,
    pub absent: Absent,
    pub parent: Option<usize>,
    /// Its full, or why it leads to none.
    pub full: Result<usize, String>,
}

/// A key of the form that manifests have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub stamp: Stamp,
    pub kind: Kind,
    pub key: Key,
}

/// Objects that a manifest names and the listing does not have like that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absent {
    pub count: usize,
    /// The first of them.
    pub names: Vec<String>,
}

/// An object of the listing.
#[derive(Clone, Debug)]
pub struct Object {
    /// Bytes.
    pub size: u64,
    pub modified_at: Timestamp,
    pub class: Arc<str>,
    /// The backups whose manifests name it.
    pub named_by: Vec<usize>,
}

/// Where a backup stands among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In the chain that the pointer leads to.
    Current,
    /// Older than the newest, and not in its chain.
    Earlier,
    /// Newer than what is published: a run died, or is at it.
    Unpublished,
    /// The pointer leads nowhere.
    Unknown,
    /// It cannot be restored.
    Broken(String),
}

/// A full, and all that hangs from it.
#[derive(Debug, PartialEq, Eq)]
pub struct Generation {
    pub full: usize,
    /// With the full, oldest first.
    pub backups: Vec<usize>,
    /// From the full to each backup that none is based on.
    pub chains: Vec<Vec<usize>>,
}

#[derive(Debug, thiserror::Error)]
#[error("{folder} has more than {OBJECTS_MAX} objects; longer chunks make fewer")]
pub struct TooManyObjects {
    pub folder: String,
}

impl Catalogue {
    /// From its full to this backup; as far as it leads, where it leads to none.
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

    /// Why a backup cannot be restored, as far as a listing tells.
    pub fn trouble(&self, n: usize) -> Option<String> {
        if let Err(reason) = &self.backups[n].full {
            return Some(reason.clone());
        }
        self.chain(n).into_iter().find_map(|at| self.backups[at].lack())
    }

    /// The chain that the pointer leads to: whole, or why not.
    pub fn current(&self) -> Result<Option<Vec<usize>>, String> {
        match &self.pointer {
            Pointing::Nothing => Ok(None),
            Pointing::Broken(reason) => Err(reason.clone()),
            Pointing::At(n) => match self.trouble(*n) {
                Some(reason) => Err(reason),
                None => Ok(Some(self.chain(*n))),
            },
        }
    }

    pub fn standings(&self) -> Vec<Standing> {
        let current = self.current();
        let standing = |n: usize| match (self.trouble(n), &current) {
            (Some(reason), _) => Standing::Broken(reason),
            (None, Err(_)) => Standing::Unknown,
            (None, Ok(None)) => Standing::Unpublished,
            (None, Ok(Some(chain))) if chain.contains(&n) => Standing::Current,
            (None, Ok(Some(chain))) => match chain.last() {
                Some(newest) if self.made_after(n, *newest) => Standing::Unpublished,
                Some(_) | None => Standing::Earlier,
            },
        };
        (0..self.backups.len()).map(standing).collect()
    }

    pub fn made_after(&self, n: usize, other: usize) -> bool {
        self.backups[n].created_at() > self.backups[other].created_at()
    }

    /// Oldest first. What leads to no full is in none.
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

    /// What no manifest names, by key: neither manifest nor pointer.
    pub fn unknown(&self, layout: &Layout) -> impl Iterator<Item = (&String, &Object)> {
        let pointer = layout.pointer(&self.subvolume);
        let manifests: BTreeSet<&str> =
            self.backups.iter().map(|backup| backup.found.key.as_str()).collect();
        self.objects.iter().filter(move |(key, object)| {
            object.named_by.is_empty()
                && key.as_str() != pointer.as_str()
                && !manifests.contains(key.as_str())
        })
    }
}

impl Backup {
    /// As the manifest has it; where it cannot be read, as its name has it.
    pub fn created_at(&self) -> Stamp {
        self.manifest.as_ref().map_or(self.found.stamp, |link| link.manifest.created_at)
    }

    /// What it lacks itself, whatever its parents do.
    fn lack(&self) -> Option<String> {
        let first = self.absent.names.first()?;
        let count = self.absent.count;
        Some(match count {
            1 => first.clone(),
            _ => format!("{count} objects are missing or have another size, as {first}"),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;

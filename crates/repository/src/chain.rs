//! The chain that restores a backup: a full, then incrementals in order.
//!
//! A chain is collected from its newest entry to its full, and each step checks that
//! the next older entry fits. Every parent is older than its child, so a chain always
//! ends.

use s3up_core::Key;

use crate::manifest::{DocumentError, Manifest};
use crate::names::BackupKind;

/// Enough for an incremental each day for 27 years without a new full.
pub const ENTRIES_MAX: usize = 10_000;

/// One backup of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainEntry {
    pub key: Key,
    pub manifest: Manifest,
}

/// The backups that a restore needs, from the full to the newest. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain(Vec<ChainEntry>);

/// The newest entries of a chain whose full has not been reached yet, newest first.
#[derive(Debug, Default)]
pub struct PartialChain(Vec<ChainEntry>);

/// The next step after an entry was added.
#[derive(Debug)]
pub enum Next {
    Parent(Key),
    Whole(Chain),
}

#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("read manifest {key}")]
    Document { key: Key, source: DocumentError },
    #[error("manifest {key} is missing in the bucket")]
    Missing { key: Key },
    #[error("manifest {key}: expected subvolume {expected:?}, found {found:?}")]
    Subvolume { key: Key, found: String, expected: String },
    #[error("manifest {parent} is not older than {child}, which is based on it")]
    Order { parent: Key, child: Key },
    #[error(
        "manifest {child}: expected a parent with the snapshot {expected}, found {found} in \
         {parent}"
    )]
    Parent { parent: Key, child: Key, expected: String, found: String },
    #[error(
        "manifest {child}: expected its parent at transaction {expected}, found {found} in {parent}"
    )]
    State { parent: Key, child: Key, expected: u64, found: u64 },
    #[error("manifest {key}: the chain does not lead to a full within {ENTRIES_MAX} backups")]
    TooLong { key: Key },
}

impl ChainError {
    /// Returns true if a newer version of btrfs-to-s3 wrote the manifest, so that nothing is
    /// wrong with it.
    pub fn is_newer(&self) -> bool {
        let newer = |source: &DocumentError| {
            matches!(source, DocumentError::Version { .. } | DocumentError::Form { .. })
        };
        matches!(self, ChainError::Document { source, .. } if newer(source))
    }
}

impl PartialChain {
    /// Adds the next older entry.
    pub fn with(mut self, entry: ChainEntry) -> Result<(PartialChain, Next), ChainError> {
        if let Some(child) = self.0.last() {
            fits(child, &entry)?;
        }
        if self.0.len() == ENTRIES_MAX {
            return Err(ChainError::TooLong { key: entry.key });
        }
        let parent = entry
            .manifest
            .parent_key()
            .map_err(|source| ChainError::Document { key: entry.key.clone(), source })?;
        self.0.push(entry);
        match parent {
            Some(parent) => Ok((self, Next::Parent(parent))),
            None => {
                let mut entries = std::mem::take(&mut self.0);
                entries.reverse();
                Ok((self, Next::Whole(Chain(entries))))
            }
        }
    }
}

pub(crate) fn fits(child: &ChainEntry, parent: &ChainEntry) -> Result<(), ChainError> {
    let keys = || (parent.key.clone(), child.key.clone());
    if parent.manifest.subvolume != child.manifest.subvolume {
        let (found, expected) = (&parent.manifest.subvolume, &child.manifest.subvolume);
        return Err(ChainError::Subvolume {
            key: parent.key.clone(),
            found: found.clone(),
            expected: expected.clone(),
        });
    }
    if parent.manifest.created_at >= child.manifest.created_at {
        let (parent, child) = keys();
        return Err(ChainError::Order { parent, child });
    }
    // If one UUID is unknown, the stream itself decides: `btrfs receive` finds no
    // parent with another UUID.
    match (&child.manifest.snapshot.parent_uuid, &parent.manifest.snapshot.uuid) {
        (Some(expected), Some(found)) if expected != found => {
            let (parent, child) = keys();
            let (expected, found) = (expected.clone(), found.clone());
            return Err(ChainError::Parent { parent, child, expected, found });
        }
        (Some(_) | None, _) => {}
    }
    // A received parent has a ctransid of the filesystem that received it.
    if child.manifest.parent_received {
        return Ok(());
    }
    match (child.manifest.snapshot.parent_ctransid, parent.manifest.snapshot.ctransid) {
        (Some(expected), Some(found)) if expected != found => {
            let (parent, child) = keys();
            Err(ChainError::State { parent, child, expected, found })
        }
        (Some(_) | None, _) => Ok(()),
    }
}

impl Chain {
    pub fn entries(&self) -> &[ChainEntry] {
        &self.0
    }

    pub fn full(&self) -> &ChainEntry {
        self.0.first().expect("a chain has a full")
    }

    pub fn newest(&self) -> &ChainEntry {
        self.0.last().expect("a chain has a full")
    }

    /// Returns the length of all streams.
    pub fn total_bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, entry| sum.saturating_add(entry.manifest.total_bytes))
    }

    pub fn incremental_count(&self) -> usize {
        self.0.iter().filter(|entry| entry.manifest.kind == BackupKind::Incremental).count()
    }
}

#[cfg(test)]
mod tests;

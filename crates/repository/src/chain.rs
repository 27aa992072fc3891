//! Which backups restore a subvolume: a full, then incrementals in order.
//!
//! A chain is collected from its newest link to its full; each step says
//! whether the next older link fits. Since every parent is older than its
//! child, a chain has an end.

use s3up_core::Key;

use crate::manifest::{DocumentError, Manifest};
use crate::names::Kind;

/// An incremental a day for as long as nobody makes a new full: 27 years.
pub const LINKS_MAX: usize = 10_000;

/// One backup of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainEntry {
    pub key: Key,
    pub manifest: Manifest,
}

/// From the full to the newest. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain(Vec<ChainEntry>);

/// FetchPlan that lead towards a full, newest first.
#[derive(Debug, Default)]
pub struct Partial(Vec<ChainEntry>);

/// How it goes on after a link was added.
#[derive(Debug)]
pub enum Next {
    Parent(Key),
    Whole(Chain),
}

#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("manifest {key}")]
    Document { key: Key, source: DocumentError },
    #[error("manifest {key} is missing in the bucket")]
    Missing { key: Key },
    #[error("manifest {key} is of the subvolume {found:?}, expected {expected:?}")]
    Subvolume { key: Key, found: String, expected: String },
    #[error("manifest {parent} is not older than {child}, which is based on it")]
    Order { parent: Key, child: Key },
    #[error(
        "manifest {child} is based on the snapshot {expected}, its parent {parent} has {found}"
    )]
    Parent { parent: Key, child: Key, expected: String, found: String },
    #[error(
        "manifest {child} is based on its parent at transaction {expected}, {parent} was sent at \
         {found}"
    )]
    State { parent: Key, child: Key, expected: u64, found: u64 },
    #[error("manifest {key}: the chain does not lead to a full within {LINKS_MAX} links")]
    TooLong { key: Key },
}

impl ChainError {
    /// A newer program wrote it: nothing is wrong with it.
    pub fn is_newer(&self) -> bool {
        matches!(self, ChainError::Document { source: DocumentError::Version { .. }, .. })
    }
}

impl Partial {
    /// Adds the next older link.
    pub fn with(mut self, link: ChainEntry) -> Result<(Partial, Next), ChainError> {
        if let Some(child) = self.0.last() {
            fits(child, &link)?;
        }
        if self.0.len() == LINKS_MAX {
            return Err(ChainError::TooLong { key: link.key });
        }
        let parent = link
            .manifest
            .parent_key()
            .map_err(|source| ChainError::Document { key: link.key.clone(), source })?;
        self.0.push(link);
        match parent {
            Some(parent) => Ok((self, Next::Parent(parent))),
            None => {
                let mut links = std::mem::take(&mut self.0);
                links.reverse();
                Ok((self, Next::Whole(Chain(links))))
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
    // Where one side does not know its UUID, the stream itself is the proof:
    // `btrfs receive` finds no parent with another UUID.
    match (&child.manifest.snapshot.parent_uuid, &parent.manifest.snapshot.uuid) {
        (Some(expected), Some(found)) if expected != found => {
            let (parent, child) = keys();
            let (expected, found) = (expected.clone(), found.clone());
            return Err(ChainError::Parent { parent, child, expected, found });
        }
        (Some(_) | None, _) => {}
    }
    // One that a restore kept is at a transaction of another filesystem.
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

    /// Bytes of all streams.
    pub fn total_bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, link| sum.saturating_add(link.manifest.total_bytes))
    }

    pub fn incremental_count(&self) -> usize {
        self.0.iter().filter(|link| link.manifest.kind == Kind::Incremental).count()
    }
}

#[cfg(test)]
pub(crate) mod tests;

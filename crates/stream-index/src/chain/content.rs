//! The content of a file: which bytes of which streams it consists of.

mod pieces;
mod replay;

use std::collections::BTreeMap;

pub use self::pieces::{Extent, Source};
use self::replay::{Replay, ReplayError, ReplayLimits};
use super::error::IndexChainError;
use super::file::ChainFile;
use super::tree::IndexChain;
use crate::operation::{self, Change, Operation};
use crate::record::{NodeId, content_keys};
use crate::table::TableError;

/// Number of extents of one file that are held at once, at some 120 bytes each. A file with more
/// is read in several ranges.
const EXTENTS_MAX: usize = 1 << 20;
/// Number of steps of the replay of one file, which take some minutes. A file of a million extents that
/// are clones of as many takes two million.
const STEPS_MAX: u64 = 1 << 32;

impl IndexChain {
    /// Calls `each` for the extents of a file, in order. What lies between them is a hole.
    pub fn extents<E: From<IndexChainError>>(
        &self,
        file: &ChainFile,
        each: impl FnMut(Extent) -> Result<(), E>,
    ) -> Result<(), E> {
        let limits = ReplayLimits { extents: EXTENTS_MAX, steps: STEPS_MAX };
        self.extents_within(file, limits, each)
    }

    /// Does the same within these limits.
    fn extents_within<E: From<IndexChainError>>(
        &self,
        file: &ChainFile,
        limits: ReplayLimits,
        mut each: impl FnMut(Extent) -> Result<(), E>,
    ) -> Result<(), E> {
        let (nodes, length) = (file.content_nodes(), file.metadata.length.after(0));
        let mut replay = Replay::new(self, limits);
        // The stream may have written beyond the end, and cloned from there.
        let mut waiting: Vec<_> = std::iter::once(0..u64::MAX).collect();
        while let Some(range) = waiting.pop() {
            match replay.content(&nodes, range.clone()) {
                Ok(mut pieces) => {
                    pieces.truncate(length);
                    pieces.into_extents().try_for_each(&mut each)?;
                }
                Err(ReplayError::TooMany) => {
                    let end = range.end.min(length);
                    let middle = range.start + end.saturating_sub(range.start) / 2;
                    waiting.extend([middle..end, range.start..middle]);
                }
                Err(ReplayError::Chain(err)) => return Err(err.into()),
            }
        }
        Ok(())
    }

    /// Returns the extended attributes of a file.
    pub fn xattrs(&self, file: &ChainFile) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, IndexChainError> {
        let mut xattrs = BTreeMap::new();
        for (level, node) in file.content_nodes() {
            self.operations::<IndexChainError>(level, node, |operation| {
                match operation.change {
                    Change::SetXattr { name, value } => {
                        xattrs.insert(name, value);
                    }
                    Change::RemoveXattr { name } => {
                        xattrs.remove(&name);
                    }
                    Change::Write { .. }
                    | Change::EncodedWrite(_)
                    | Change::Clone { .. }
                    | Change::Truncate { .. }
                    | Change::Hole { .. } => {}
                }
                Ok(true)
            })?;
        }
        Ok(xattrs)
    }

    /// Returns true if one of these nodes changes the content or the extended attributes of its
    /// file.
    pub fn has_operations(&self, nodes: &[(usize, NodeId)]) -> Result<bool, IndexChainError> {
        for (level, node) in nodes {
            if self.levels[*level].has_prefix(&content_keys(*node))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Calls `each` for the operations of one node, in order, until it returns false.
    fn operations<E: From<IndexChainError> + From<TableError>>(
        &self,
        level: usize,
        node: NodeId,
        mut each: impl FnMut(Operation) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.levels[level].scan(&content_keys(node), |_, value| {
            for operation in operation::decode(value).map_err(IndexChainError::from)? {
                if !each(operation)? {
                    return Ok(false);
                }
            }
            Ok::<_, E>(true)
        })
    }
}

#[cfg(test)]
mod tests;

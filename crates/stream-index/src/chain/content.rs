//! The content of a file: which bytes of which streams it consists of.
//!
//! Operations are applied in the order of the streams. A clone takes the content of its source as
//! it is at that moment of the stream.

mod pieces;

use std::collections::BTreeMap;

use self::pieces::Pieces;
pub use self::pieces::{Extent, Source};
use super::file::ChainFile;
use super::tree::{ChainError, IndexChain};
use crate::operation::{self, Change, CloneSource, Operation};
use crate::record::{Entry, NodeId, content_keys};

/// Maximum number of clones that lead from one to the next within other files.
const DEPTH_MAX: usize = 128;

/// The moment of a stream up to which operations count.
type Moment = u64;
const END: Moment = u64::MAX;

impl IndexChain {
    /// Returns the extents of a file, in order. What lies between them is a hole.
    pub fn extents(&self, file: &ChainFile) -> Result<Vec<Extent>, ChainError> {
        let mut pieces = self.content(&file.content_nodes(), END, 0)?;
        pieces.truncate(file.metadata.length.after(0));
        Ok(pieces.into_extents())
    }

    /// Returns the extended attributes of a file.
    pub fn xattrs(&self, file: &ChainFile) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ChainError> {
        let mut xattrs = BTreeMap::new();
        for (level, node) in file.content_nodes() {
            self.operations(level, node, |operation| {
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
                Ok(())
            })?;
        }
        Ok(xattrs)
    }

    /// Returns true if one of these nodes changes the content or the extended attributes of its
    /// file.
    pub fn has_operations(&self, nodes: &[(usize, NodeId)]) -> Result<bool, ChainError> {
        for (level, node) in nodes {
            if self.levels[*level].has_prefix(&content_keys(*node))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Calls `each` for the operations of one node, in order.
    fn operations(
        &self,
        level: usize,
        node: NodeId,
        mut each: impl FnMut(Operation) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        self.levels[level].scan(&content_keys(node), |_, value| {
            for operation in operation::decode(value)? {
                each(operation)?;
            }
            Ok::<_, ChainError>(true)
        })
    }

    /// Applies the operations of these nodes. Those of the last level count up to `until`.
    fn content(
        &self,
        parts: &[(usize, NodeId)],
        until: Moment,
        depth: usize,
    ) -> Result<Pieces, ChainError> {
        let mut pieces = Pieces::default();
        let last_level = parts.last().map(|(level, _)| *level);
        for (level, node) in parts {
            let until = if Some(*level) == last_level { until } else { END };
            if depth > DEPTH_MAX {
                return Err(ChainError::TooDeep { level: *level, of: self.levels.len() });
            }
            self.operations(*level, *node, |operation| {
                if operation.at < until {
                    self.apply(&mut pieces, (*level, *node), operation, depth)?;
                }
                Ok(())
            })?;
        }
        Ok(pieces)
    }

    fn apply(
        &self,
        pieces: &mut Pieces,
        (level, node): (usize, NodeId),
        operation: Operation,
        depth: usize,
    ) -> Result<(), ChainError> {
        match operation.change {
            Change::Write { offset, data } => {
                let length = data.end - data.start;
                pieces.put(offset, length, Source::Stream { level, start: data.start });
            }
            Change::EncodedWrite(write) => {
                let (offset, length) = (write.offset, write.length);
                pieces.put(offset, length, Source::Encoded { level, write, skip: 0 });
            }
            Change::Clone { offset, length, source, source_offset } => {
                let range = source_offset..source_offset + length;
                let cloned = if source == CloneSource::Node(node) {
                    pieces.cut(range)
                } else {
                    let (parts, until) = self.clone_parts(level, source, operation.at)?;
                    self.content(&parts, until, depth + 1)?.cut(range)
                };
                pieces.clear(offset, length);
                for extent in cloned {
                    let at = offset + (extent.offset - source_offset);
                    pieces.put(at, extent.length, extent.source);
                }
            }
            Change::Truncate { length } => pieces.truncate(length),
            Change::Hole { offset, length } => pieces.clear(offset, length),
            Change::SetXattr { .. } | Change::RemoveXattr { .. } => {}
        }
        Ok(())
    }

    /// Returns the nodes that make the source of a clone, and the moment up to which they count.
    fn clone_parts(
        &self,
        level: usize,
        source: CloneSource,
        at: Moment,
    ) -> Result<(Vec<(usize, NodeId)>, Moment), ChainError> {
        let path = match source {
            CloneSource::Node(node) => return Ok((vec![(level, node)], at)),
            CloneSource::Parent { path } => {
                return Ok((self.parent_parts(level, &path)?, END));
            }
            CloneSource::Changed { path } => path,
            CloneSource::Name { directory, name } => match self.entry(level, directory, &name)? {
                Some(Entry::New(node)) => return Ok((vec![(level, node.id)], at)),
                Some(Entry::Moved { path, .. }) => path,
                Some(Entry::Removed) | None => return Err(self.missing(level, &name)),
            },
        };
        let mut parts = self.parent_parts(level, &path)?;
        let nodes = self.nodes(level, &path)?;
        match nodes.is_empty() {
            true => Ok((parts, END)),
            false => {
                parts.extend(nodes.into_iter().map(|node| (level, node.id)));
                Ok((parts, at))
            }
        }
    }

    /// Returns the nodes that make a file of the parent of a level.
    fn parent_parts(&self, level: usize, path: &[u8]) -> Result<Vec<(usize, NodeId)>, ChainError> {
        let missing = || self.missing(level, path);
        let lower = level.checked_sub(1).ok_or_else(missing)?;
        let found = self.lookup_at(lower, path)?.ok_or_else(missing)?;
        Ok(self.with_changes_by_other_names(lower, found)?.content_nodes())
    }
}

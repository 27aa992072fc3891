//! Applies the operations of a file in the order of the streams. A clone takes the content of its
//! source as it is at that moment of the stream.
//!
//! Only one range of the file is built, and of the source of a clone only the range that it takes.
//! A copy of a long file is one clone after the other from the same source, so the content of the
//! last sources is kept: it is the same until the next operation on the source.

use std::collections::VecDeque;
use std::ops::Range;

use super::pieces::{Extent, Pieces, Source};
use crate::chain::error::IndexChainError;
use crate::chain::tree::IndexChain;
use crate::operation::{Change, CloneSource, Operation};
use crate::record::{Entry, NodeId};
use crate::table::TableError;

/// The moment of a stream up to which operations count.
type Moment = u64;
const END: Moment = u64::MAX;
/// Maximum number of clones that lead from one to the next within other files. Each holds one extent at
/// least.
const DEPTH_MAX: usize = 128;
/// Number of sources of clones whose content is kept. A copy needs one, and each file that it leads
/// through another one.
const SOURCES_MAX: usize = 16;

/// Limits of the replay of one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplayLimits {
    /// Number of extents that are held of each file.
    pub(super) extents: usize,
    /// Number of operations that are applied and of extents that clones take.
    pub(super) steps: u64,
}

#[derive(Debug)]
pub(super) enum ReplayError {
    Chain(IndexChainError),
    /// The range has more extents than the limit.
    TooMany,
}

impl From<IndexChainError> for ReplayError {
    fn from(err: IndexChainError) -> ReplayError {
        ReplayError::Chain(err)
    }
}

impl From<TableError> for ReplayError {
    fn from(err: TableError) -> ReplayError {
        ReplayError::Chain(err.into())
    }
}

/// Nodes whose operations make a file, from the one that creates it on.
type Nodes = Vec<(usize, NodeId)>;

pub(super) struct Replay<'c> {
    chain: &'c IndexChain,
    limit: usize,
    steps_left: u64,
    /// Number of extents of the files whose clones are being followed.
    held: usize,
    sources: VecDeque<KeptSource>,
}

/// The content of a source, and for which moments of the last level it is right.
struct KeptSource {
    nodes: Nodes,
    range: Range<u64>,
    /// After this operation, or from the start on.
    after: Option<Moment>,
    /// Up to this operation.
    until: Moment,
    pieces: Pieces,
}

/// The file that is being built.
struct Building<'n> {
    nodes: &'n [(usize, NodeId)],
    range: Range<u64>,
    pieces: Pieces,
    depth: usize,
}

impl<'c> Replay<'c> {
    pub(super) fn new(chain: &'c IndexChain, limits: ReplayLimits) -> Replay<'c> {
        let ReplayLimits { extents: limit, steps: steps_left } = limits;
        Replay { chain, limit, steps_left, held: 0, sources: VecDeque::new() }
    }

    /// Returns a range of the file that these nodes make.
    pub(super) fn content(
        &mut self,
        nodes: &[(usize, NodeId)],
        range: Range<u64>,
    ) -> Result<Pieces, ReplayError> {
        Ok(self.build(nodes, END, 0, range)?.pieces)
    }

    /// Applies the operations of these nodes. Those of the last level count up to `until`.
    fn build(
        &mut self,
        nodes: &[(usize, NodeId)],
        until: Moment,
        depth: usize,
        range: Range<u64>,
    ) -> Result<KeptSource, ReplayError> {
        let chain = self.chain;
        let last_level = nodes.last().map(|(level, _)| *level);
        let (mut after, mut first_left) = (None, END);
        let mut building = Building { nodes, range, pieces: Pieces::default(), depth };
        for (n, (level, node)) in nodes.iter().enumerate() {
            if depth > DEPTH_MAX {
                let (level, of) = (*level, chain.levels.len());
                return Err(IndexChainError::TooDeep { level, of }.into());
            }
            let is_last = Some(*level) == last_level;
            chain.operations::<ReplayError>(*level, *node, |operation| {
                if is_last && operation.at >= until {
                    first_left = first_left.min(operation.at);
                    return Ok(false);
                }
                if is_last {
                    after = after.max(Some(operation.at));
                }
                self.step(1, *level)?;
                self.apply(&mut building, n, operation)?;
                // Together the files may hold as much as one, beside an extent of each.
                let count = building.pieces.count();
                if count > self.limit || self.held + count > self.limit + DEPTH_MAX {
                    return Err(ReplayError::TooMany);
                }
                Ok(true)
            })?;
        }
        let Building { range, pieces, .. } = building;
        Ok(KeptSource { nodes: nodes.to_vec(), range, after, until: first_left, pieces })
    }

    /// Counts steps. A damaged index may lead through the same clones again and again.
    fn step(&mut self, count: u64, level: usize) -> Result<(), ReplayError> {
        let of = self.chain.levels.len();
        let too_many = IndexChainError::TooManySteps { level, of };
        self.steps_left = self.steps_left.checked_sub(count).ok_or(too_many)?;
        Ok(())
    }

    /// Applies an operation of node number `n`.
    fn apply(
        &mut self,
        building: &mut Building<'_>,
        n: usize,
        operation: Operation,
    ) -> Result<(), ReplayError> {
        let (level, node) = building.nodes[n];
        let Building { range, pieces, .. } = building;
        match operation.change {
            Change::Write { offset, data } => {
                let length = data.end - data.start;
                let source = Source::Stream { level, start: data.start };
                pieces.put_within(range, offset, length, source);
            }
            Change::EncodedWrite(write) => {
                let (offset, length) = (write.offset, write.length);
                let source = Source::Encoded { level, write, skip: 0 };
                pieces.put_within(range, offset, length, source);
            }
            Change::Clone { offset, length, source, source_offset } => {
                // The part of the clone within the range.
                let start = offset.max(range.start);
                let end = offset.saturating_add(length).min(range.end);
                if start >= end {
                    return Ok(());
                }
                let wanted = source_offset + (start - offset)..source_offset + (end - offset);
                let is_itself = source == CloneSource::Node(node);
                let (nodes, until) = self.clone_nodes(level, source, operation.at)?;
                let is_own = is_itself || (nodes == building.nodes[..=n] && until == operation.at);
                let cloned = if is_own {
                    self.own(building, &wanted)?
                } else {
                    let held = building.pieces.count();
                    self.held += held;
                    let cloned = self.source(nodes, until, building.depth + 1, wanted.clone());
                    self.held -= held;
                    cloned?
                };
                self.step(cloned.len() as u64, level)?;
                let pieces = &mut building.pieces;
                pieces.clear(start, end - start);
                for extent in cloned {
                    let at = start + (extent.offset - wanted.start);
                    pieces.put(at, extent.length, extent.source);
                }
            }
            Change::Truncate { length } => pieces.truncate(length),
            Change::Hole { offset, length } => pieces.clear(offset, length),
            Change::SetXattr { .. } | Change::RemoveXattr { .. } => {}
        }
        Ok(())
    }

    /// Returns a range of the file that is being built, as it is now.
    fn own(
        &self,
        building: &Building<'_>,
        wanted: &Range<u64>,
    ) -> Result<Vec<Extent>, ReplayError> {
        let Building { range, pieces, nodes, .. } = building;
        if range.start <= wanted.start && wanted.end <= range.end {
            return Ok(pieces.cut(wanted.clone()));
        }
        let level = nodes.last().map_or(0, |(level, _)| *level);
        Err(IndexChainError::ClonesWithin { level, of: self.chain.levels.len() }.into())
    }

    /// Returns a range of the source of a clone.
    fn source(
        &mut self,
        nodes: Nodes,
        until: Moment,
        depth: usize,
        wanted: Range<u64>,
    ) -> Result<Vec<Extent>, ReplayError> {
        let is_right = |kept: &KeptSource| {
            kept.nodes == nodes
                && kept.range.start <= wanted.start
                && wanted.end <= kept.range.end
                && kept.after.is_none_or(|after| after < until)
                && until <= kept.until
        };
        if let Some(at) = self.sources.iter().position(is_right) {
            return Ok(self.sources[at].pieces.cut(wanted));
        }
        let kept = match self.build(&nodes, until, depth, 0..u64::MAX) {
            Err(ReplayError::TooMany) => self.build(&nodes, until, depth, wanted.clone())?,
            built => built?,
        };
        let cut = kept.pieces.cut(wanted);
        self.sources.push_back(kept);
        let count = |sources: &VecDeque<KeptSource>| -> usize {
            sources.iter().map(|kept| kept.pieces.count()).sum()
        };
        while self.sources.len() > SOURCES_MAX || count(&self.sources) > self.limit {
            self.sources.pop_front();
        }
        Ok(cut)
    }

    /// Returns the nodes that make the source of a clone, and the moment up to which they count.
    fn clone_nodes(
        &self,
        level: usize,
        source: CloneSource,
        at: Moment,
    ) -> Result<(Nodes, Moment), IndexChainError> {
        let chain = self.chain;
        let path = match source {
            CloneSource::Node(node) => return Ok((vec![(level, node)], at)),
            CloneSource::Parent { path } => return Ok((self.parent_nodes(level, &path)?, END)),
            CloneSource::Changed { path } => path,
            CloneSource::Name { directory, name } => match chain.entry(level, directory, &name)? {
                Some(Entry::New(node)) => return Ok((vec![(level, node.id)], at)),
                Some(Entry::Moved { path, .. }) => path,
                Some(Entry::Removed) | None => return Err(chain.missing(level, &name)),
            },
        };
        let mut found = self.parent_nodes(level, &path)?;
        let nodes = chain.nodes(level, &path)?;
        match nodes.is_empty() {
            true => Ok((found, END)),
            false => {
                found.extend(nodes.into_iter().map(|node| (level, node.id)));
                Ok((found, at))
            }
        }
    }

    /// Returns the nodes that make a file of the parent of a level.
    fn parent_nodes(&self, level: usize, path: &[u8]) -> Result<Nodes, IndexChainError> {
        let missing = || self.chain.missing(level, path);
        let lower = level.checked_sub(1).ok_or_else(missing)?;
        let found = self.chain.lookup_at(lower, path)?.ok_or_else(missing)?;
        Ok(self.chain.with_changes_by_other_names(lower, found)?.content_nodes())
    }
}

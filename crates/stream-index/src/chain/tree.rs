//! Finds the file at a path of a chain.

use super::file::{At, Found};
use super::links::Links;
use crate::codec::{Decoder, Malformed};
use crate::record::{Entry, Node, NodeId, ROOT, base_keys, base_keys_below, entry_key};
use crate::table::TableError;
use crate::table::read::Table;

/// Maximum length of a path in a lookup. The kernel sends paths of at most 4 KiB.
const PATH_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("the index of backup {level}: {path:?} is not in the index of its parent")]
    Missing { level: usize, path: String },
    #[error("the index of backup {level}: expected a full first and incrementals after it")]
    Order { level: usize },
    #[error("the path {path:?}: expected at most {PATH_BYTES_MAX} bytes")]
    TooLong { path: String },
    #[error("the stream of backup {level} has more levels of clones than an index can follow")]
    TooDeep { level: usize },
}

impl From<Malformed> for ChainError {
    fn from(err: Malformed) -> ChainError {
        ChainError::Table(err.into())
    }
}

/// The indexes of a chain, from its full on. The tree is that of the last one.
pub struct Chain {
    pub(super) levels: Vec<Table>,
    pub(super) links: Links,
}

impl Chain {
    pub fn new(levels: Vec<Table>) -> Result<Chain, ChainError> {
        for (level, table) in levels.iter().enumerate() {
            if table.stream().is_incremental != (level > 0) {
                return Err(ChainError::Order { level });
            }
        }
        let links = Links::new(levels.len());
        Ok(Chain { levels, links })
    }

    pub fn levels(&self) -> &[Table] {
        &self.levels
    }

    pub(super) fn top(&self) -> usize {
        self.levels.len() - 1
    }

    /// Returns the file at a path, relative to the subvolume. The empty path is its root.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<Found>, ChainError> {
        let found = self.lookup_at(self.top(), path)?;
        found.map(|found| self.settle(self.top(), found)).transpose()
    }

    /// Looks a path up in one level. Changes by another name of the file are not in it.
    pub(super) fn lookup_at(&self, level: usize, path: &[u8]) -> Result<Option<Found>, ChainError> {
        if path.len() > PATH_BYTES_MAX {
            let path = String::from_utf8_lossy(path).into_owned();
            return Err(ChainError::TooLong { path });
        }
        let mut found = self.root(level)?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let Some(next) = self.child(&found, name)? else { return Ok(None) };
            found = next;
        }
        Ok(Some(found))
    }

    fn root(&self, level: usize) -> Result<Found, ChainError> {
        let nodes = self.nodes(level, b"")?;
        if level == 0 {
            let summary = nodes.into_iter().next().map(|node| node.summary).unwrap_or_default();
            return Ok(Found::new(level, At::New(ROOT), summary, false));
        }
        let below = self.root(level - 1)?;
        Ok(self.patched(level, Vec::new(), nodes, below))
    }

    /// Returns the nodes of a level that stand for a path of its parent.
    pub(super) fn nodes(&self, level: usize, path: &[u8]) -> Result<Vec<Node>, ChainError> {
        let mut nodes = Vec::new();
        self.levels[level].scan(&base_keys(path), |_, value| {
            nodes.push(Node::decode(&mut Decoder(value))?);
            Ok::<_, ChainError>(true)
        })?;
        Ok(nodes)
    }

    /// Returns a file of the parent with the changes of a level.
    pub(super) fn patched(
        &self,
        level: usize,
        path: Vec<u8>,
        nodes: Vec<Node>,
        below: Found,
    ) -> Found {
        let is_linked = below.is_linked || nodes.iter().any(|node| node.is_linked);
        let summary =
            nodes.iter().fold(below.summary.clone(), |before, node| before.changed(&node.summary));
        let nodes = nodes.into_iter().map(|node| node.id).collect();
        Found::new(level, At::Parent { path, nodes, below: Box::new(below) }, summary, is_linked)
    }

    /// Returns a file of the parent, as a level has it. If the level touches neither the file nor
    /// anything below it, that is the file of the older level.
    fn of_parent(&self, level: usize, path: &[u8], below: Found) -> Result<Found, ChainError> {
        let nodes = self.nodes(level, path)?;
        let is_touched = !nodes.is_empty()
            || (below.is_directory() && self.levels[level].has_prefix(&base_keys_below(path))?);
        Ok(if is_touched { self.patched(level, path.to_vec(), nodes, below) } else { below })
    }

    /// Returns what an entry of a level leads to.
    pub(super) fn follow(&self, level: usize, entry: Entry) -> Result<Option<Found>, ChainError> {
        match entry {
            Entry::Removed => Ok(None),
            Entry::New(Node { id, is_linked, summary }) => {
                let summary = summary.created();
                Ok(Some(Found::new(level, At::New(id), summary, is_linked)))
            }
            Entry::Moved { path, node } => {
                let missing = || ChainError::Missing {
                    level,
                    path: String::from_utf8_lossy(&path).into_owned(),
                };
                let lower = level.checked_sub(1).ok_or_else(missing)?;
                let below = self.lookup_at(lower, &path)?.ok_or_else(missing)?;
                let mut found = self.of_parent(level, &path, below)?;
                found.is_linked |= node.is_linked;
                Ok(Some(found))
            }
        }
    }

    pub(super) fn entry(
        &self,
        level: usize,
        directory: NodeId,
        name: &[u8],
    ) -> Result<Option<Entry>, ChainError> {
        let value = self.levels[level].get(&entry_key(directory, name))?;
        Ok(value.map(|value| Entry::decode(&value)).transpose()?)
    }

    /// Returns what has this name in a directory.
    fn child(&self, directory: &Found, name: &[u8]) -> Result<Option<Found>, ChainError> {
        let level = directory.level;
        match &directory.at {
            At::New(id) => match self.entry(level, *id, name)? {
                Some(entry) => self.follow(level, entry),
                None => Ok(None),
            },
            At::Parent { path, nodes, below } => {
                for id in nodes.iter().rev() {
                    if let Some(entry) = self.entry(level, *id, name)? {
                        return self.follow(level, entry);
                    }
                }
                let Some(below) = self.child(below, name)? else { return Ok(None) };
                Ok(Some(self.of_parent(level, &join(path, name), below)?))
            }
        }
    }
}

/// Returns the path of a name in a directory.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

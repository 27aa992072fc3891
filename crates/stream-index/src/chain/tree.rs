//! Finds the file at a path of a chain.

use super::changes_by_file::ChangesByFile;
use super::file::{ChainFile, FileSource};
use crate::codec::{Decoder, Malformed};
use crate::record::{Entry, Node, NodeId, ROOT, base_keys, base_keys_below, entry_key};
use crate::table::TableError;
use crate::table::read::Table;

/// Maximum length of a path in a lookup. The kernel sends paths of at most 4 KiB.
const PATH_BYTES_MAX: usize = 64 << 10;
/// Maximum number of clones that lead from one to the next within other files.
pub(super) const DEPTH_MAX: usize = 128;

#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("read the index of backup {} of {of}, {name}", .level + 1)]
    Unreadable { level: usize, of: usize, name: String, source: TableError },
    #[error(
        "the index of backup {} of {of}, {name}, is damaged; build it again with `index --build`",
        .level + 1
    )]
    Damaged { level: usize, of: usize, name: String, source: TableError },
    #[error(
        "the index of backup {} of {of}: expected {path:?} in the index of its parent, found \
         nothing; build both again with `index --build`",
        .level + 1
    )]
    Missing { level: usize, of: usize, path: String },
    #[error(
        "the index of backup {} of {of}: expected that of {}, found that of {}; build the \
         indexes again with `index --build`",
        .level + 1, kind(*.level > 0), kind(*.level == 0)
    )]
    Order { level: usize, of: usize },
    #[error("look up a path: expected at most {PATH_BYTES_MAX} bytes, found {bytes}")]
    TooLong { bytes: usize },
    #[error(
        "the stream of backup {} of {of} has a clone of a clone of more than {DEPTH_MAX} others, which \
         an index cannot follow; `restore` needs no index",
        .level + 1
    )]
    TooDeep { level: usize, of: usize },
}

fn kind(is_incremental: bool) -> &'static str {
    if is_incremental { "an incremental" } else { "a full" }
}

/// The error of one record of a scan.
pub(super) enum RecordError {
    Table(TableError),
    Chain(ChainError),
}

impl From<TableError> for RecordError {
    fn from(err: TableError) -> RecordError {
        RecordError::Table(err)
    }
}

impl From<Malformed> for RecordError {
    fn from(err: Malformed) -> RecordError {
        RecordError::Table(err.into())
    }
}

impl From<ChainError> for RecordError {
    fn from(err: ChainError) -> RecordError {
        RecordError::Chain(err)
    }
}

/// The index of one backup of a chain. Errors name it.
pub struct Level {
    pub name: String,
    pub table: Table,
}

/// The indexes of a chain, from its full on. The tree is that of the last one.
pub struct IndexChain {
    levels: Vec<Level>,
    pub(super) changes_by_file: ChangesByFile,
}

impl IndexChain {
    pub fn new(levels: Vec<Level>) -> Result<IndexChain, ChainError> {
        for (level, Level { table, .. }) in levels.iter().enumerate() {
            if table.stream().is_incremental != (level > 0) {
                return Err(ChainError::Order { level, of: levels.len() });
            }
        }
        let changes_by_file = ChangesByFile::new(levels.len());
        Ok(IndexChain { levels, changes_by_file })
    }

    pub(super) fn count(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn top(&self) -> usize {
        self.levels.len() - 1
    }

    /// Calls `each` for each record of a level whose key starts like this, until it returns false.
    pub(super) fn scan(
        &self,
        level: usize,
        prefix: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> Result<bool, RecordError>,
    ) -> Result<(), ChainError> {
        self.levels[level].table.scan(prefix, each).map_err(|err| match err {
            RecordError::Table(source) => self.failed(level, source),
            RecordError::Chain(err) => err,
        })
    }

    /// Returns true if a key of a level starts like this.
    pub(super) fn has_prefix(&self, level: usize, prefix: &[u8]) -> Result<bool, ChainError> {
        self.levels[level].table.has_prefix(prefix).map_err(|err| self.failed(level, err))
    }

    /// Returns the error for an index that cannot be used.
    fn failed(&self, level: usize, source: TableError) -> ChainError {
        let (of, name) = (self.levels.len(), self.levels[level].name.clone());
        match source.is_damage() {
            true => ChainError::Damaged { level, of, name, source },
            false => ChainError::Unreadable { level, of, name, source },
        }
    }

    /// Returns the file at a path, relative to the subvolume. The empty path is its root.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<ChainFile>, ChainError> {
        let found = self.lookup_at(self.top(), path)?;
        found.map(|found| self.with_changes_by_other_names(self.top(), found)).transpose()
    }

    /// Looks a path up in one level. Changes by another name of the file are not in it.
    pub(super) fn lookup_at(
        &self,
        level: usize,
        path: &[u8],
    ) -> Result<Option<ChainFile>, ChainError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(ChainError::TooLong { bytes: path.len() });
        }
        let mut found = self.root(level)?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let Some(next) = self.child(&found, name)? else { return Ok(None) };
            found = next;
        }
        Ok(Some(found))
    }

    fn root(&self, level: usize) -> Result<ChainFile, ChainError> {
        let nodes = self.nodes(level, b"")?;
        if level == 0 {
            let metadata = nodes.into_iter().next().map(|node| node.metadata).unwrap_or_default();
            return Ok(ChainFile::new(level, FileSource::New(ROOT), metadata, false));
        }
        let below = self.root(level - 1)?;
        Ok(self.patched(level, Vec::new(), nodes, below))
    }

    /// Returns the nodes of a level that stand for a path of its parent.
    pub(super) fn nodes(&self, level: usize, path: &[u8]) -> Result<Vec<Node>, ChainError> {
        let mut nodes = Vec::new();
        self.scan(level, &base_keys(path), |_, value| {
            nodes.push(Node::decode(&mut Decoder(value))?);
            Ok(true)
        })?;
        Ok(nodes)
    }

    /// Returns a file of the parent with the changes of a level.
    pub(super) fn patched(
        &self,
        level: usize,
        path: Vec<u8>,
        nodes: Vec<Node>,
        below: ChainFile,
    ) -> ChainFile {
        let is_linked = below.is_linked || nodes.iter().any(|node| node.is_linked);
        let metadata = nodes
            .iter()
            .fold(below.metadata.clone(), |before, node| before.changed(&node.metadata));
        let nodes = nodes.into_iter().map(|node| node.id).collect();
        ChainFile::new(
            level,
            FileSource::Parent { path, nodes, below: Box::new(below) },
            metadata,
            is_linked,
        )
    }

    /// Returns a file of the parent, as a level has it. If the level touches neither the file nor
    /// anything below it, that is the file of the older level.
    fn of_parent(
        &self,
        level: usize,
        path: &[u8],
        below: ChainFile,
    ) -> Result<ChainFile, ChainError> {
        let nodes = self.nodes(level, path)?;
        let is_touched = !nodes.is_empty()
            || (below.is_directory() && self.has_prefix(level, &base_keys_below(path))?);
        Ok(if is_touched { self.patched(level, path.to_vec(), nodes, below) } else { below })
    }

    /// Returns what an entry of a level leads to.
    pub(super) fn follow(
        &self,
        level: usize,
        entry: Entry,
    ) -> Result<Option<ChainFile>, ChainError> {
        match entry {
            Entry::Removed => Ok(None),
            Entry::New(Node { id, is_linked, metadata }) => {
                let metadata = metadata.created();
                Ok(Some(ChainFile::new(level, FileSource::New(id), metadata, is_linked)))
            }
            Entry::Moved { path, node } => {
                let missing = || self.missing(level, &path);
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
        let value = self.levels[level].table.get(&entry_key(directory, name));
        let entry = value.and_then(|value| Ok(value.map(|it| Entry::decode(&it)).transpose()?));
        entry.map_err(|err| self.failed(level, err))
    }

    /// Returns the error for a path that a level names and its parent does not have.
    pub(super) fn missing(&self, level: usize, path: &[u8]) -> ChainError {
        let path = String::from_utf8_lossy(path).into_owned();
        ChainError::Missing { level, of: self.levels.len(), path }
    }

    /// Returns what has this name in a directory.
    fn child(&self, directory: &ChainFile, name: &[u8]) -> Result<Option<ChainFile>, ChainError> {
        let level = directory.level;
        match &directory.at {
            FileSource::New(id) => match self.entry(level, *id, name)? {
                Some(entry) => self.follow(level, entry),
                None => Ok(None),
            },
            FileSource::Parent { path, nodes, below } => {
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

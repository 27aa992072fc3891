//! Finds the file at a path of a chain.

use super::changes_by_file::ChangesByFile;
use super::error::{IndexChainError, check_path};
use super::file::{ChainFile, FileSource};
use crate::codec::Decoder;
use crate::record::{Entry, Node, NodeId, ROOT, base_keys, base_keys_below, entry_key};
use crate::table::cache::CacheLimits;
use crate::table::read::Table;

/// The indexes of a chain, from its full on. The tree is that of the last one.
pub struct IndexChain {
    pub(super) levels: Vec<Table>,
    pub(super) changes_by_file: ChangesByFile,
}

impl IndexChain {
    pub fn new(mut levels: Vec<Table>) -> Result<IndexChain, IndexChainError> {
        let limits = CacheLimits::of_chain(levels.len());
        levels.iter_mut().for_each(|table| table.limit_cache(limits));
        for (level, table) in levels.iter().enumerate() {
            if table.stream().is_incremental != (level > 0) {
                return Err(IndexChainError::Order { level, of: levels.len() });
            }
        }
        let changes_by_file = ChangesByFile::new(levels.len());
        Ok(IndexChain { levels, changes_by_file })
    }

    pub fn levels(&self) -> &[Table] {
        &self.levels
    }

    pub(super) fn top(&self) -> usize {
        self.levels.len() - 1
    }

    /// Returns the file at a path, relative to the subvolume. The empty path is its root.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<ChainFile>, IndexChainError> {
        let found = self.lookup_at(self.top(), path)?;
        found.map(|found| self.with_changes_by_other_names(self.top(), found)).transpose()
    }

    /// Looks a path up in one level. Changes by another name of the file are not in it.
    pub(super) fn lookup_at(
        &self,
        level: usize,
        path: &[u8],
    ) -> Result<Option<ChainFile>, IndexChainError> {
        check_path(path)?;
        let mut found = self.root(level)?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let Some(next) = self.child(&found, name)? else { return Ok(None) };
            found = next;
        }
        Ok(Some(found))
    }

    fn root(&self, level: usize) -> Result<ChainFile, IndexChainError> {
        let nodes = self.nodes(level, b"")?;
        if level == 0 {
            let metadata = nodes.into_iter().next().map(|node| node.metadata).unwrap_or_default();
            return Ok(ChainFile::new(level, FileSource::New(ROOT), metadata, false));
        }
        let below = self.root(level - 1)?;
        Ok(self.patched(level, Vec::new(), nodes, below))
    }

    /// Returns the nodes of a level that stand for a path of its parent.
    pub(super) fn nodes(&self, level: usize, path: &[u8]) -> Result<Vec<Node>, IndexChainError> {
        let mut nodes = Vec::new();
        self.levels[level].scan(&base_keys(path), |_, value| {
            nodes.push(Node::decode(&mut Decoder(value))?);
            Ok::<_, IndexChainError>(true)
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
    ) -> Result<ChainFile, IndexChainError> {
        let nodes = self.nodes(level, path)?;
        let is_touched = !nodes.is_empty()
            || (below.is_directory() && self.levels[level].has_prefix(&base_keys_below(path))?);
        Ok(if is_touched { self.patched(level, path.to_vec(), nodes, below) } else { below })
    }

    /// Returns what an entry of a level leads to.
    pub(super) fn follow(
        &self,
        level: usize,
        entry: Entry,
    ) -> Result<Option<ChainFile>, IndexChainError> {
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
    ) -> Result<Option<Entry>, IndexChainError> {
        let value = self.levels[level].get(&entry_key(directory, name))?;
        Ok(value.map(|value| Entry::decode(&value)).transpose()?)
    }

    /// Returns the error for a path that a level names and its parent does not have.
    pub(super) fn missing(&self, level: usize, path: &[u8]) -> IndexChainError {
        let path = String::from_utf8_lossy(path).into_owned();
        IndexChainError::Missing { level, of: self.levels.len(), path }
    }

    /// Returns what has this name in a directory.
    pub(super) fn child(
        &self,
        directory: &ChainFile,
        name: &[u8],
    ) -> Result<Option<ChainFile>, IndexChainError> {
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

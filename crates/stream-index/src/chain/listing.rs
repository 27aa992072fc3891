//! Lists directories.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{ChainFile, FileSource};
use super::tree::{IndexChain, IndexChainError, join};
use crate::codec::Decoder;
use crate::record::{Entry, Node, NodeId, base_keys_below, entry_keys};

/// Length of the key of an entry before its name.
const ENTRY_KEY_BYTES: usize = 1 + size_of::<NodeId>();

/// The paths of the parent below a directory that a level changes.
#[derive(Default)]
struct Touched {
    /// Changed files, by their names in the directory.
    nodes: BTreeMap<Vec<u8>, Vec<Node>>,
    /// Names of directories below which something changes.
    deeper: BTreeSet<Vec<u8>>,
}

impl IndexChain {
    /// Returns the entries of a directory, by name.
    pub fn list(
        &self,
        directory: &ChainFile,
    ) -> Result<Vec<(Vec<u8>, ChainFile)>, IndexChainError> {
        let settle =
            |(name, found)| Ok((name, self.with_changes_by_other_names(self.top(), found)?));
        self.list_by_path(directory)?.into_iter().map(settle).collect()
    }

    fn list_by_path(
        &self,
        directory: &ChainFile,
    ) -> Result<BTreeMap<Vec<u8>, ChainFile>, IndexChainError> {
        let level = directory.level;
        let (path, nodes, below) = match &directory.at {
            FileSource::New(id) => return self.new_entries(level, *id),
            FileSource::Parent { path, nodes, below } => (path, nodes, below),
        };
        let touched = self.touched_below(level, path)?;
        let mut entries = BTreeMap::new();
        for (name, below) in self.list_by_path(below)? {
            let found = match touched.nodes.get(&name) {
                Some(nodes) => self.patched(level, join(path, &name), nodes.clone(), below),
                None if touched.deeper.contains(&name) => {
                    self.patched(level, join(path, &name), Vec::new(), below)
                }
                None => below,
            };
            entries.insert(name, found);
        }
        for (name, entry) in self.entries(level, nodes)? {
            match self.follow(level, entry)? {
                Some(found) => entries.insert(name, found),
                None => entries.remove(&name),
            };
        }
        Ok(entries)
    }

    fn new_entries(
        &self,
        level: usize,
        node: NodeId,
    ) -> Result<BTreeMap<Vec<u8>, ChainFile>, IndexChainError> {
        let mut found = BTreeMap::new();
        for (name, entry) in self.entries(level, &[node])? {
            found.extend(self.follow(level, entry)?.map(|file| (name, file)));
        }
        Ok(found)
    }

    /// Returns the entries that a level writes for a directory. If it has several nodes there,
    /// those of the last one count.
    fn entries(
        &self,
        level: usize,
        nodes: &[NodeId],
    ) -> Result<BTreeMap<Vec<u8>, Entry>, IndexChainError> {
        let mut entries = BTreeMap::new();
        for node in nodes {
            self.levels[level].scan(&entry_keys(*node), |key, value| {
                entries.insert(key[ENTRY_KEY_BYTES..].to_vec(), Entry::decode(value)?);
                Ok::<_, IndexChainError>(true)
            })?;
        }
        Ok(entries)
    }

    fn touched_below(&self, level: usize, path: &[u8]) -> Result<Touched, IndexChainError> {
        let mut touched = Touched::default();
        let prefix = base_keys_below(path);
        self.levels[level].scan(&prefix, |key, value| {
            let rest = &key[prefix.len()..];
            let end = rest.iter().position(|byte| matches!(byte, 0 | b'/'));
            // The root itself is below no directory.
            let Some(end) = end.filter(|end| *end > 0) else { return Ok(true) };
            let name = rest[..end].to_vec();
            if rest[end] == b'/' {
                touched.deeper.insert(name);
            } else {
                let node = Node::decode(&mut Decoder(value))?;
                touched.nodes.entry(name).or_default().push(node);
            }
            Ok::<_, IndexChainError>(true)
        })?;
        Ok(touched)
    }
}

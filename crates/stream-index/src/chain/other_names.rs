//! Applies the changes that an index makes to a file under another of its names.

use std::sync::{Arc, PoisonError};

use super::changes_by_file::{Changes, ChangesBuilder};
use super::error::IndexChainError;
use super::file::{ChainFile, FileSource};
use super::tree::IndexChain;
use crate::codec::Decoder;
use crate::record::{Node, NodeId};

/// Returns the file as its stream creates it.
fn created(found: &ChainFile) -> &ChainFile {
    match &found.at {
        FileSource::New(_) => found,
        FileSource::Parent { below, .. } => created(below),
    }
}

impl IndexChain {
    /// Applies the changes up to level `top` that are made to a file under its other names.
    pub(super) fn with_changes_by_other_names(
        &self,
        top: usize,
        mut found: ChainFile,
    ) -> Result<ChainFile, IndexChainError> {
        self.add_changes_by_other_names(top, &mut found)?;
        Ok(found)
    }

    /// Does the same to a file in place.
    pub(super) fn add_changes_by_other_names(
        &self,
        top: usize,
        found: &mut ChainFile,
    ) -> Result<(), IndexChainError> {
        if !found.is_linked || found.is_directory() {
            return Ok(());
        }
        let id = found.id();
        let mut metadata = created(found).metadata.clone();
        let mut nodes: Vec<(usize, NodeId)> = Vec::new();
        for level in id.level + 1..=top {
            for node in self.changes(level)?.of(id)? {
                metadata = metadata.changed(&node.metadata);
                nodes.push((level, node.id));
            }
        }
        found.metadata = metadata;
        found.changes = Some(nodes);
        Ok(())
    }

    fn changes(&self, level: usize) -> Result<Arc<Changes>, IndexChainError> {
        let mut cell = self.changes_by_file.0[level].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changes) = &*cell {
            return Ok(Arc::clone(changes));
        }
        let mut changes = ChangesBuilder::new();
        // The directory of the last path, which the next one usually is in, too.
        let mut last: Option<(Vec<u8>, Option<ChainFile>)> = None;
        self.levels[level].scan(b"B", |key, value| {
            let node = Node::decode(&mut Decoder(value))?;
            let path = key[1..].split(|byte| *byte == 0).next().unwrap_or_default();
            let slash = path.iter().rposition(|byte| *byte == b'/');
            let (directory, name) = match slash {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (&b""[..], path),
            };
            if last.as_ref().is_none_or(|(path, _)| path != directory) {
                last = Some((directory.to_vec(), self.lookup_at(level - 1, directory)?));
            }
            let directory = last.as_ref().and_then(|(_, found)| found.as_ref());
            let Some(directory) = directory.filter(|_| !name.is_empty()) else { return Ok(true) };
            let below = self.child(directory, name)?;
            if let Some(below) = below.filter(|below| !below.is_directory()) {
                changes.add(below.id(), &node)?;
            }
            Ok::<_, IndexChainError>(true)
        })?;
        let changes = Arc::new(changes.finish()?);
        *cell = Some(Arc::clone(&changes));
        Ok(changes)
    }
}

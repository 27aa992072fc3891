//! A file that a lookup or a listing found.

use crate::record::{FileMetadata, FileType, NodeId};

/// Identifies a file within a chain: the level whose stream creates it, and its node there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    pub level: usize,
    pub node: NodeId,
}

/// The origin of a file as one level shows it: created there, or inherited from the level below with
/// the changes of this one.
#[derive(Clone, Debug)]
pub(super) enum FileSource {
    /// Created in the stream of this level.
    New(NodeId),
    /// Has a path in the parent.
    Parent {
        path: Vec<u8>,
        /// The nodes of this level that stand for it.
        nodes: Vec<NodeId>,
        below: Box<ChainFile>,
    },
}

/// A file in the tree of a backup.
#[derive(Clone, Debug)]
pub struct ChainFile {
    pub(super) level: usize,
    pub(super) at: FileSource,
    pub metadata: FileMetadata,
    /// True if the file has, or had, several names.
    pub is_linked: bool,
    /// Nodes that change the file, from the oldest level on, if they were collected by file.
    pub(super) changes: Option<Vec<(usize, NodeId)>>,
}

impl ChainFile {
    pub(super) fn new(
        level: usize,
        at: FileSource,
        metadata: FileMetadata,
        is_linked: bool,
    ) -> ChainFile {
        ChainFile { level, at, metadata, is_linked, changes: None }
    }

    pub fn id(&self) -> FileId {
        match &self.at {
            FileSource::New(node) => FileId { level: self.level, node: *node },
            FileSource::Parent { below, .. } => below.id(),
        }
    }

    pub fn is_directory(&self) -> bool {
        self.metadata.file_type == Some(FileType::Directory)
    }

    /// Returns true if both stand for the same file, or the same tree, without any change between
    /// their backups. Says nothing about changes under another name of a file.
    pub fn is_unchanged(&self, other: &ChainFile) -> bool {
        self.level == other.level
            && self.changes == other.changes
            && match (&self.at, &other.at) {
                (FileSource::New(node), FileSource::New(other)) => node == other,
                (FileSource::Parent { path, .. }, FileSource::Parent { path: other, .. }) => {
                    path == other
                }
                (FileSource::New(_), FileSource::Parent { .. })
                | (FileSource::Parent { .. }, FileSource::New(_)) => false,
            }
    }

    /// Returns the nodes whose operations make the file, from the one that creates it on.
    pub fn content_nodes(&self) -> Vec<(usize, NodeId)> {
        let FileId { level, node } = self.id();
        let mut found = vec![(level, node)];
        match &self.changes {
            Some(changes) => found.extend(changes),
            None => self.own_changes(&mut found),
        }
        found
    }

    fn own_changes(&self, found: &mut Vec<(usize, NodeId)>) {
        if let FileSource::Parent { nodes, below, .. } = &self.at {
            below.own_changes(found);
            found.extend(nodes.iter().map(|node| (self.level, *node)));
        }
    }
}

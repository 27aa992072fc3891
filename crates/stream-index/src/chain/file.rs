//! A file that a lookup or a listing found.

use crate::record::{FileType, NodeId, Summary};

/// Identifies a file within a chain: the level whose stream creates it, and its node there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    pub level: usize,
    pub node: NodeId,
}

/// A file on the way to one level: what that level says of it, and the file it is in the level
/// below.
#[derive(Clone, Debug)]
pub(super) enum At {
    /// Created in the stream of this level.
    New(NodeId),
    /// Has a path in the parent.
    Parent {
        path: Vec<u8>,
        /// The nodes of this level that stand for it.
        nodes: Vec<NodeId>,
        below: Box<Found>,
    },
}

/// A file in the tree of a backup.
#[derive(Clone, Debug)]
pub struct Found {
    pub(super) level: usize,
    pub(super) at: At,
    /// All metadata.
    pub summary: Summary,
    /// True if the file has, or had, several names.
    pub is_linked: bool,
    /// Nodes that change the file, from the oldest level on, if they were collected by file.
    pub(super) changes: Option<Vec<(usize, NodeId)>>,
}

impl Found {
    pub(super) fn new(level: usize, at: At, summary: Summary, is_linked: bool) -> Found {
        Found { level, at, summary, is_linked, changes: None }
    }

    pub fn id(&self) -> FileId {
        match &self.at {
            At::New(node) => FileId { level: self.level, node: *node },
            At::Parent { below, .. } => below.id(),
        }
    }

    pub fn is_directory(&self) -> bool {
        self.summary.file_type == Some(FileType::Directory)
    }

    /// Returns true if both stand for the same file, or the same tree, without any change between
    /// their backups. Says nothing about changes under another name of a file.
    pub fn is_unchanged(&self, other: &Found) -> bool {
        self.level == other.level
            && self.changes == other.changes
            && match (&self.at, &other.at) {
                (At::New(node), At::New(other)) => node == other,
                (At::Parent { path, .. }, At::Parent { path: other, .. }) => path == other,
                (At::New(_), At::Parent { .. }) | (At::Parent { .. }, At::New(_)) => false,
            }
    }

    /// Returns the nodes whose operations make the file, from the one that creates it on.
    pub fn parts(&self) -> Vec<(usize, NodeId)> {
        let FileId { level, node } = self.id();
        let mut parts = vec![(level, node)];
        match &self.changes {
            Some(changes) => parts.extend(changes),
            None => self.own_changes(&mut parts),
        }
        parts
    }

    fn own_changes(&self, parts: &mut Vec<(usize, NodeId)>) {
        if let At::Parent { nodes, below, .. } = &self.at {
            below.own_changes(parts);
            parts.extend(nodes.iter().map(|node| (self.level, *node)));
        }
    }
}

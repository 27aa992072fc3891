//! One file while the index is built.

use crate::operation::Operation;
use crate::record::{FileMetadata, FileType, Node, NodeId};

/// The side that a node comes from.
#[derive(Clone, Debug)]
pub(super) enum NodeSource {
    /// The stream creates it.
    New,
    /// The parent has it, at this path.
    Parent { path: Box<[u8]> },
}

#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) parent: NodeId,
    pub(super) name: Box<[u8]>,
    /// True if the file has this name in the parent already.
    pub(super) is_original: bool,
    /// True if a record of it was written.
    pub(super) is_written: bool,
    /// True if another file had this name before.
    pub(super) is_after_removal: bool,
}

impl Name {
    /// Returns a name that the stream gives to a file.
    pub(super) fn new(parent: NodeId, name: &[u8]) -> Name {
        Name {
            parent,
            name: name.into(),
            is_original: false,
            is_written: false,
            is_after_removal: false,
        }
    }
}

#[derive(Debug)]
pub(super) struct NodeState {
    pub(super) source: NodeSource,
    /// True if it is known to be a directory.
    pub(super) is_directory: bool,
    pub(super) is_linked: bool,
    /// True if its records must be written.
    pub(super) is_dirty: bool,
    pub(super) metadata: FileMetadata,
    pub(super) names: Vec<Name>,
    pub(super) operations: Vec<Operation>,
    /// Number of groups of operations that were written.
    pub(super) groups: u32,
}

impl NodeState {
    pub(super) fn new(file_type: FileType) -> NodeState {
        let metadata = FileMetadata { file_type: Some(file_type), ..FileMetadata::default() };
        let is_directory = file_type == FileType::Directory;
        NodeState { metadata, is_directory, is_dirty: true, ..NodeState::of(NodeSource::New) }
    }

    /// Returns a node that the parent has, and that has not changed so far.
    pub(super) fn of(source: NodeSource) -> NodeState {
        NodeState {
            source,
            is_directory: false,
            is_linked: false,
            is_dirty: false,
            metadata: FileMetadata::default(),
            names: Vec::new(),
            operations: Vec::new(),
            groups: 0,
        }
    }

    pub(super) fn record(&self, id: NodeId) -> Node {
        Node { id, is_linked: self.is_linked, metadata: self.metadata.clone() }
    }
}

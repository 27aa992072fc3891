//! One file while the index is built.

use crate::codec::{Decoder, Malformed, put_number, put_text};
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

/// The bit that marks a name in the encoding of a node.
const NAME: u8 = 8;

/// Returns a byte with a bit for each flag, from the lowest on.
fn bits(flags: [bool; 3]) -> u8 {
    flags.into_iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(flag))
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
    /// True if it stays in memory to the end.
    pub(super) is_kept: bool,
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
            is_kept: false,
        }
    }

    /// Encodes a node whose records are written.
    pub(super) fn encode(&self) -> Vec<u8> {
        let path = match &self.source {
            NodeSource::New => None,
            NodeSource::Parent { path } => Some(path),
        };
        let flags = [path.is_some(), self.is_directory, self.is_linked];
        let mut bytes = vec![bits(flags)];
        if let Some(path) = path {
            put_text(&mut bytes, path);
        }
        put_number(&mut bytes, self.groups.into());
        for Name { parent, name, is_original, is_written, is_after_removal } in &self.names {
            bytes.push(NAME | bits([*is_original, *is_written, *is_after_removal]));
            put_number(&mut bytes, (*parent).into());
            put_text(&mut bytes, name);
        }
        bytes.push(0);
        self.metadata.put(&mut bytes);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<NodeState, Malformed> {
        let mut from = Decoder(bytes);
        let flags = from.byte()?;
        let source = match flags & 1 {
            0 => NodeSource::New,
            _ => NodeSource::Parent { path: from.text()?.into() },
        };
        let mut node = NodeState::of(source);
        (node.is_directory, node.is_linked) = (flags & 2 != 0, flags & 4 != 0);
        node.groups = from.number_u32()?;
        loop {
            let flags = from.byte()?;
            if flags == 0 {
                break;
            }
            let parent = from.number_u32()?;
            node.names.push(Name {
                parent,
                name: from.text()?.into(),
                is_original: flags & 1 != 0,
                is_written: flags & 2 != 0,
                is_after_removal: flags & 4 != 0,
            });
        }
        node.metadata = FileMetadata::decode(&mut from)?;
        Ok(node)
    }

    pub(super) fn record(&self, id: NodeId) -> Node {
        Node { id, is_linked: self.is_linked, metadata: self.metadata.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_survives_its_encoding() {
        let mut node = NodeState::of(NodeSource::Parent { path: b"a/b"[..].into() });
        (node.is_directory, node.groups) = (true, 7);
        node.metadata.owner = Some((1, 2));
        node.metadata.length.write_to(5);
        node.names.push(Name { is_original: true, ..Name::new(0, b"a") });
        node.names.push(Name { is_written: true, is_after_removal: true, ..Name::new(9, b"\xff") });
        let new = NodeState { is_linked: true, is_dirty: false, ..NodeState::new(FileType::Fifo) };
        for node in [node, new] {
            let decoded = NodeState::decode(&node.encode()).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{node:?}"));
        }
        assert!(NodeState::decode(b"\x01").is_err());
    }
}

//! The records of an index: keys and values.
//!
//! An index is one sorted table. The first byte of a key says what the record describes:
//!
//! | key | value |
//! | --- | --- |
//! | `B`, path in the parent, NUL, node (4 bytes) | the [`Node`] that has this path in the parent, and changes |
//! | `E`, node of a directory (4 bytes), name | [`Entry`]: what has this name at the end |
//! | `N`, node (4 bytes), number (4 bytes) | a group of operations on the content of the node, in order |
//!
//! Numbers in keys are big-endian, so that they sort. Node 0 is the root of the subvolume; its
//! `B` record has an empty path, also in the index of a full. If a file of the parent has several
//! `B` records, they apply in the order of their nodes.

use btrfs_sendstream::Time;

use crate::codec::{Decoder, Malformed, put_number, put_signed, put_text};

pub type NodeId = u32;
pub const ROOT: NodeId = 0;

/// Length of the target of a symlink, of which Linux takes one byte less. A page of longer ones would
/// take all memory.
const TARGET_BYTES_MAX: usize = 4096;

/// Kind of a file, by its number in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    File = 1,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

const TYPES: [FileType; 7] = [
    FileType::File,
    FileType::Directory,
    FileType::Symlink,
    FileType::CharDevice,
    FileType::BlockDevice,
    FileType::Fifo,
    FileType::Socket,
];

/// The length of a file, as far as the stream tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// The length that was set, if it was.
    pub set: Option<u64>,
    /// End of the last byte that was written beyond it.
    pub written_to: u64,
}

/// Metadata that the stream sets. A field of a node that the parent has already is `None` if it
/// stays as it was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileMetadata {
    pub file_type: Option<FileType>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
    pub length: Length,
    pub modified: Option<Time>,
    pub accessed: Option<Time>,
    /// Target of a symlink.
    pub target: Option<Vec<u8>>,
    /// Number of a device.
    pub rdev: Option<u64>,
}

/// A node that the parent has already, and that the stream changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    /// True if the stream gives it another name beside the one that it has.
    pub is_linked: bool,
    pub metadata: FileMetadata,
}

/// Target of a name in a directory at the end of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The parent has something of this name; now there is nothing.
    Removed,
    /// A file that the stream creates.
    New(Node),
    /// A file of the parent, which has this path there.
    Moved { node: Node, path: Vec<u8> },
}

impl Length {
    pub fn set(&mut self, length: u64) {
        *self = Length { set: Some(length), written_to: 0 };
    }

    pub fn write_to(&mut self, end: u64) {
        match &mut self.set {
            Some(length) => *length = end.max(*length),
            None => self.written_to = end.max(self.written_to),
        }
    }

    /// Returns the length of a file that was `before` bytes long.
    pub fn after(&self, before: u64) -> u64 {
        self.set.unwrap_or(before).max(self.written_to)
    }
}

impl FileMetadata {
    /// Returns the metadata of a file that had `self` before and was changed by `change`.
    pub fn changed(&self, change: &FileMetadata) -> FileMetadata {
        let before = self.length.after(0);
        FileMetadata {
            file_type: self.file_type,
            mode: change.mode.or(self.mode),
            owner: change.owner.or(self.owner),
            length: Length { set: Some(change.length.after(before)), written_to: 0 },
            modified: change.modified.or(self.modified),
            accessed: change.accessed.or(self.accessed),
            target: self.target.clone(),
            rdev: self.rdev,
        }
    }

    /// Returns the metadata of a file that the stream creates: the length is known.
    pub fn created(mut self) -> FileMetadata {
        self.length.set(self.length.after(0));
        self
    }

    pub fn put(&self, bytes: &mut Vec<u8>) {
        let fields = [
            self.file_type.is_some(),
            self.mode.is_some(),
            self.owner.is_some(),
            self.length.set.is_some(),
            self.length.written_to > 0,
            self.modified.is_some(),
            self.accessed.is_some(),
            self.target.is_some(),
            self.rdev.is_some(),
        ];
        let set = fields.iter().rev().fold(0, |set, field| set << 1 | u64::from(*field));
        put_number(bytes, set);
        if let Some(file_type) = self.file_type {
            bytes.push(file_type as u8);
        }
        if let Some(mode) = self.mode {
            put_number(bytes, mode.into());
        }
        if let Some((user, group)) = self.owner {
            put_number(bytes, user.into());
            put_number(bytes, group.into());
        }
        if let Some(length) = self.length.set {
            put_number(bytes, length);
        }
        if self.length.written_to > 0 {
            put_number(bytes, self.length.written_to);
        }
        for time in [self.modified, self.accessed].into_iter().flatten() {
            put_signed(bytes, time.seconds);
            put_number(bytes, time.nanos.into());
        }
        if let Some(target) = &self.target {
            put_text(bytes, target);
        }
        if let Some(rdev) = self.rdev {
            put_number(bytes, rdev);
        }
    }

    pub fn decode(from: &mut Decoder<'_>) -> Result<FileMetadata, Malformed> {
        let set = from.number()?;
        let has = |field: u32| set & 1 << field != 0;
        let mut metadata = FileMetadata::default();
        if has(0) {
            let number = usize::from(from.byte()?);
            let file_type = number.checked_sub(1).and_then(|n| TYPES.get(n));
            metadata.file_type = Some(*file_type.ok_or(Malformed("a known type of file"))?);
        }
        if has(1) {
            metadata.mode = Some(from.number_u32()?);
        }
        if has(2) {
            metadata.owner = Some((from.number_u32()?, from.number_u32()?));
        }
        if has(3) {
            metadata.length.set = Some(from.number()?);
        }
        if has(4) {
            metadata.length.written_to = from.number()?;
        }
        let mut time = |is_set: bool| -> Result<Option<Time>, Malformed> {
            if !is_set {
                return Ok(None);
            }
            Ok(Some(Time { seconds: from.signed()?, nanos: from.number_u32()? }))
        };
        metadata.modified = time(has(5))?;
        metadata.accessed = time(has(6))?;
        if has(7) {
            let target = from.text()?;
            if target.len() > TARGET_BYTES_MAX {
                return Err(Malformed("a target of at most 4 KiB"));
            }
            metadata.target = Some(target.to_vec());
        }
        if has(8) {
            metadata.rdev = Some(from.number()?);
        }
        Ok(metadata)
    }
}

impl Node {
    pub fn put(&self, bytes: &mut Vec<u8>) {
        put_number(bytes, u64::from(self.id) << 1 | u64::from(self.is_linked));
        self.metadata.put(bytes);
    }

    pub fn decode(from: &mut Decoder<'_>) -> Result<Node, Malformed> {
        let number = from.number()?;
        let id = u32::try_from(number >> 1).map_err(|_| Malformed("a node"))?;
        Ok(Node { id, is_linked: number & 1 == 1, metadata: FileMetadata::decode(from)? })
    }
}

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Entry::Removed => bytes.push(0),
            Entry::New(node) => {
                bytes.push(1);
                node.put(&mut bytes);
            }
            Entry::Moved { node, path } => {
                bytes.push(2);
                node.put(&mut bytes);
                put_text(&mut bytes, path);
            }
        }
        bytes
    }

    pub fn decode(value: &[u8]) -> Result<Entry, Malformed> {
        let mut from = Decoder(value);
        match from.byte()? {
            0 => Ok(Entry::Removed),
            1 => Ok(Entry::New(Node::decode(&mut from)?)),
            2 => {
                let node = Node::decode(&mut from)?;
                Ok(Entry::Moved { node, path: from.text()?.to_vec() })
            }
            _ => Err(Malformed("a known kind of entry")),
        }
    }
}

pub fn base_key(path: &[u8], node: NodeId) -> Vec<u8> {
    [&base_keys(path)[..], &node.to_be_bytes()].concat()
}

/// Returns the common start of the keys of all nodes that have this path in the parent.
pub fn base_keys(path: &[u8]) -> Vec<u8> {
    [b"B", path, b"\0"].concat()
}

/// Returns the common start of the keys of all nodes below a directory of the parent.
pub fn base_keys_below(path: &[u8]) -> Vec<u8> {
    match path {
        [] => b"B".to_vec(),
        _ => [b"B", path, b"/"].concat(),
    }
}

pub fn entry_key(directory: NodeId, name: &[u8]) -> Vec<u8> {
    [b"E", &directory.to_be_bytes()[..], name].concat()
}

pub fn content_key(node: NodeId, group: u32) -> Vec<u8> {
    [b"N", &node.to_be_bytes()[..], &group.to_be_bytes()].concat()
}

/// Returns the common start of the keys of all entries of a directory.
pub fn entry_keys(directory: NodeId) -> Vec<u8> {
    entry_key(directory, b"")
}

/// Returns the common start of the keys of all numbered groups of operations of a node.
pub fn content_keys(node: NodeId) -> Vec<u8> {
    [b"N", &node.to_be_bytes()[..]].concat()
}

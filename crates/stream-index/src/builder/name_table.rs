//! The names that a stream has mentioned, and the nodes that they lead to.
//!
//! A name that is not known here leads to the file of the parent that has it there, unless the
//! directory is new. After many others, directories and files that may be directories move to
//! temporary files, and other files are forgotten. A stream that names a forgotten file again has
//! no index.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use super::disk_map::DiskMap;
use super::error::BuildError;
use super::node::{Name, NodeSource, NodeState};
use super::node_set::NodeSet;
use crate::codec::Malformed;
use crate::operation::CloneSource;
use crate::record::{NodeId, ROOT};

/// Number of names in memory besides those of kept nodes, at some 600 bytes each with their nodes.
const RECENT_NAMES_MAX: usize = 1 << 16;
/// Number of directories and moved files of the parent that stay in memory, at some 500 bytes each.
/// Later ones move to temporary files.
const NODES_IN_MEMORY_MAX: usize = 50_000;
/// Number of forgotten names in directories of the parent that are in memory, at 9 to 18 bytes each.
const FORGOTTEN_IN_MEMORY_MAX: usize = 1_000_000;
/// Number of nodes, which have 31 bits.
const NODES_MAX: NodeId = NodeId::MAX >> 1;

/// Numbers of things that are kept in memory while an index is built. The rest is in temporary
/// files. The default bounds the memory; smaller limits let a test reach them with a small tree.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    pub recent_names: usize,
    pub nodes: usize,
    pub forgotten_names: usize,
}

impl Default for MemoryLimits {
    fn default() -> MemoryLimits {
        MemoryLimits {
            recent_names: RECENT_NAMES_MAX,
            nodes: NODES_IN_MEMORY_MAX,
            forgotten_names: FORGOTTEN_IN_MEMORY_MAX,
        }
    }
}

/// The node that a name leads to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Node(NodeId),
    /// The parent has something of this name, which was removed or moved.
    Removed,
    /// The name leads to a file that was forgotten, or nowhere.
    Forgotten,
}

pub(super) struct NameTable {
    limits: MemoryLimits,
    next: NodeId,
    slots: HashMap<Box<[u8]>, Slot>,
    nodes: HashMap<NodeId, NodeState>,
    /// Slots and nodes that moved out of the memory, and the keys of clone sources.
    moved_out: DiskMap,
    /// Keys of slots whose nodes are not kept, in the order in which they were used.
    recent_names: VecDeque<Box<[u8]>>,
    /// Number of nodes that stay in memory.
    kept: usize,
    /// Hashes of the keys of the first forgotten slots.
    forgotten_names: HashSet<u64>,
    hasher: RandomState,
    has_clone_sources: bool,
    /// Nodes that the parent has.
    of_parent: NodeSet,
    directories_of_parent: NodeSet,
    removed_directories: NodeSet,
    /// The key that is looked up, kept to save an allocation.
    key: Vec<u8>,
}

/// The directories at the end of the stream, which tell the records that are needed.
pub(super) struct Directories {
    removed: NodeSet,
    /// Directories that the parent has.
    of_parent: NodeSet,
}

impl Directories {
    /// Returns false for entries of directories that are gone, and for removed entries of
    /// directories that the parent does not have.
    pub(super) fn needs(&self, key: &[u8], value: &[u8]) -> bool {
        let Some((b"E", rest)) = key.split_at_checked(1) else { return true };
        let Some((directory, _)) = rest.split_first_chunk() else { return true };
        let directory = NodeId::from_be_bytes(*directory);
        let is_removed_entry = value == [0];
        !self.removed.contains(directory)
            && (!is_removed_entry || self.of_parent.contains(directory))
    }
}

/// Returns the path of a name in a directory of the parent.
fn below(path: &[u8], name: &[u8]) -> Box<[u8]> {
    if path.is_empty() { name.into() } else { [path, b"/", name].concat().into() }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Returns the key under which a slot, a node or a clone source moves out of the memory.
fn moved_key(kind: u8, key: &[u8]) -> Vec<u8> {
    [&[kind], key].concat()
}

/// Returns the key of a slot.
fn key_of(parent: NodeId, name: &[u8]) -> Box<[u8]> {
    [&parent.to_be_bytes(), name].concat().into()
}

fn slot_key(key: &[u8]) -> Vec<u8> {
    moved_key(b'S', key)
}

fn node_key(id: NodeId) -> Vec<u8> {
    moved_key(b'N', &id.to_be_bytes())
}

fn clone_key(key: &[u8]) -> Vec<u8> {
    moved_key(b'C', key)
}

fn unreadable(err: Malformed) -> BuildError {
    BuildError::Write(io::Error::other(err))
}

impl Slot {
    fn encode(self) -> Vec<u8> {
        match self {
            Slot::Removed | Slot::Forgotten => Vec::new(),
            Slot::Node(id) => id.to_be_bytes().to_vec(),
        }
    }

    fn decode(value: &[u8]) -> Result<Slot, Malformed> {
        match value {
            [] => Ok(Slot::Forgotten),
            _ => {
                let id = value.try_into().map_err(|_| Malformed("a node"))?;
                Ok(Slot::Node(NodeId::from_be_bytes(id)))
            }
        }
    }
}

impl NameTable {
    /// Temporary files are made in `directory` and have no name there.
    pub(super) fn new(directory: &Path, limits: MemoryLimits) -> NameTable {
        NameTable {
            limits,
            next: ROOT + 1,
            slots: HashMap::new(),
            nodes: HashMap::new(),
            moved_out: DiskMap::new(directory),
            recent_names: VecDeque::new(),
            kept: 0,
            forgotten_names: HashSet::new(),
            hasher: RandomState::new(),
            has_clone_sources: false,
            of_parent: NodeSet::default(),
            directories_of_parent: NodeSet::default(),
            removed_directories: NodeSet::default(),
            key: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, is_incremental: bool) {
        let mut root = match is_incremental {
            true => NodeState::of(NodeSource::Parent { path: Box::default() }),
            false => NodeState::new(crate::record::FileType::Directory),
        };
        root.is_directory = true;
        if is_incremental {
            self.of_parent.insert(ROOT);
            self.directories_of_parent.insert(ROOT);
        }
        self.nodes.insert(ROOT, root);
    }

    pub(super) fn node(&mut self, id: NodeId) -> Result<&mut NodeState, BuildError> {
        if !self.nodes.contains_key(&id) {
            self.move_in(id)?;
        }
        self.nodes.get_mut(&id).ok_or_else(|| BuildError::Forgotten { path: format!("node {id}") })
    }

    fn move_in(&mut self, id: NodeId) -> Result<(), BuildError> {
        let Some(value) = self.moved_out.get(&node_key(id))? else { return Ok(()) };
        self.moved_out.remove(&node_key(id))?;
        let node = NodeState::decode(&value).map_err(unreadable)?;
        let first = node.names.first().map(|name| (name.parent, name.name.clone()));
        self.nodes.insert(id, node);
        // By this name it moves out again.
        if let Some((parent, name)) = first {
            self.slot(parent, &name)?;
            self.recent_names.push_back(self.key[..].into());
        }
        Ok(())
    }

    /// Returns the nodes in memory. The records of the others are written.
    pub(super) fn ids(&self) -> Vec<NodeId> {
        let mut ids: Vec<_> = self.nodes.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn add(&mut self, node: NodeState) -> Result<NodeId, BuildError> {
        let id = self.next;
        if id == NODES_MAX {
            return Err(BuildError::TooMany { what: "files", limit: NODES_MAX as usize });
        }
        self.next += 1;
        if let NodeSource::Parent { .. } = node.source {
            self.of_parent.insert(id);
        }
        self.nodes.insert(id, node);
        Ok(id)
    }

    fn set_key(&mut self, parent: NodeId, name: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(&parent.to_be_bytes());
        self.key.extend_from_slice(name);
    }

    pub(super) fn slot(&mut self, parent: NodeId, name: &[u8]) -> Result<Option<Slot>, BuildError> {
        self.set_key(parent, name);
        if let Some(slot) = self.slots.get(&self.key[..]) {
            return Ok(Some(*slot));
        }
        let has_forgotten = !self.forgotten_names.is_empty();
        if has_forgotten && self.forgotten_names.contains(&self.hasher.hash_one(&self.key[..])) {
            return Ok(Some(Slot::Forgotten));
        }
        if self.moved_out.is_unused() {
            return Ok(None);
        }
        let key = slot_key(&self.key);
        let Some(value) = self.moved_out.get(&key)? else { return Ok(None) };
        let slot = Slot::decode(&value).map_err(unreadable)?;
        if let Slot::Node(_) = slot {
            self.moved_out.remove(&key)?;
            let key: Box<[u8]> = self.key[..].into();
            self.recent_names.push_back(key.clone());
            self.slots.insert(key, slot);
        }
        Ok(Some(slot))
    }

    /// Returns the directory of a path, and its last name.
    pub(super) fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(NodeId, &'p [u8]), BuildError> {
        let mut directory = ROOT;
        let mut rest = path;
        while let Some(slash) = rest.iter().position(|byte| *byte == b'/') {
            directory = self.step(directory, &rest[..slash], path)?;
            self.make_directory(directory)?;
            rest = &rest[slash + 1..];
        }
        Ok((directory, rest))
    }

    /// Returns the node of a path, its directory and its name.
    pub(super) fn find<'p>(
        &mut self,
        path: &'p [u8],
    ) -> Result<(NodeId, NodeId, &'p [u8]), BuildError> {
        let (parent, name) = self.parent(path)?;
        Ok((self.step(parent, name, path)?, parent, name))
    }

    /// Returns the node of a name. A file of the parent that is mentioned for the first time
    /// becomes a node.
    fn step(&mut self, parent: NodeId, name: &[u8], path: &[u8]) -> Result<NodeId, BuildError> {
        let lost = || BuildError::Forgotten { path: text(path) };
        match self.slot(parent, name)? {
            Some(Slot::Node(id)) => return Ok(id),
            Some(Slot::Removed | Slot::Forgotten) => return Err(lost()),
            None => {}
        }
        let NodeSource::Parent { path: base } = &self.node(parent)?.source else {
            return Err(lost());
        };
        let source = NodeSource::Parent { path: below(base, name) };
        let original = Name { is_original: true, ..Name::new(parent, name) };
        let id = self.add(NodeState { names: vec![original], ..NodeState::of(source) })?;
        self.insert(parent, name, Slot::Node(id))?;
        Ok(id)
    }

    fn make_directory(&mut self, id: NodeId) -> Result<(), BuildError> {
        let is_of_parent = self.of_parent.contains(id);
        let node = self.node(id)?;
        node.is_directory = true;
        node.is_dirty |= is_of_parent;
        if is_of_parent {
            self.directories_of_parent.insert(id);
        }
        Ok(())
    }

    fn insert(&mut self, parent: NodeId, name: &[u8], slot: Slot) -> Result<(), BuildError> {
        self.set_key(parent, name);
        let key: Box<[u8]> = self.key[..].into();
        if self.has_clone_sources && self.moved_out.get(&clone_key(&key))?.is_some() {
            return Err(BuildError::Forgotten { path: text(name) });
        }
        self.drop_moved_slot(&key)?;
        self.recent_names.push_back(key.clone());
        self.slots.insert(key, slot);
        Ok(())
    }

    /// Drops what is known of a name outside of the slots in memory.
    fn drop_moved_slot(&mut self, key: &[u8]) -> Result<(), BuildError> {
        if !self.forgotten_names.is_empty() {
            self.forgotten_names.remove(&self.hasher.hash_one(key));
        }
        if !self.moved_out.is_unused() {
            self.moved_out.remove(&slot_key(key))?;
        }
        Ok(())
    }

    pub(super) fn bind(
        &mut self,
        id: NodeId,
        parent: NodeId,
        name: &[u8],
    ) -> Result<(), BuildError> {
        self.insert(parent, name, Slot::Node(id))
    }

    /// Forgets a name that no record mentions.
    pub(super) fn free(&mut self, parent: NodeId, name: &[u8]) -> Result<(), BuildError> {
        self.set_key(parent, name);
        let key: Box<[u8]> = self.key[..].into();
        self.slots.remove(&key);
        self.drop_moved_slot(&key)
    }

    /// Notes that a name leads nowhere.
    pub(super) fn unbind(&mut self, parent: NodeId, name: &[u8]) -> Result<(), BuildError> {
        match self.of_parent.contains(parent) {
            true => self.insert(parent, name, Slot::Removed),
            false => self.free(parent, name),
        }
    }

    fn drop_node(&mut self, id: NodeId) {
        let was_kept = self.nodes.remove(&id).is_some_and(|node| node.is_kept);
        self.kept -= usize::from(was_kept);
    }

    /// Drops a directory, which is in memory because its name was just taken.
    pub(super) fn remove_directory(&mut self, id: NodeId) {
        self.drop_node(id);
        self.removed_directories.insert(id);
    }

    /// Forgets a file that no name leads to.
    pub(super) fn drop_nameless(&mut self, id: NodeId) {
        let is_nameless =
            |node: &NodeState| !node.is_directory && node.names.is_empty() && id != ROOT;
        if self.nodes.get(&id).is_some_and(is_nameless) {
            self.drop_node(id);
        }
    }

    /// Returns how many names more than the limit are in memory.
    pub(super) fn excess(&self) -> usize {
        self.recent_names.len().saturating_sub(self.limits.recent_names)
    }

    /// Takes the oldest name out of the memory. Returns a node whose records must be written before
    /// it moves out, too.
    pub(super) fn forget_oldest(&mut self) -> Result<Option<NodeId>, BuildError> {
        let Some(key) = self.recent_names.pop_front() else { return Ok(None) };
        let Some((parent, name)) = key.split_first_chunk() else { return Ok(None) };
        let parent = NodeId::from_be_bytes(*parent);
        let id = match self.slots.get(&key) {
            None => return Ok(None),
            Some(Slot::Removed | Slot::Forgotten) => {
                self.slots.remove(&key);
                self.note_forgotten(&key, parent)?;
                return Ok(None);
            }
            Some(Slot::Node(id)) => *id,
        };
        let Some(node) = self.nodes.get_mut(&id) else {
            self.slots.remove(&key);
            let has_moved_out = self.moved_out.get(&node_key(id))?.is_some();
            match has_moved_out {
                true => self.moved_out.put(&slot_key(&key), &Slot::Node(id).encode())?,
                false => self.note_forgotten(&key, parent)?,
            }
            return Ok(None);
        };
        let has_one_name = node.names.len() == 1;
        if node.is_kept && has_one_name {
            return Ok(None);
        }
        if std::mem::take(&mut node.is_kept) {
            self.kept -= 1;
            let keys = node.names.iter().map(|it| key_of(it.parent, &it.name));
            self.recent_names.extend(keys.filter(|other| *other != key));
        }
        let named = node.names.iter().find(|it| it.parent == parent && *it.name == *name);
        let is_original = named.is_some_and(|name| name.is_original);
        let is_moved = self.of_parent.contains(id) && !is_original;
        if (node.is_directory || is_moved) && has_one_name && self.kept < self.limits.nodes {
            node.is_kept = true;
            self.kept += 1;
            return Ok(None);
        }
        if !node.operations.is_empty() || (node.is_dirty && !node.is_directory) {
            // Its operations are being collected.
            self.recent_names.push_back(key);
            return Ok(None);
        }
        self.slots.remove(&key);
        if node.is_directory || is_moved {
            self.moved_out.put(&slot_key(&key), &Slot::Node(id).encode())?;
            return Ok(Some(id));
        }
        self.nodes.remove(&id);
        // A name that is no longer known is taken for a name of the parent, which is right if the
        // parent has this file there.
        if !is_original {
            self.note_forgotten(&key, parent)?;
        }
        Ok(None)
    }

    /// Moves a node out of the memory whose records are written.
    pub(super) fn move_out(&mut self, id: NodeId) -> Result<(), BuildError> {
        if let Some(node) = self.nodes.remove(&id) {
            self.moved_out.put(&node_key(id), &node.encode())?;
        }
        Ok(())
    }

    /// Notes that a name leads to nothing that is known. In a new directory every such name does.
    fn note_forgotten(&mut self, key: &[u8], parent: NodeId) -> Result<(), BuildError> {
        if !self.of_parent.contains(parent) || self.removed_directories.contains(parent) {
            return Ok(());
        }
        if self.forgotten_names.len() < self.limits.forgotten_names {
            self.forgotten_names.insert(self.hasher.hash_one(key));
            return Ok(());
        }
        Ok(self.moved_out.put(&slot_key(key), &Slot::Forgotten.encode())?)
    }

    /// Returns the source of a clone. A file that was forgotten is named by its directory and
    /// name, which then must not change.
    pub(super) fn clone_source(&mut self, path: &[u8]) -> Result<CloneSource, BuildError> {
        let (directory, name) = self.parent(path)?;
        let slot = self.slot(directory, name)?;
        let is_of_parent = slot.is_none() && self.of_parent.contains(directory);
        if matches!(slot, Some(Slot::Node(_))) || is_of_parent {
            let id = self.find(path)?.0;
            return Ok(match &self.node(id)?.source {
                NodeSource::New => CloneSource::Node(id),
                NodeSource::Parent { path } => CloneSource::Changed { path: path.to_vec() },
            });
        }
        self.set_key(directory, name);
        self.has_clone_sources = true;
        let key = clone_key(&self.key);
        self.moved_out.put(&key, &[])?;
        Ok(CloneSource::Name { directory, name: name.to_vec() })
    }

    pub(super) fn into_directories(self) -> Directories {
        Directories { removed: self.removed_directories, of_parent: self.directories_of_parent }
    }
}

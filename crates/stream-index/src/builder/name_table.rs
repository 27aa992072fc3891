//! The names that a stream has mentioned, and the nodes that they lead to.
//!
//! A name that is not known here leads to the file of the parent that has it there, unless the
//! directory is new. Files are forgotten after many others; then their names are either no longer
//! used, or the stream has no index.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::error::BuildError;
use super::node::{Name, NodeSource, NodeState};
use crate::operation::CloneSource;
use crate::record::{NodeId, ROOT};

/// Number of names that are remembered besides those of directories. An older one is forgotten.
const RECENT_NAMES_MAX: usize = 1 << 16;
/// Number of moved files of the parent that are remembered to the end, since they may be
/// directories.
const MOVED_FILES_MAX: usize = 200_000;
/// Number of forgotten names in directories of the parent, at 8 to 16 bytes each. A stream that
/// needs more has no index.
const FORGOTTEN_NAMES_MAX: usize = 8_000_000;
/// Number of forgotten names that clones refer to. A stream that needs more has no index.
const CLONE_SOURCES_MAX: usize = 500_000;
/// Number of nodes, which have 31 bits.
const NODES_MAX: NodeId = NodeId::MAX >> 1;

/// Limits on the names that are kept in memory while an index is built. The default bounds the
/// memory; smaller limits let a test reach them with a small tree.
#[derive(Clone, Copy, Debug)]
pub struct NameLimits {
    pub recent_names: usize,
    pub moved_files: usize,
    pub forgotten_names: usize,
    pub clone_sources: usize,
}

impl Default for NameLimits {
    fn default() -> NameLimits {
        NameLimits {
            recent_names: RECENT_NAMES_MAX,
            moved_files: MOVED_FILES_MAX,
            forgotten_names: FORGOTTEN_NAMES_MAX,
            clone_sources: CLONE_SOURCES_MAX,
        }
    }
}

/// The node that a name leads to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Node(NodeId),
    /// The parent has something of this name, which was removed or moved.
    Removed,
}

pub(super) struct NameTable {
    limits: NameLimits,
    is_incremental: bool,
    next: NodeId,
    slots: HashMap<Box<[u8]>, Slot>,
    nodes: HashMap<NodeId, NodeState>,
    /// Keys of slots that are not of directories, in the order in which they were used.
    recent_names: VecDeque<Box<[u8]>>,
    moved_files: usize,
    /// Hashes of the keys of forgotten slots.
    forgotten_names: HashSet<u64>,
    /// Keys of forgotten slots that clones refer to.
    clone_sources: HashSet<Box<[u8]>>,
    removed_directories: HashSet<NodeId>,
    /// The key that is looked up, kept to save an allocation.
    key: Vec<u8>,
}

/// The directories at the end of the stream, which tell the records that are needed.
pub(super) struct Directories {
    removed: HashSet<NodeId>,
    /// Directories that the parent has.
    of_parent: HashSet<NodeId>,
}

impl Directories {
    /// Returns false for entries of directories that are gone, and for removed entries of
    /// directories that the parent does not have.
    pub(super) fn needs(&self, key: &[u8], value: &[u8]) -> bool {
        let Some((b"E", rest)) = key.split_at_checked(1) else { return true };
        let Some((directory, _)) = rest.split_first_chunk() else { return true };
        let directory = NodeId::from_be_bytes(*directory);
        let is_removed_entry = value == [0];
        !self.removed.contains(&directory)
            && (!is_removed_entry || self.of_parent.contains(&directory))
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Returns the path of a name in a directory of the parent.
fn below(path: &[u8], name: &[u8]) -> Box<[u8]> {
    if path.is_empty() { name.into() } else { [path, b"/", name].concat().into() }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

impl NameTable {
    pub(super) fn new(limits: NameLimits) -> NameTable {
        NameTable {
            limits,
            is_incremental: false,
            next: ROOT + 1,
            slots: HashMap::new(),
            nodes: HashMap::new(),
            recent_names: VecDeque::new(),
            moved_files: 0,
            forgotten_names: HashSet::new(),
            clone_sources: HashSet::new(),
            removed_directories: HashSet::new(),
            key: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, is_incremental: bool) {
        self.is_incremental = is_incremental;
        let mut root = match is_incremental {
            true => NodeState::of(NodeSource::Parent { path: Box::default() }),
            false => NodeState::new(crate::record::FileType::Directory),
        };
        root.is_directory = true;
        self.nodes.insert(ROOT, root);
    }

    pub(super) fn node(&mut self, id: NodeId) -> Result<&mut NodeState, BuildError> {
        self.nodes.get_mut(&id).ok_or_else(|| BuildError::Forgotten { path: format!("node {id}") })
    }

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
        self.nodes.insert(id, node);
        Ok(id)
    }

    fn set_key(&mut self, parent: NodeId, name: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(&parent.to_be_bytes());
        self.key.extend_from_slice(name);
    }

    pub(super) fn slot(&mut self, parent: NodeId, name: &[u8]) -> Option<Slot> {
        self.set_key(parent, name);
        self.slots.get(&self.key[..]).copied()
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
        match self.slot(parent, name) {
            Some(Slot::Node(id)) => return Ok(id),
            Some(Slot::Removed) => return Err(lost()),
            None => {}
        }
        if self.forgotten_names.contains(&hash(&self.key)) {
            return Err(lost());
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
        let node = self.node(id)?;
        node.is_directory = true;
        node.is_dirty |= matches!(node.source, NodeSource::Parent { .. });
        Ok(())
    }

    fn insert(&mut self, parent: NodeId, name: &[u8], slot: Slot) -> Result<(), BuildError> {
        self.set_key(parent, name);
        let key: Box<[u8]> = self.key[..].into();
        if self.clone_sources.contains(&key) {
            return Err(BuildError::Forgotten { path: text(name) });
        }
        if !self.forgotten_names.is_empty() {
            self.forgotten_names.remove(&hash(&key));
        }
        self.recent_names.push_back(key.clone());
        self.slots.insert(key, slot);
        if self.recent_names.len() > self.limits.recent_names { self.forget() } else { Ok(()) }
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
    pub(super) fn free(&mut self, parent: NodeId, name: &[u8]) {
        self.set_key(parent, name);
        self.slots.remove(&self.key[..]);
    }

    /// Notes that a name leads nowhere.
    pub(super) fn unbind(&mut self, parent: NodeId, name: &[u8]) -> Result<(), BuildError> {
        if let NodeSource::Parent { .. } = self.node(parent)?.source {
            return self.insert(parent, name, Slot::Removed);
        }
        self.free(parent, name);
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, id: NodeId) {
        self.nodes.remove(&id);
        self.removed_directories.insert(id);
    }

    /// Forgets a file that no name leads to.
    pub(super) fn drop_nameless(&mut self, id: NodeId) {
        let is_nameless =
            |node: &NodeState| !node.is_directory && node.names.is_empty() && id != ROOT;
        if self.nodes.get(&id).is_some_and(is_nameless) {
            self.nodes.remove(&id);
        }
    }

    /// Forgets the oldest file.
    fn forget(&mut self) -> Result<(), BuildError> {
        let Some(key) = self.recent_names.pop_front() else { return Ok(()) };
        let Some((parent, name)) = key.split_first_chunk() else { return Ok(()) };
        let parent = NodeId::from_be_bytes(*parent);
        let is_original = match self.slots.get(&key) {
            None => return Ok(()),
            Some(Slot::Removed) => false,
            Some(Slot::Node(id)) => {
                let id = *id;
                let Some(node) = self.nodes.get(&id) else {
                    return self.forget_name(key, false);
                };
                if node.is_directory {
                    return Ok(());
                }
                let is_current = node.is_dirty || !node.operations.is_empty();
                let is_of_parent = matches!(node.source, NodeSource::Parent { .. });
                let named = node.names.iter().find(|it| it.parent == parent && *it.name == *name);
                let is_original = named.is_some_and(|name| name.is_original);
                if is_of_parent && !is_original && self.moved_files < self.limits.moved_files {
                    self.moved_files += 1;
                    return Ok(());
                }
                if is_current {
                    self.recent_names.push_back(key);
                    return Ok(());
                }
                self.nodes.remove(&id);
                is_original
            }
        };
        self.forget_name(key, is_original)
    }

    /// Forgets a name. Unless its directory is new, it would now be taken for a name of the
    /// parent, which is right only if the parent has this file there (`is_original`).
    fn forget_name(&mut self, key: Box<[u8]>, is_original: bool) -> Result<(), BuildError> {
        self.slots.remove(&key);
        let Some((parent, _)) = key.split_first_chunk() else { return Ok(()) };
        let parent = NodeId::from_be_bytes(*parent);
        let is_of_parent = self
            .nodes
            .get(&parent)
            .is_some_and(|node| matches!(node.source, NodeSource::Parent { .. }));
        if is_of_parent && !is_original {
            let limit = self.limits.forgotten_names;
            if self.forgotten_names.len() == limit {
                return Err(BuildError::TooMany { what: "changed names", limit });
            }
            self.forgotten_names.insert(hash(&key));
        }
        Ok(())
    }

    /// Returns the source of a clone. A file that was forgotten is named by its directory and
    /// name, which then must not change.
    pub(super) fn clone_source(&mut self, path: &[u8]) -> Result<CloneSource, BuildError> {
        let (directory, name) = self.parent(path)?;
        let slot = self.slot(directory, name);
        let is_new = matches!(self.node(directory)?.source, NodeSource::New);
        self.set_key(directory, name);
        let is_of_parent = !is_new && !self.forgotten_names.contains(&hash(&self.key));
        if matches!(slot, Some(Slot::Node(_))) || (slot.is_none() && is_of_parent) {
            let id = self.find(path)?.0;
            return Ok(match &self.node(id)?.source {
                NodeSource::New => CloneSource::Node(id),
                NodeSource::Parent { path } => CloneSource::Changed { path: path.to_vec() },
            });
        }
        let limit = self.limits.clone_sources;
        if self.clone_sources.len() == limit {
            return Err(BuildError::TooMany { what: "clones of earlier files", limit });
        }
        self.clone_sources.insert(self.key[..].into());
        Ok(CloneSource::Name { directory, name: name.to_vec() })
    }

    pub(super) fn into_directories(self) -> Directories {
        let of_parent = self.nodes.iter().filter(|(_, node)| {
            node.is_directory && matches!(node.source, NodeSource::Parent { .. })
        });
        let of_parent = of_parent.map(|(id, _)| *id).collect();
        Directories { removed: self.removed_directories, of_parent }
    }
}

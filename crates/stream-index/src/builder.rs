//! Builds the index of a stream from its commands.
//!
//! The kernel sends one inode after the other, so the records of a file are complete when the
//! next file begins, and most files are forgotten soon after. Directories, and files of the parent
//! that were moved, are remembered to the end, because later paths lead through them; a limited
//! number of them in memory, the others in temporary files. All records are sorted outside of the
//! memory.
//!
//! A stream that refers to a forgotten file in another way than the kernel does has no index:
//! the builder refuses it rather than guess.

mod change;
mod disk_map;
mod error;
mod name_table;
mod node;
mod node_set;

use std::io::{self, BufWriter, Seek};
use std::path::{Path, PathBuf};

use btrfs_sendstream::{Attribute, Command, CommandKind, Snapshot, Uuid};

use self::change::{change_of, device_type};
pub use self::error::BuildError;
pub use self::name_table::MemoryLimits;
use self::name_table::{NameTable, Slot};
use self::node::{Name, NodeSource, NodeState};
use crate::operation::{Change, CloneSource, Operation};
use crate::record::{Entry, FileType, NodeId, ROOT, base_key, content_key, entry_key};
use crate::sort::Sorter;
use crate::table::directory::StreamId;
use crate::table::write::{IndexFacts, TableWriter};

/// Number of operations on one file that are collected before they are sorted.
const OPERATIONS_MAX: usize = 4096;
/// Length from which a change ends its group: 4,096 shorter ones make 4 MiB, a quarter of a block.
const LONG_CHANGE_BYTES: usize = 1024;

pub struct IndexBuilder {
    directory: PathBuf,
    sorter: Sorter,
    names: NameTable,
    snapshot: Option<Snapshot>,
    /// The file whose operations are being collected.
    current: Option<NodeId>,
    /// The directory whose operations are being collected.
    current_directory: Option<NodeId>,
    /// The path of the last command and its node, which the next one usually has, too.
    last: Option<(Vec<u8>, NodeId)>,
    /// Length of the stream, once it has ended.
    ended_at: Option<u64>,
}

impl IndexBuilder {
    /// Starts an index. Temporary files are made in `directory` and have no name there.
    pub fn new(directory: &Path) -> IndexBuilder {
        IndexBuilder::with_limits(directory, MemoryLimits::default())
    }

    pub fn with_limits(directory: &Path, limits: MemoryLimits) -> IndexBuilder {
        IndexBuilder {
            directory: directory.to_owned(),
            sorter: Sorter::new(directory),
            names: NameTable::new(directory, limits),
            snapshot: None,
            current: None,
            current_directory: None,
            last: None,
            ended_at: None,
        }
    }

    /// Adds the next command of a verified stream.
    pub fn add(&mut self, command: &Command<'_>) -> Result<(), BuildError> {
        use Attribute::{Atime, Gid, Mode, Mtime, PathLink, PathTo, Rdev, Uid};
        let path = command.path().unwrap_or_default();
        match command.kind {
            CommandKind::Subvolume | CommandKind::Snapshot => {
                self.snapshot = command.snapshot();
                self.names.begin(command.kind == CommandKind::Snapshot);
            }
            CommandKind::Mkfile => self.create(path, FileType::File)?,
            CommandKind::Mkdir => self.create(path, FileType::Directory)?,
            CommandKind::Mkfifo => self.create(path, FileType::Fifo)?,
            CommandKind::Mksock => self.create(path, FileType::Socket)?,
            CommandKind::Mknod => {
                let mode = command.number(Mode).unwrap_or_default();
                self.create(path, device_type(mode))?;
                let rdev = command.number(Rdev);
                self.change(path, |node| node.metadata.rdev = rdev)?;
            }
            CommandKind::Symlink => {
                self.create(path, FileType::Symlink)?;
                let target = command.bytes(PathLink).map(<[u8]>::to_vec);
                self.change(path, |node| node.metadata.target = target)?;
            }
            CommandKind::Rename => self.rename(path, command.bytes(PathTo).unwrap_or_default())?,
            CommandKind::Link => self.link(path, command.bytes(PathLink).unwrap_or_default())?,
            CommandKind::Unlink | CommandKind::Rmdir => self.remove(path)?,
            CommandKind::Chmod => {
                let mode = command.number(Mode).map(|mode| mode as u32 & 0o7777);
                self.change(path, |node| node.metadata.mode = mode)?;
            }
            CommandKind::Chown => {
                let number = |attribute| command.number(attribute).unwrap_or_default() as u32;
                let owner = (number(Uid), number(Gid));
                self.change(path, |node| node.metadata.owner = Some(owner))?;
            }
            CommandKind::Utimes => {
                let (modified, accessed) = (command.time(Mtime), command.time(Atime));
                self.change(path, |node| {
                    node.metadata.modified = modified;
                    node.metadata.accessed = accessed;
                })?;
            }
            CommandKind::Write
            | CommandKind::EncodedWrite
            | CommandKind::Clone
            | CommandKind::Truncate
            | CommandKind::Fallocate
            | CommandKind::SetXattr
            | CommandKind::RemoveXattr => self.operate(path, command)?,
            // `btrfs receive` ignores inode flags.
            CommandKind::FileAttributes => {}
            CommandKind::UpdateExtent => {
                return Err(BuildError::Unsupported { what: "no data" });
            }
            CommandKind::End => self.ended_at = Some(command.range.end),
        }
        self.forget_oldest()
    }

    /// Takes the oldest names out of the memory if there are too many.
    fn forget_oldest(&mut self) -> Result<(), BuildError> {
        for _ in 0..self.names.excess() {
            if let Some(id) = self.names.forget_oldest()? {
                self.write_node(id)?;
                self.names.move_out(id)?;
            }
        }
        Ok(())
    }

    fn create(&mut self, path: &[u8], file_type: FileType) -> Result<(), BuildError> {
        self.last = None;
        let (parent, name) = self.names.parent(path)?;
        let id = self.names.add(NodeState::new(file_type))?;
        self.bind(id, parent, name)
    }

    /// Gives a node a name. What had it before is gone.
    fn bind(&mut self, id: NodeId, parent: NodeId, name: &[u8]) -> Result<(), BuildError> {
        if let Some(Slot::Node(replaced)) = self.names.slot(parent, name)?
            && replaced != id
        {
            self.unbind(replaced, parent, name)?;
            self.complete(replaced)?;
        }
        let slot = self.names.slot(parent, name)?;
        let is_after_removal = matches!(slot, Some(Slot::Removed | Slot::Forgotten));
        // A record of what had the name before may have been written.
        let is_written = slot == Some(Slot::Forgotten);
        self.names.bind(id, parent, name)?;
        let node = self.names.node(id)?;
        node.names.push(Name { is_after_removal, is_written, ..Name::new(parent, name) });
        node.is_dirty = true;
        let is_directory = node.is_directory;
        if !is_directory { self.select(id) } else { Ok(()) }
    }

    /// Takes a name from a node.
    fn unbind(&mut self, id: NodeId, parent: NodeId, name: &[u8]) -> Result<(), BuildError> {
        let node = self.names.node(id)?;
        let at = node.names.iter().position(|it| it.parent == parent && *it.name == *name);
        let taken = at.map(|at| node.names.swap_remove(at));
        node.is_dirty = true;
        if taken.as_ref().is_none_or(|taken| taken.is_original || taken.is_written) {
            self.put_entry(parent, name, &Entry::Removed)?;
        } else if taken.is_some_and(|taken| !taken.is_after_removal) {
            // A temporary name of the kernel.
            return self.names.free(parent, name);
        }
        self.names.unbind(parent, name)
    }

    fn rename(&mut self, path: &[u8], to: &[u8]) -> Result<(), BuildError> {
        self.last = None;
        let (id, parent, name) = self.names.find(path)?;
        self.unbind(id, parent, name)?;
        let (parent, name) = self.names.parent(to)?;
        self.bind(id, parent, name)
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), BuildError> {
        self.last = None;
        let (id, ..) = self.names.find(target)?;
        self.names.node(id)?.is_linked = true;
        let (parent, name) = self.names.parent(path)?;
        self.bind(id, parent, name)
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), BuildError> {
        self.last = None;
        let (parent, name) = self.names.parent(path)?;
        match self.names.slot(parent, name)? {
            Some(Slot::Node(id)) => {
                self.unbind(id, parent, name)?;
                let node = self.names.node(id)?;
                if node.is_directory {
                    // A directory of the parent counts as a file until a path leads through it.
                    self.current.take_if(|current| *current == id);
                    self.current_directory.take_if(|current| *current == id);
                    self.names.remove_directory(id);
                    return Ok(());
                }
                self.complete(id)
            }
            Some(Slot::Removed | Slot::Forgotten) | None => {
                self.put_entry(parent, name, &Entry::Removed)?;
                self.names.unbind(parent, name)
            }
        }
    }

    /// Returns the node of a path.
    fn node_at(&mut self, path: &[u8]) -> Result<NodeId, BuildError> {
        if let Some((last, id)) = &self.last
            && last == path
        {
            return Ok(*id);
        }
        if path.is_empty() {
            return Ok(ROOT);
        }
        let (id, ..) = self.names.find(path)?;
        self.last = Some((path.to_vec(), id));
        Ok(id)
    }

    fn change(
        &mut self,
        path: &[u8],
        change: impl FnOnce(&mut NodeState),
    ) -> Result<(), BuildError> {
        let id = self.node_at(path)?;
        let node = self.names.node(id)?;
        node.is_dirty = true;
        change(node);
        if node.is_directory { Ok(()) } else { self.select(id) }
    }

    fn operate(&mut self, path: &[u8], command: &Command<'_>) -> Result<(), BuildError> {
        let id = self.node_at(path)?;
        let snapshot = self.snapshot.as_ref();
        let Some(change) = change_of(command, snapshot, &mut self.names)? else { return Ok(()) };
        let node = self.names.node(id)?;
        node.is_dirty = true;
        match &change {
            Change::Write { offset, data } => {
                node.metadata.length.write_to(offset + (data.end - data.start));
            }
            Change::EncodedWrite(write) => {
                node.metadata.length.write_to(write.offset.saturating_add(write.length));
            }
            Change::Clone { offset, length, .. } => {
                node.metadata.length.write_to(offset.saturating_add(*length));
            }
            Change::Truncate { length } => node.metadata.length.set(*length),
            Change::Hole { .. } | Change::SetXattr { .. } | Change::RemoveXattr { .. } => {}
        }
        let is_long = is_long(&change);
        node.operations.push(Operation { at: command.range.start, change });
        if is_long || node.operations.len() == OPERATIONS_MAX {
            self.write_operations(id)?;
        }
        match self.names.node(id)?.is_directory {
            true => self.select_directory(id),
            false => self.select(id),
        }
    }

    /// Makes a directory the one whose operations are collected. Those of the one before are
    /// written.
    fn select_directory(&mut self, id: NodeId) -> Result<(), BuildError> {
        match self.current_directory.replace(id) {
            Some(before) if before != id => self.write_operations(before),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes a file the current one. The one before is complete for now.
    fn select(&mut self, id: NodeId) -> Result<(), BuildError> {
        match self.current.replace(id) {
            Some(before) if before != id => self.complete(before),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes the records of a file, and forgets it if no name leads to it any more.
    fn complete(&mut self, id: NodeId) -> Result<(), BuildError> {
        self.current.take_if(|current| *current == id);
        self.write_node(id)?;
        self.names.drop_nameless(id);
        Ok(())
    }

    fn write_operations(&mut self, id: NodeId) -> Result<(), BuildError> {
        let node = self.names.node(id)?;
        if node.operations.is_empty() {
            return Ok(());
        }
        let value = crate::operation::encode(&node.operations);
        let key = content_key(id, node.groups);
        node.operations.clear();
        node.groups += 1;
        Ok(self.sorter.put(&key, &value)?)
    }

    /// Writes the records of a node, if they changed since it was last written.
    fn write_node(&mut self, id: NodeId) -> Result<(), BuildError> {
        self.write_operations(id)?;
        let node = self.names.node(id)?;
        if !std::mem::take(&mut node.is_dirty) {
            return Ok(());
        }
        let record = node.record(id);
        let mut value = Vec::new();
        if let NodeSource::Parent { path } = &node.source {
            record.put(&mut value);
            self.sorter.put(&base_key(path, id), &value)?;
        }
        let entry = match &node.source {
            NodeSource::New => Entry::New(record),
            NodeSource::Parent { path } => Entry::Moved { node: record, path: path.to_vec() },
        };
        let value = entry.encode();
        for name in node.names.iter_mut().filter(|name| !name.is_original) {
            name.is_written = true;
            self.sorter.put(&entry_key(name.parent, &name.name), &value)?;
        }
        Ok(())
    }

    fn put_entry(&mut self, parent: NodeId, name: &[u8], entry: &Entry) -> Result<(), BuildError> {
        Ok(self.sorter.put(&entry_key(parent, name), &entry.encode())?)
    }

    /// Writes the index into a temporary file, after END.
    pub fn finish(mut self) -> Result<(std::fs::File, IndexFacts), BuildError> {
        let (Some(snapshot), Some(bytes)) = (self.snapshot.take(), self.ended_at) else {
            return Err(BuildError::Unfinished);
        };
        for id in self.names.ids() {
            self.write_node(id)?;
        }
        let root = self.names.node(ROOT)?.record(ROOT);
        let mut value = Vec::new();
        root.put(&mut value);
        self.sorter.put(&base_key(b"", ROOT), &value)?;
        let Uuid(uuid) = snapshot.uuid;
        let is_incremental = snapshot.is_incremental();
        let stream = StreamId { bytes, uuid, ctransid: snapshot.ctransid, is_incremental };
        let file = tempfile::tempfile_in(&self.directory)?;
        let mut writer = TableWriter::new(BufWriter::new(file), stream)?;
        let IndexBuilder { sorter, names, .. } = self;
        let directories = names.into_directories();
        sorter.finish(|key, value| {
            let is_needed = directories.needs(key, value);
            if is_needed { writer.put(key, value) } else { Ok(()) }
        })?;
        let (out, facts) = writer.finish()?;
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok((file, facts))
    }
}
/// Returns true for a change whose record may be long. It ends its group, because a group is one
/// record, which has to fit into a block.
fn is_long(change: &Change) -> bool {
    match change {
        Change::SetXattr { value, .. } => value.len() > LONG_CHANGE_BYTES,
        Change::Clone { source: CloneSource::Parent { path }, .. }
        | Change::Clone { source: CloneSource::Changed { path }, .. } => {
            path.len() > LONG_CHANGE_BYTES
        }
        Change::Clone { source: CloneSource::Node(_) | CloneSource::Name { .. }, .. }
        | Change::Write { .. }
        | Change::EncodedWrite(_)
        | Change::Truncate { .. }
        | Change::Hole { .. }
        | Change::RemoveXattr { .. } => false,
    }
}

//! The differences between two backups, found while both trees are read side by side.
//!
//! They are found in the order in which they are printed, so that none is kept: that of the bytes of
//! the paths, in which the content of the directory `a` is after the file `a-b` and before the file
//! `a0`. So a directory waits until the next name is after its content. All directories that wait
//! are beginnings of one name, and of each other, so there are at most 255 of them on each level of
//! the tree, and the last one is the first to be read.

use btrfs_stream_index::FileMetadata;
use btrfs_stream_index::chain::{
    ChainFile, EntryReader, IndexChain, IndexChainError, SeenDirectories, check_path, join,
    release_outer,
};

/// The way in which a path differs between two backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathChange {
    Added,
    Removed,
    Changed,
}

/// Two backups of one chain or of two. Two files differ if their type, length, time of change, mode
/// or owner do, or if a backup between them changed them. A directory that was added or removed
/// stands for all of its content.
pub struct TreeDiff<'c> {
    before: &'c IndexChain,
    after: &'c IndexChain,
    is_one_chain: bool,
    entered: Vec<DirectoryPair>,
    /// The path of the present directory.
    path: Vec<u8>,
    seen_before: SeenDirectories,
    seen_after: SeenDirectories,
}

/// A directory that both backups have.
struct DirectoryPair {
    /// Length of its path, with which the present path begins.
    path_bytes: usize,
    before: EntryReader,
    after: EntryReader,
    waiting: Vec<WaitingPair>,
}

/// A directory of a directory, whose content comes later.
struct WaitingPair {
    name: Vec<u8>,
    before: ChainFile,
    after: ChainFile,
}

impl<'c> TreeDiff<'c> {
    /// Begins at the roots. `before` is the older backup.
    pub fn new(
        before: &'c IndexChain,
        after: &'c IndexChain,
        is_one_chain: bool,
    ) -> Result<TreeDiff<'c>, IndexChainError> {
        let mut diff = TreeDiff {
            before,
            after,
            is_one_chain,
            entered: Vec::new(),
            path: Vec::new(),
            seen_before: SeenDirectories::default(),
            seen_after: SeenDirectories::default(),
        };
        if let (Some(old), Some(new)) = (before.lookup(b"")?, after.lookup(b"")?)
            && diff.may_differ_below(&old, &new)
        {
            diff.enter(Vec::new(), old, new)?;
        }
        Ok(diff)
    }

    /// Returns the next difference in the order of the paths.
    pub fn next_change(&mut self) -> Result<Option<(PathChange, Vec<u8>)>, IndexChainError> {
        while let Some(innermost) = self.entered.last_mut() {
            let next = innermost.next_name(self.before, self.after)?;
            if let Some(WaitingPair { name, before, after }) =
                innermost.read_before(next.as_deref())
            {
                self.enter(join(&self.path, &name), before, after)?;
                continue;
            }
            let Some(name) = next else {
                self.entered.pop();
                self.path.truncate(self.entered.last().map_or(0, |above| above.path_bytes));
                continue;
            };
            let old = take_named(&mut innermost.before, self.before, &name)?;
            let new = take_named(&mut innermost.after, self.after, &name)?;
            if let Some(change) = self.compare(&name, old, new)? {
                return Ok(Some((change, join(&self.path, &name))));
            }
        }
        Ok(None)
    }

    /// Compares what both backups have under one name of the present directory.
    fn compare(
        &mut self,
        name: &[u8],
        old: Option<ChainFile>,
        new: Option<ChainFile>,
    ) -> Result<Option<PathChange>, IndexChainError> {
        let (before, after) = match (old, new) {
            (Some(before), Some(after)) => (before, after),
            (Some(_), None) => return Ok(Some(PathChange::Removed)),
            (None, _) => return Ok(Some(PathChange::Added)),
        };
        let has_changed = self.has_changed(&before, &after)?;
        if before.is_directory()
            && after.is_directory()
            && self.may_differ_below(&before, &after)
            && let Some(innermost) = self.entered.last_mut()
        {
            innermost.waiting.push(WaitingPair { name: name.to_vec(), before, after });
        }
        Ok(has_changed.then_some(PathChange::Changed))
    }

    /// Returns true if two files of one name differ. The time of the last access does not count.
    fn has_changed(&self, old: &ChainFile, new: &ChainFile) -> Result<bool, IndexChainError> {
        let metadata = FileMetadata { accessed: old.metadata.accessed, ..new.metadata.clone() };
        if old.metadata != metadata || (self.is_one_chain && old.id() != new.id()) {
            return Ok(true);
        }
        if !self.is_one_chain {
            return Ok(false);
        }
        let (old, new) = (old.content_nodes(), new.content_nodes());
        match new.strip_prefix(&old[..]) {
            Some(since) => self.after.has_operations(since),
            None => Ok(true),
        }
    }

    fn may_differ_below(&self, old: &ChainFile, new: &ChainFile) -> bool {
        !(self.is_one_chain && old.is_unchanged(new))
    }

    fn enter(
        &mut self,
        path: Vec<u8>,
        before: ChainFile,
        after: ChainFile,
    ) -> Result<(), IndexChainError> {
        check_path(&path)?;
        self.seen_before.add(&before)?;
        self.seen_after.add(&after)?;
        let held = self.held();
        let readers = self.entered.iter_mut().flat_map(|pair| [&mut pair.before, &mut pair.after]);
        release_outer(held, readers);
        let (before, after) = (EntryReader::new(before), EntryReader::new(after));
        let (path_bytes, waiting) = (path.len(), Vec::new());
        self.entered.push(DirectoryPair { path_bytes, before, after, waiting });
        self.path = path;
        Ok(())
    }

    /// Returns the number of entries in memory.
    fn held(&self) -> usize {
        self.entered.iter().map(|pair| pair.before.held() + pair.after.held()).sum()
    }
}

impl DirectoryPair {
    /// Returns the first name that is left in either backup.
    fn next_name(
        &mut self,
        before: &IndexChain,
        after: &IndexChain,
    ) -> Result<Option<Vec<u8>>, IndexChainError> {
        let names = [self.before.next_name(before)?, self.after.next_name(after)?];
        Ok(names.into_iter().flatten().min().map(<[u8]>::to_vec))
    }

    /// Takes the directory whose content is before the next name, if there is one.
    fn read_before(&mut self, next: Option<&[u8]>) -> Option<WaitingPair> {
        let is_before = |waiting: &WaitingPair| {
            next.is_none_or(|next| waiting.name.iter().chain(b"/").lt(next))
        };
        if self.waiting.last().is_some_and(is_before) { self.waiting.pop() } else { None }
    }
}

/// Takes the next entry if it has this name.
fn take_named(
    entries: &mut EntryReader,
    chain: &IndexChain,
    name: &[u8],
) -> Result<Option<ChainFile>, IndexChainError> {
    if entries.next_name(chain)? != Some(name) {
        return Ok(None);
    }
    Ok(entries.take(chain)?.map(|(_, file)| file))
}

#[cfg(test)]
mod tests;

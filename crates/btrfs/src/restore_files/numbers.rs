//! Numbers the files of a walk. A second walk over the same index finds each under its number.

use std::collections::HashMap;

use btrfs_stream_index::chain::{ChainFile, FileId};

use super::piece::FileNumber;

/// The content of one name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// It has its own number.
    Own,
    /// It is that of another name.
    Shared(FileNumber),
    /// It has its own number, and if the file has other names, they do not share it: there are too
    /// many such files.
    Unlinked,
}

/// The decision about each file, by its number.
#[derive(Debug, Default)]
pub struct Numbers {
    /// One bit for each file that is to be restored.
    wanted: Vec<u64>,
    /// Contents of files with several names.
    linked: HashMap<FileId, LinkedContent>,
}

/// Maximum number of files with several names that are remembered, at some 60 bytes each, and a path
/// where a restore resumes. A file that was moved has had several. Each name of another one gets a
/// file of its own.
pub const LINKED_MAX: usize = 900_000;

/// The content that several names share.
#[derive(Clone, Debug, Default)]
struct LinkedContent {
    /// `None` while no name of it is to be restored.
    number: Option<FileNumber>,
    /// Number of names that are to be restored.
    names: u32,
    /// The path of a name that the target has, from an earlier run.
    placed: Option<Box<[u8]>>,
}

impl Numbers {
    pub fn want(&mut self, number: FileNumber) {
        let word = (number / 64) as usize;
        if self.wanted.len() <= word {
            self.wanted.resize(word + 1, 0);
        }
        self.wanted[word] |= 1 << (number % 64);
    }

    pub fn is_wanted(&self, number: FileNumber) -> bool {
        let word = self.wanted.get((number / 64) as usize).copied().unwrap_or(0);
        word & 1 << (number % 64) != 0
    }

    /// Returns the number of the content of a file, which all of its names share.
    pub fn content(&self, file: &ChainFile, number: FileNumber) -> FileNumber {
        match file.is_linked {
            true => self.linked.get(&file.id()).and_then(|linked| linked.number).unwrap_or(number),
            false => number,
        }
    }

    /// Returns what is known of the content of a file with several names; `None` if it has one, or
    /// if there are too many such files.
    fn linked(&mut self, file: &ChainFile) -> Option<&mut LinkedContent> {
        let id = file.id();
        let is_known =
            file.is_linked && (self.linked.len() < LINKED_MAX || self.linked.contains_key(&id));
        is_known.then(|| self.linked.entry(id).or_default())
    }

    /// Notes one more name of the content of a file.
    pub fn add_content(&mut self, file: &ChainFile, number: FileNumber) -> Content {
        let Some(linked) = self.linked(file) else {
            return if file.is_linked { Content::Unlinked } else { Content::Own };
        };
        linked.names += 1;
        match *linked.number.get_or_insert(number) {
            first if first == number => Content::Own,
            first => Content::Shared(first),
        }
    }

    /// Notes that the target has a file under this name.
    pub fn note_placed(&mut self, file: &ChainFile, path: &[u8]) {
        if let Some(linked) = self.linked(file) {
            linked.placed.get_or_insert_with(|| path.into());
        }
    }

    /// Returns the path of another name of a file that the target has.
    pub fn placed(&self, file: &ChainFile) -> Option<&[u8]> {
        self.linked.get(&file.id()).filter(|_| file.is_linked)?.placed.as_deref()
    }

    /// Takes one of the names of a file that are to be restored. Returns true if it is the last one,
    /// so that its content needs no other name any more.
    pub fn take_name(&mut self, file: &ChainFile) -> bool {
        let Some(linked) = self.linked.get_mut(&file.id()).filter(|_| file.is_linked) else {
            return true;
        };
        linked.names = linked.names.saturating_sub(1);
        linked.names == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_numbers_are_wanted() {
        let mut numbers = Numbers::default();
        [0, 63, 64, 1000].into_iter().for_each(|number| numbers.want(number));
        let wanted: Vec<_> = (0..2000).filter(|number| numbers.is_wanted(*number)).collect();
        assert_eq!(wanted, [0, 63, 64, 1000]);
    }
}

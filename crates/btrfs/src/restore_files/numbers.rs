//! Numbers the files of a walk. A second walk over the same index finds each under its number.

use std::collections::HashMap;

use btrfs_stream_index::chain::{ChainFile, FileId};

use super::piece::FileNumber;

/// The decision about each file, by its number.
#[derive(Debug, Default)]
pub struct Numbers {
    /// One bit for each file that is to be restored.
    wanted: Vec<u64>,
    /// Numbers of the content of files with several names.
    linked: HashMap<FileId, FileNumber>,
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
            true => self.linked.get(&file.id()).copied().unwrap_or(number),
            false => number,
        }
    }

    /// Notes the number of the content of a file. Returns false if another name of it has one.
    pub fn add_content(&mut self, file: &ChainFile, number: FileNumber) -> bool {
        !file.is_linked || *self.linked.entry(file.id()).or_insert(number) == number
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

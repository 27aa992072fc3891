//! The entries of one directory, read page by page. A page can be released while the directories below
//! are visited, so that a deep tree takes no more memory than a flat one.

use super::error::IndexChainError;
use super::file::ChainFile;
use super::listing::PAGE_ENTRIES;
use super::tree::IndexChain;

/// Number of entries that the readers of a walk hold together before the outermost are released, at
/// some 300 bytes each. Their pages are read again later.
pub const HELD_ENTRIES_MAX: usize = 16 * PAGE_ENTRIES;

pub struct EntryReader {
    directory: ChainFile,
    page: std::vec::IntoIter<(Vec<u8>, ChainFile)>,
    /// The name after which the next page begins; `None` if there is none.
    next: Option<Vec<u8>>,
    /// The last name that was taken.
    last: Vec<u8>,
    /// False if the entries were given.
    can_be_read_again: bool,
}

impl EntryReader {
    pub fn new(directory: ChainFile) -> EntryReader {
        let (page, next) = (Vec::new().into_iter(), Some(Vec::new()));
        EntryReader { directory, page, next, last: Vec::new(), can_be_read_again: true }
    }

    /// Returns a reader of these entries only.
    pub(super) fn of(directory: ChainFile, entries: Vec<(Vec<u8>, ChainFile)>) -> EntryReader {
        let page = entries.into_iter();
        EntryReader { directory, page, next: None, last: Vec::new(), can_be_read_again: false }
    }

    pub fn directory(&self) -> &ChainFile {
        &self.directory
    }

    pub fn into_directory(self) -> ChainFile {
        self.directory
    }

    /// Returns the name of the next entry.
    pub fn next_name(&mut self, chain: &IndexChain) -> Result<Option<&[u8]>, IndexChainError> {
        self.fill(chain)?;
        Ok(self.page.as_slice().first().map(|(name, _)| &name[..]))
    }

    /// Takes the next entry.
    pub fn take(
        &mut self,
        chain: &IndexChain,
    ) -> Result<Option<(Vec<u8>, ChainFile)>, IndexChainError> {
        self.fill(chain)?;
        let taken = self.page.next();
        if let Some((name, _)) = &taken {
            self.last.clone_from(name);
        }
        Ok(taken)
    }

    /// Reads the next page with an entry if the present one is used up.
    fn fill(&mut self, chain: &IndexChain) -> Result<(), IndexChainError> {
        while self.page.as_slice().is_empty()
            && let Some(after) = self.next.take()
        {
            let page = chain.list_page(&self.directory, &after, PAGE_ENTRIES)?;
            (self.page, self.next) = (page.entries.into_iter(), page.next);
        }
        Ok(())
    }

    /// Returns the number of entries in memory that can be released.
    pub fn held(&self) -> usize {
        if self.can_be_read_again { self.page.len() } else { 0 }
    }

    fn release(&mut self) {
        if self.held() > 0 {
            self.page = Vec::new().into_iter();
            self.next = Some(self.last.clone());
        }
    }
}

/// Releases the outermost readers of a walk, which come first, until those that are left hold few
/// enough entries. `held` is the number that all hold.
pub fn release_outer<'r>(mut held: usize, readers: impl IntoIterator<Item = &'r mut EntryReader>) {
    for reader in readers {
        if held <= HELD_ENTRIES_MAX {
            break;
        }
        held -= reader.held();
        reader.release();
    }
}

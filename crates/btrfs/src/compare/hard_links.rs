//! Checks that hard links connect the same names in both trees. Pure.
//!
//! If both trees give a file the same number of names, and each inode of the source always meets
//! the same inode of the restored tree, then the hard links are the same: neither inode has a name
//! left that could be elsewhere.

use std::collections::HashMap;

/// Maximum number of remembered inodes (40 MiB). For others only the link counts are compared.
pub const LINKED_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub struct HardLinks {
    seen: HashMap<u64, SeenInode>,
    pub forgotten: bool,
}

/// A source inode of which a name was met.
#[derive(Debug)]
struct SeenInode {
    /// Inode of the restored tree under that name.
    restored: u64,
    /// Number of names that were not met yet.
    names_left: u64,
}

/// The result of meeting one name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameMatch {
    /// No other name of this file was met before.
    First,
    /// Another name was met, with the same file in the restored tree.
    Again,
    /// Another name was met, with another file in the restored tree.
    Other,
}

impl HardLinks {
    /// Takes one name of a source inode, which has `names` of them, and the restored inode under
    /// the same name.
    pub fn meet(&mut self, source: u64, restored: u64, names: u64) -> NameMatch {
        if names < 2 {
            return NameMatch::First;
        }
        if let Some(seen) = self.seen.get_mut(&source) {
            let is_same = seen.restored == restored;
            seen.names_left -= 1;
            if seen.names_left == 0 {
                self.seen.remove(&source);
            }
            return if is_same { NameMatch::Again } else { NameMatch::Other };
        }
        if self.seen.len() >= LINKED_MAX {
            self.forgotten = true;
        } else {
            self.seen.insert(source, SeenInode { restored, names_left: names - 1 });
        }
        NameMatch::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_file_must_meet_one_file() {
        let mut links = HardLinks::default();
        #[rustfmt::skip]
        let cases = [
            // source, restored, names, is
            (1, 11, 1, NameMatch::First),
            (2, 12, 3, NameMatch::First),
            (2, 12, 3, NameMatch::Again),
            (3, 13, 2, NameMatch::First),
            (3, 12, 2, NameMatch::Other),
            (2, 12, 3, NameMatch::Again),
            // All names were met, so the inode may belong to another file now.
            (2, 14, 2, NameMatch::First),
        ];
        for (source, restored, names, want) in cases {
            assert_eq!(links.meet(source, restored, names), want, "{source} {restored}");
        }
        assert!(!links.forgotten);
    }

    #[test]
    fn an_inode_beyond_the_limit_is_reported() {
        let mut links = HardLinks::default();
        for n in 0..=LINKED_MAX as u64 {
            assert_eq!(links.meet(n, n, 2), NameMatch::First);
        }
        assert!(links.forgotten);
    }
}

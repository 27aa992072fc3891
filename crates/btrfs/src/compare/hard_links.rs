//! Which names are one file: the same in both trees.
//!
//! Where both sides say the same count of names, and each inode of the source
//! always meets the same inode of the restored tree, the names are shared out
//! alike: no other name is left over for any of them. Pure.

use std::collections::HashMap;

/// 40 MiB of them; more are told by their counts alone.
pub const LINKED_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub struct HardLinks {
    seen: HashMap<u64, FirstSight>,
    pub forgotten: bool,
}

#[derive(Debug)]
struct FirstSight {
    restored: u64,
    names_left: u64,
}

/// What one more name of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// No other name of this file has been met.
    First,
    /// Another name of it was met, with the same file on the other side.
    Again,
    /// It was met with another file.
    Other,
}

impl HardLinks {
    /// One name of an inode of the source that has `names`, and what it is in
    /// the restored tree.
    pub fn meet(&mut self, source: u64, restored: u64, names: u64) -> Name {
        if names < 2 {
            return Name::First;
        }
        if let Some(seen) = self.seen.get_mut(&source) {
            let is_same = seen.restored == restored;
            seen.names_left -= 1;
            if seen.names_left == 0 {
                self.seen.remove(&source);
            }
            return if is_same { Name::Again } else { Name::Other };
        }
        if self.seen.len() >= LINKED_MAX {
            self.forgotten = true;
        } else {
            self.seen.insert(source, FirstSight { restored, names_left: names - 1 });
        }
        Name::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_file_stay_together() {
        let mut links = HardLinks::default();
        #[rustfmt::skip]
        let cases = [
            // source, restored, names, is
            (1, 11, 1, Name::First),
            (2, 12, 3, Name::First),
            (2, 12, 3, Name::Again),
            (3, 13, 2, Name::First),
            (3, 12, 2, Name::Other),
            (2, 12, 3, Name::Again),
            // All names were met: the number may be another file's.
            (2, 14, 2, Name::First),
        ];
        for (source, restored, names, want) in cases {
            assert_eq!(links.meet(source, restored, names), want, "{source} {restored}");
        }
        assert!(!links.forgotten);
    }

    #[test]
    fn what_cannot_be_remembered_is_said() {
        let mut links = HardLinks::default();
        for n in 0..=LINKED_MAX as u64 {
            assert_eq!(links.meet(n, n, 2), Name::First);
        }
        assert!(links.forgotten);
    }
}

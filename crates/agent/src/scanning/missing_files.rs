//! Decides whether known files that a scan did not find are deleted.
//!
//! An unmounted filesystem leaves an empty directory, and an application soon puts a
//! first file into it. Taking its files as deleted would forget what is stored, so a
//! scan does not trust a root where everything is missing, nor one on another
//! filesystem than before where most files are missing.
//!
//! Pure.

use std::path::Path;

/// Known files of a watch, and those of them that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingFiles {
    pub known: u64,
    pub gone: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingVerdict {
    Deleted,
    /// Nothing is left: emptied, unmounted or replaced.
    NothingLeft,
    /// The root is on another filesystem, and most of its files are missing.
    OtherFilesystem,
}

/// `before` is the filesystem of the last complete scan, if one is recorded.
pub fn judge(missing: MissingFiles, before: Option<&str>, now: &str) -> MissingVerdict {
    let MissingFiles { known, gone } = missing;
    if gone > 0 && gone == known {
        return MissingVerdict::NothingLeft;
    }
    let moved = before.is_some_and(|before| before != now);
    // A tree that was copied to a new disk has most of its files.
    if moved && gone > known / 2 {
        MissingVerdict::OtherFilesystem
    } else {
        MissingVerdict::Deleted
    }
}

impl MissingVerdict {
    /// Returns why the scan of `root` fails; `None` if the missing files are deleted.
    pub fn error(self, root: &Path, missing: MissingFiles) -> Option<String> {
        let MissingFiles { known, gone } = missing;
        match self {
            MissingVerdict::Deleted => None,
            MissingVerdict::NothingLeft => Some(format!(
                "scan {root:?}: expected {known} known files, found none of them; check whether it was \
                 emptied or is not mounted; they are not taken as deleted until a new file is stored \
                 there"
            )),
            MissingVerdict::OtherFilesystem => Some(format!(
                "scan {root:?}: expected the filesystem of the last scan, found another one without \
                 {gone} of the {known} known files; check whether a filesystem is not mounted; no file \
                 is taken as deleted"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_an_unmounted_root_are_not_deleted() {
        use MissingVerdict::{Deleted, NothingLeft, OtherFilesystem};
        #[rustfmt::skip]
        let cases = [
            // situation                             known gone before      verdict
            ("nothing is missing",                   9,    0,   Some("a"),  Deleted),
            ("some are deleted",                     9,    8,   Some("a"),  Deleted),
            ("all are missing",                      9,    9,   Some("a"),  NothingLeft),
            ("no file is known",                     0,    0,   Some("b"),  Deleted),
            ("unmounted, and one file was recreated", 9,   8,   Some("b"),  OtherFilesystem),
            ("unmounted, and empty",                 9,    9,   Some("b"),  NothingLeft),
            ("copied to a new disk",                 9,    0,   Some("b"),  Deleted),
            ("copied, and some were deleted",        9,    4,   Some("b"),  Deleted),
            ("the database is older",                9,    8,   None,       Deleted),
        ];
        for (situation, known, gone, before, want) in cases {
            assert_eq!(judge(MissingFiles { known, gone }, before, "a"), want, "{situation}");
        }
    }
}

//! Decides what a restore does with one file by what has its name at the target. Pure.
//!
//! A file with the same length and time counts as restored: a restore sets the time of a file only
//! after all of its content was verified and written to the disk. A filesystem that keeps no
//! nanoseconds has cut them off. Anything else is replaced only on request, and a directory never.

use btrfs_sendstream::Time;
use btrfs_stream_index::{FileMetadata, FileType};

/// The entry of the target that has the name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    Nothing,
    File {
        bytes: u64,
        /// Seconds and nanoseconds.
        modified: (i64, u32),
    },
    Symlink {
        target: Vec<u8>,
    },
    Directory,
    /// A device, a FIFO or a socket.
    Special,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStep {
    Create,
    Replace,
    /// The file is there already.
    Skip,
    Refuse(Conflict),
}

/// The reason why a file cannot be restored at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("another file exists; pass --overwrite to replace it")]
    OtherFile,
    #[error("expected a file or nothing at its place, found a directory; move it away")]
    Directory,
}

/// Says whether other files are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingFiles {
    Keep,
    Replace,
}

/// Returns true if a filesystem may have made one time of the other: it keeps either nanoseconds, or
/// units of 100 ns (NTFS), 10 ms (exFAT), a second, or two seconds (FAT), and cuts the rest off.
fn is_cut_to(found: (i64, u32), wanted: (i64, u32)) -> bool {
    let units = [1, 100, 10_000_000, 1_000_000_000];
    let cut_nanos = |unit: u32| (wanted.0, wanted.1 - wanted.1 % unit);
    units.into_iter().any(|unit| found == cut_nanos(unit)) || found == (wanted.0 & !1, 0)
}

pub fn decide(wanted: &FileMetadata, existing: &Existing, overwrite: ExistingFiles) -> FileStep {
    let is_same = match existing {
        Existing::Nothing => return FileStep::Create,
        Existing::Directory => return FileStep::Refuse(Conflict::Directory),
        Existing::File { bytes, modified } => {
            let is_its_time = |time: Time| is_cut_to(*modified, (time.seconds, time.nanos));
            wanted.file_type == Some(FileType::File)
                && wanted.length.after(0) == *bytes
                && wanted.modified.is_some_and(is_its_time)
        }
        Existing::Symlink { target } => {
            wanted.file_type == Some(FileType::Symlink) && wanted.target.as_ref() == Some(target)
        }
        Existing::Special => false,
    };
    match (overwrite, is_same) {
        (ExistingFiles::Replace, _) => FileStep::Replace,
        (ExistingFiles::Keep, true) => FileStep::Skip,
        (ExistingFiles::Keep, false) => FileStep::Refuse(Conflict::OtherFile),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_file_is_skipped_and_others_are_replaced_on_request() {
        use FileStep::{Create, Refuse, Replace, Skip};
        let mut file = FileMetadata {
            file_type: Some(FileType::File),
            modified: Some(Time { seconds: 5, nanos: 6 }),
            ..FileMetadata::default()
        };
        file.length.set(100);
        let fine = FileMetadata {
            modified: Some(Time { seconds: 5, nanos: 123_456_789 }),
            ..file.clone()
        };
        let link = FileMetadata {
            file_type: Some(FileType::Symlink),
            target: Some(b"a".to_vec()),
            ..FileMetadata::default()
        };
        let of = |bytes, modified| Existing::File { bytes, modified };
        let to = |target: &[u8]| Existing::Symlink { target: target.to_vec() };
        let other = Refuse(Conflict::OtherFile);
        let directory = Refuse(Conflict::Directory);
        #[rustfmt::skip]
        let cases = [
            // wanted, existing,            keep,      replace
            (&file, Existing::Nothing,      Create,    Create),
            (&file, of(100, (5, 6)),        Skip,      Replace),
            (&file, of(101, (5, 6)),        other,     Replace),
            (&file, of(100, (5, 7)),        other,     Replace),
            (&file, of(100, (5, 0)),        Skip,      Replace),
            (&file, of(100, (4, 0)),        Skip,      Replace),
            (&file, of(100, (6, 0)),        other,     Replace),
            (&file, of(100, (4, 1)),        other,     Replace),
            (&fine, of(100, (5, 123_456_700)), Skip,   Replace),
            (&fine, of(100, (5, 120_000_000)), Skip,   Replace),
            (&fine, of(100, (5, 123_000_000)), other,  Replace),
            (&file, to(b"a"),               other,     Replace),
            (&file, Existing::Special,      other,     Replace),
            (&file, Existing::Directory,    directory, directory),
            (&link, to(b"a"),               Skip,      Replace),
            (&link, to(b"b"),               other,     Replace),
            (&link, of(100, (5, 6)),        other,     Replace),
        ];
        for (wanted, existing, keep, replace) in cases {
            assert_eq!(decide(wanted, &existing, ExistingFiles::Keep), keep, "{existing:?}");
            assert_eq!(decide(wanted, &existing, ExistingFiles::Replace), replace, "{existing:?}");
        }
    }
}

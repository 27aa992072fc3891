//! Decides what a restore does with one file by what has its name at the target. Pure.
//!
//! A file with the same length and time counts as restored: a restore sets the time of a file only
//! after all of its content was verified and written to the disk. Anything else is replaced only
//! on request, and a directory never.

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

pub fn decide(wanted: &FileMetadata, existing: &Existing, overwrite: ExistingFiles) -> FileStep {
    let is_same = match existing {
        Existing::Nothing => return FileStep::Create,
        Existing::Directory => return FileStep::Refuse(Conflict::Directory),
        Existing::File { bytes, modified } => {
            let time = wanted.modified.map(|time| (time.seconds, time.nanos));
            wanted.file_type == Some(FileType::File)
                && wanted.length.after(0) == *bytes
                && time == Some(*modified)
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
    use btrfs_sendstream::Time;

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

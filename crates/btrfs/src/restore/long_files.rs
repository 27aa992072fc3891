//! Finds the files that a stream writes much data to, and those of them that are complete. Pure.
//!
//! `btrfs send` sends the data of one file after that of another, so only the current file has to
//! be counted. Its times are the last thing that `btrfs send` sends of a file.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use btrfs_sendstream::{Command, CommandKind};

/// Minimum length for which opening the file once more pays off.
const LONG_BYTES: u64 = 1 << 20;
/// Minimum length for which comparing the file before the end of the stream pays off.
const COMPLETE_BYTES: u64 = 64 << 10;

#[derive(Debug, Default)]
pub struct LongFiles {
    /// Name of the subvolume.
    subvolume: Vec<u8>,
    /// Path of the current file in the subvolume.
    path: Vec<u8>,
    /// Bytes of the current file since the last call of `take`.
    bytes: u64,
    long: Vec<Vec<u8>>,
    /// All bytes of the current file.
    total: u64,
    complete: Vec<Vec<u8>>,
}

impl LongFiles {
    /// Takes the next command of the stream.
    pub fn add(&mut self, command: &Command<'_>) {
        let Some(path) = command.path() else { return };
        if command.kind.is_first() {
            path.clone_into(&mut self.subvolume);
        }
        if let Some(data) = &command.data {
            self.write(path, data.end - data.start);
        } else if command.kind == CommandKind::Utimes {
            self.complete(path);
        }
    }

    fn complete(&mut self, path: &[u8]) {
        if self.path == path && self.total >= COMPLETE_BYTES {
            self.complete.push(path.to_vec());
            self.total = 0;
        }
    }

    fn write(&mut self, path: &[u8], bytes: u64) {
        if self.path != path {
            path.clone_into(&mut self.path);
            (self.bytes, self.total) = (0, 0);
        }
        self.total = self.total.saturating_add(bytes);
        let before = self.bytes;
        self.bytes = before.saturating_add(bytes);
        if before < LONG_BYTES && LONG_BYTES <= self.bytes {
            self.long.push(self.path.clone());
        }
    }

    /// Returns the files that reached [`LONG_BYTES`] since the last call, relative to the
    /// directory that is received into.
    pub fn take(&mut self) -> Vec<PathBuf> {
        self.bytes = 0;
        let long = std::mem::take(&mut self.long);
        self.below_directory(long)
    }

    /// Returns the files that became complete since the last call, relative to the directory that is
    /// received into.
    pub fn take_complete(&mut self) -> Vec<PathBuf> {
        let complete = std::mem::take(&mut self.complete);
        self.below_directory(complete)
    }

    fn below_directory(&self, paths: Vec<Vec<u8>>) -> Vec<PathBuf> {
        let below = |path: Vec<u8>| [&self.subvolume[..], &path].join(&b'/');
        paths.into_iter().map(|path| OsString::from_vec(below(path)).into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn files() -> LongFiles {
        LongFiles { subvolume: b"s".to_vec(), ..LongFiles::default() }
    }

    #[test]
    fn each_long_file_is_returned_once() {
        const HALF: u64 = LONG_BYTES / 2;
        let mut files = files();
        let written = [
            ("a", HALF),
            ("b", LONG_BYTES),
            ("a", HALF),
            ("c/d", HALF),
            ("c/d", HALF),
            ("c/d", HALF),
        ];
        for (path, bytes) in written {
            files.write(path.as_bytes(), bytes);
        }
        assert_eq!(files.take(), ["s/b", "s/c/d"].map(Path::new));

        files.write(b"c/d", HALF);
        assert!(files.take().is_empty(), "counting starts over");
        files.write(b"c/d", LONG_BYTES);
        assert_eq!(files.take(), [Path::new("s/c/d")]);
    }

    #[test]
    fn a_file_is_complete_once_its_times_are_set() {
        let mut files = files();
        files.write(b"a", COMPLETE_BYTES - 1);
        files.complete(b"a");
        files.write(b"b", COMPLETE_BYTES / 2);
        files.write(b"b", COMPLETE_BYTES / 2);
        assert!(files.take_complete().is_empty(), "one is short, the other may get more data");

        files.complete(b"directory");
        assert!(files.take_complete().is_empty());
        files.complete(b"b");
        files.complete(b"b");
        assert_eq!(files.take_complete(), [Path::new("s/b")]);
        assert!(files.take_complete().is_empty());
    }

    /// The stream is one of `btrfs send`.
    #[test]
    fn paths_are_relative_to_the_subvolume_of_the_stream() {
        let root = env!("CARGO_MANIFEST_DIR");
        let directory = format!("{root}/../../testdata/format/python/nas/subvol/data/full");
        let (mut files, mut stream) = (LongFiles::default(), btrfs_sendstream::Verifier::new());
        for n in 0..2 {
            let chunk =
                std::fs::read(format!("{directory}/chunk-20240101T020000Z-{n}.bin")).unwrap();
            stream.feed_to(&chunk, |command| files.add(&command)).unwrap();
        }
        let snapshot = stream.snapshot().unwrap().name.clone();
        assert_eq!(files.subvolume, snapshot);
        assert!(!files.path.is_empty() && files.bytes > 0);
    }
}

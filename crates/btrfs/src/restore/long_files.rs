//! Finds the files that a stream writes much data to. Pure.
//!
//! `btrfs send` sends the data of one file after that of another, so only the current file has to
//! be counted.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use btrfs_sendstream::Command;

/// Minimum length for which opening the file once more pays off.
const LONG_BYTES: u64 = 1 << 20;

#[derive(Debug, Default)]
pub struct LongFiles {
    /// Name of the subvolume.
    subvolume: Vec<u8>,
    /// Path of the current file in the subvolume.
    path: Vec<u8>,
    bytes: u64,
    long: Vec<Vec<u8>>,
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
        }
    }

    fn write(&mut self, path: &[u8], bytes: u64) {
        if self.path != path {
            path.clone_into(&mut self.path);
            self.bytes = 0;
        }
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
        let below = |path: Vec<u8>| [&self.subvolume[..], &path].join(&b'/');
        self.long.drain(..).map(|path| OsString::from_vec(below(path)).into()).collect()
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

//! Mode and modification time that a restored or downloaded file gets.

use std::fs::File;
use std::io;

use rustix::fs::{Mode, Timespec, Timestamps, UTIME_OMIT, fchmod, fstat, futimens};

const SECOND_NS: i64 = 1_000_000_000;
/// Bits of a mode that are set. The owner is the user who restores, so a file never becomes setuid.
const MODE_BITS: u32 = 0o777;

/// Metadata of the file on its host; what is not known is left as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileMetadata {
    pub mtime_ns: Option<i64>,
    pub mode: Option<u32>,
}

impl FileMetadata {
    /// Returns true if a file with this mode and mtime has other metadata.
    pub fn differs(&self, mode: u32, mtime_ns: i64) -> bool {
        self.mode.is_some_and(|own| own & MODE_BITS != mode & MODE_BITS)
            || self.mtime_ns.is_some_and(|own| own != mtime_ns)
    }

    pub fn mode(&self) -> Option<Mode> {
        self.mode.map(|mode| Mode::from_raw_mode(mode & MODE_BITS))
    }

    pub fn times(&self) -> Option<Timestamps> {
        let ns = self.mtime_ns?;
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let mtime =
            Timespec { tv_sec: ns.div_euclid(SECOND_NS), tv_nsec: ns.rem_euclid(SECOND_NS) };
        Some(Timestamps { last_access: omit, last_modification: mtime })
    }

    /// Sets what is known on a file that was created with the mode. The umask or the ACL of its directory
    /// may have taken bits away.
    pub fn set_on_new(&self, file: &File) -> io::Result<()> {
        match self.mode() {
            Some(mode) if Mode::from_raw_mode(fstat(file)?.st_mode & MODE_BITS) == mode => {
                FileMetadata { mode: None, ..*self }.set(file)
            }
            Some(_) | None => self.set(file),
        }
    }

    /// Sets what is known, the mode first.
    pub fn set(&self, file: &File) -> io::Result<()> {
        if let Some(mode) = self.mode() {
            fchmod(file, mode)?;
        }
        if let Some(times) = self.times() {
            futimens(file, &times)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_has_a_positive_fraction_and_no_file_becomes_setuid() {
        let metadata = FileMetadata { mtime_ns: Some(-1), mode: Some(0o4755) };
        let times = metadata.times().unwrap();
        assert_eq!(
            (times.last_modification.tv_sec, times.last_modification.tv_nsec),
            (-1, 999_999_999)
        );
        assert_eq!(times.last_access.tv_nsec, UTIME_OMIT);
        assert_eq!(metadata.mode(), Some(Mode::from_raw_mode(0o755)));
        assert_eq!(FileMetadata::default().mode(), None);
        assert!(FileMetadata::default().times().is_none());
    }

    #[test]
    fn only_metadata_that_is_known_and_can_be_set_differs() {
        #[rustfmt::skip]
        let cases = [
            // mtime    mode          differs from 0644 and 5
            (Some(5),   Some(0o644),  false),
            (None,      None,         false),
            (Some(5),   Some(0o4644), false),
            (Some(6),   Some(0o644),  true),
            (Some(5),   Some(0o600),  true),
            (None,      Some(0o600),  true),
        ];
        for (mtime_ns, mode, want) in cases {
            let differs = FileMetadata { mtime_ns, mode }.differs(0o100_644, 5);
            assert_eq!(differs, want, "{mtime_ns:?} {mode:?}");
        }
    }
}

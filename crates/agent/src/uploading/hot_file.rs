//! Decides whether a file that changes during its uploads is copied first, and when.
//!
//! One torn upload may be bad luck. After [`TORN_MAX`] of them in a row a copy of the file is
//! uploaded instead, and the next copy not before its time.
//!
//! Pure: the clock is a parameter.

use std::time::Instant;

use super::task::UploadMode;

/// Number of torn uploads of a file in a row after which it is copied.
const TORN_MAX: u32 = 2;

/// The torn uploads of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HotFile {
    torn_count: u32,
    /// Earliest time of the next copy.
    next_copy_at: Option<Instant>,
}

impl HotFile {
    pub fn note_torn(&mut self) {
        self.torn_count = self.torn_count.saturating_add(1);
    }

    pub fn copy_not_before(&mut self, at: Instant) {
        self.next_copy_at = Some(at);
    }

    /// Returns how the file is uploaded next, and the earliest time for it if that is after `now`.
    pub fn next_upload(&self, now: Instant) -> (UploadMode, Option<Instant>) {
        if self.torn_count < TORN_MAX {
            return (UploadMode::Settled, None);
        }
        (UploadMode::Copy, self.next_copy_at.filter(|at| *at > now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn a_file_with_torn_uploads_is_copied_and_not_before_its_time() {
        use UploadMode::{Copy, Settled};
        let now = clock::now().instant;
        let second = Duration::from_secs(1);
        #[rustfmt::skip]
        let cases = [
            // torn  next copy            next upload
            (0,      None,                (Settled, None)),
            (1,      None,                (Settled, None)),
            (1,      Some(now + second),  (Settled, None)),
            (2,      None,                (Copy, None)),
            (2,      Some(now),           (Copy, None)),
            (3,      Some(now + second),  (Copy, Some(now + second))),
        ];
        for (torn, next_copy_at, want) in cases {
            let mut hot = HotFile { next_copy_at, ..HotFile::default() };
            (0..torn).for_each(|_| hot.note_torn());
            assert_eq!(hot.next_upload(now), want, "{torn} {next_copy_at:?}");
        }
    }
}

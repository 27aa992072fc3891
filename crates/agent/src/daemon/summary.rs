//! The result of `s3up scan`, and the account of the files that it found.
//!
//! Each file that a scan found as pending ends exactly once: uploaded, gone, a problem, and so on,
//! or it still waits. [`Summary::check_account`] compares both sums, because a file that is in none
//! of them would be forgotten silently.

/// Maximum number of pending files that a summary lists; the others are counted.
const NOT_UPLOADED_MAX: usize = 1000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub uploaded: u64,
    pub bytes: u64,
    /// Number of files that were protected already.
    pub protected: u64,
    /// True if the gateway stayed unreachable or refused the key.
    pub gave_up: bool,
    /// Number of files that failed in this run or have a recorded problem.
    pub problems: u64,
    /// `local_path` and reason of these files; at most the first thousand of a scan.
    pub failed: Vec<(String, String)>,
    /// Number of files that still wait, for the gateway or because of a stop.
    pub pending: u64,
    /// `local_path` and reason of pending files that this run tried to upload in
    /// vain; at most [`NOT_UPLOADED_MAX`].
    pub not_uploaded: Vec<(String, String)>,
    /// Errors of watches that could not be scanned.
    pub scan_errors: Vec<String>,
    /// Number of files that the scan found as pending.
    pub found: u64,
    pub ended: EndCounts,
}

/// Number of files that were found as pending, by their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndCounts {
    pub uploaded: u64,
    /// The content was stored already, or is baseline.
    pub unchanged: u64,
    pub gone: u64,
    /// A symlink or a special file took the place of the file.
    pub excluded: u64,
    pub problems: u64,
    pub pending: u64,
}

/// The end of one file that was found as pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Uploaded,
    Unchanged,
    Gone,
    Excluded,
    Problem,
    Pending,
}

impl EndCounts {
    fn total(&self) -> u64 {
        let EndCounts { uploaded, unchanged, gone, excluded, problems, pending } = self;
        uploaded + unchanged + gone + excluded + problems + pending
    }
}

impl Summary {
    /// Returns true if every file that should be protected is.
    pub fn is_clean(&self) -> bool {
        self.problems == 0 && self.pending == 0 && self.scan_errors.is_empty()
    }

    /// Counts a file whose upload failed for a reason that may pass, or that could not be
    /// observed: it stays pending, and the next run tries again.
    pub(super) fn add_not_uploaded(&mut self, local_path: String, reason: &str) {
        self.pending += 1;
        self.ended(Ending::Pending);
        if self.not_uploaded.len() < NOT_UPLOADED_MAX {
            self.not_uploaded.push((local_path, reason.to_owned()));
        }
    }

    pub(super) fn ended(&mut self, ending: Ending) {
        let ended = &mut self.ended;
        let count = match ending {
            Ending::Uploaded => &mut ended.uploaded,
            Ending::Unchanged => &mut ended.unchanged,
            Ending::Gone => &mut ended.gone,
            Ending::Excluded => &mut ended.excluded,
            Ending::Problem => &mut ended.problems,
            Ending::Pending => &mut ended.pending,
        };
        *count += 1;
    }

    /// Adds an error if the files that ended and the `waiting` ones are not those that were found.
    pub(super) fn check_account(&mut self, waiting: u64) {
        let accounted = self.ended.total() + waiting;
        if accounted != self.found {
            self.scan_errors.push(format!(
                "bug: expected an end for each of {} pending files, found {accounted}; report it \
                 and run s3up scan again",
                self.found
            ));
        }
    }

    /// Returns true if some files are protected, though not all.
    pub fn is_partial(&self) -> bool {
        self.uploaded > 0 || (self.protected > 0 && !self.gave_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_did_not_end_is_an_error() {
        use Ending::{Excluded, Gone, Pending, Problem, Unchanged, Uploaded};
        let all = [Uploaded, Unchanged, Gone, Excluded, Problem, Pending];
        #[rustfmt::skip]
        let cases = [
            ("all ended",      6, 0, true),
            ("some wait",      8, 2, true),
            ("one is missing", 7, 0, false),
            ("one too many",   5, 0, false),
        ];
        for (situation, found, waiting, good) in cases {
            let mut summary = Summary { found, ..Summary::default() };
            all.into_iter().for_each(|ending| summary.ended(ending));
            summary.check_account(waiting);
            assert_eq!(summary.is_clean(), good, "{situation}");
        }
    }
}

//! The result of `s3up scan`.

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
}

impl Summary {
    /// True if every file that should be protected is.
    pub fn is_clean(&self) -> bool {
        self.problems == 0 && self.pending == 0 && self.scan_errors.is_empty()
    }

    /// Counts a file whose upload failed for a reason that may pass: it stays
    /// pending, and the next run tries again.
    pub(super) fn add_not_uploaded(&mut self, local_path: String, reason: &str) {
        self.pending += 1;
        if self.not_uploaded.len() < NOT_UPLOADED_MAX {
            self.not_uploaded.push((local_path, reason.to_owned()));
        }
    }

    /// True if some files are protected, though not all.
    pub fn is_partial(&self) -> bool {
        self.uploaded > 0 || (self.protected > 0 && !self.gave_up)
    }
}

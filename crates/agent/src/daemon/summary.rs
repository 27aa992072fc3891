//! The result of `s3up scan`.

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
    /// Errors of watches that could not be scanned.
    pub scan_errors: Vec<String>,
}

impl Summary {
    /// True if every file that should be protected is.
    pub fn is_clean(&self) -> bool {
        self.problems == 0 && self.pending == 0 && self.scan_errors.is_empty()
    }

    /// True if some files are protected, though not all.
    pub fn is_partial(&self) -> bool {
        self.uploaded > 0 || (self.protected > 0 && !self.gave_up)
    }
}

//! What a run did, for the person or the cron job that started it.

use std::fmt;

use s3up_core::Size;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub uploaded: u64,
    pub bytes: u64,
    /// Found to be safe already.
    pub protected: u64,
    /// True where the gateway stayed away, or did not know the key.
    pub gave_up: bool,
    /// What failed in this run, or stands as a problem.
    pub problems: u64,
    /// The same by `local_path`; a scan names the first thousand only.
    pub failed: Vec<(String, String)>,
    /// Left waiting: for the gateway, or because the run was stopped.
    pub pending: u64,
    /// Watches that could not be scanned.
    pub troubles: Vec<String>,
}

impl Summary {
    /// True where every file that should be safe is.
    pub fn is_clean(&self) -> bool {
        self.problems == 0 && self.pending == 0 && self.troubles.is_empty()
    }

    /// True where some are safe, though not all.
    pub fn is_partial(&self) -> bool {
        self.uploaded > 0 || (self.protected > 0 && !self.gave_up)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for trouble in &self.troubles {
            writeln!(f, "trouble: {trouble}")?;
        }
        for (path, reason) in &self.failed {
            writeln!(f, "problem: {path}: {reason}")?;
        }
        let (uploaded, size) = (self.uploaded, Size(self.bytes));
        let (problems, pending) = (self.problems, self.pending);
        writeln!(f, "{uploaded} files uploaded ({size}), {problems} problems, {pending} pending")
    }
}

//! The record of the last drill, which `s3up status` and the gateway show.

use serde::{Deserialize, Serialize};

/// Times are in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillRecord {
    pub at: i64,
    pub files: u64,
    pub bytes: u64,
    pub failed: u64,
    /// Time of the last good drill.
    pub last_good_at: Option<i64>,
}

impl DrillRecord {
    /// Returns the record of a drill that ended at `at`, after `previous`.
    pub fn after(
        previous: Option<&DrillRecord>,
        at: i64,
        (files, bytes, failed): (u64, u64, u64),
    ) -> DrillRecord {
        let last_good_at = previous.and_then(|previous| previous.last_good_at);
        let mut record = DrillRecord { at, files, bytes, failed, last_good_at };
        if record.is_good() {
            record.last_good_at = Some(at);
        }
        record
    }

    /// Returns true if at least one file was restored and none failed.
    pub fn is_good(&self) -> bool {
        self.files > 0 && self.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_drill_keeps_the_time_of_the_last_good_one() {
        let good = DrillRecord::after(None, 10, (3, 30, 0));
        let failed = DrillRecord::after(Some(&good), 20, (2, 20, 1));
        let empty = DrillRecord::after(Some(&failed), 30, (0, 0, 0));
        let first = DrillRecord::after(None, 10, (0, 0, 1));
        let times = [good, failed, empty, first].map(|record| record.last_good_at);
        assert_eq!(times, [Some(10), Some(10), Some(10), None]);
    }
}

//! Decides which failures of S3 or of the database are logged: the first of an outage, then one a
//! minute. Pure.

use std::time::Duration;

/// Pause between two lines of one outage, which a log of a day has room for.
const LOG_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Outage {
    failures: u64,
    logged_at: Option<Duration>,
}

impl Outage {
    /// Counts a failure at the time `at`, measured from any fixed moment. Returns true if it has to be logged.
    pub(crate) fn failed(&mut self, at: Duration) -> bool {
        self.failures += 1;
        let log = self.logged_at.is_none_or(|last| at.saturating_sub(last) >= LOG_EVERY);
        if log {
            self.logged_at = Some(at);
        }
        log
    }

    /// Ends the outage. Returns its number of failures, if there was one.
    pub(crate) fn ended(&mut self) -> Option<u64> {
        let failures = std::mem::take(self).failures;
        (failures > 0).then_some(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_logged_at_its_begin_and_once_a_minute() {
        let mut outage = Outage::default();

        let logged: Vec<_> =
            [5, 6, 64, 65, 66, 125].map(Duration::from_secs).map(|at| outage.failed(at)).into();

        assert_eq!(logged, [true, false, false, true, false, true]);
        assert_eq!(outage.ended(), Some(6));
        assert_eq!(outage.ended(), None);
        assert!(outage.failed(Duration::from_secs(126)), "a new outage");
    }
}

//! The clock of a server, and the only place in this crate that reads the time.
//!
//! A restore takes hours and lasts days, so tests advance the clock instead of
//! waiting. The offset is stored in the directory, so that time does not go back
//! when the server restarts. A server can also start with a clock that is behind
//! that of the machine.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use s3s::dto::Timestamp;
use tokio::time::Instant;

/// Returns the monotonic time, for measuring durations.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the server")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

#[derive(Default)]
pub(crate) struct Clock {
    behind: Duration,
    ahead: Mutex<Duration>,
}

impl Clock {
    pub(crate) fn new(behind: Duration, ahead: Duration) -> Clock {
        Clock { behind, ahead: Mutex::new(ahead) }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock of the server")]
    pub(crate) fn time(&self) -> SystemTime {
        SystemTime::now() - self.behind + *self.ahead()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from(self.time())
    }

    /// Advances the clock, after `save` has stored the new offset.
    pub(crate) fn advance<E>(
        &self,
        by: Duration,
        save: impl FnOnce(Duration) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut ahead = self.ahead();
        let ahead_after = ahead.saturating_add(by);
        save(ahead_after)?;
        *ahead = ahead_after;
        Ok(())
    }

    fn ahead(&self) -> MutexGuard<'_, Duration> {
        self.ahead.lock().expect("no holder of this lock panics")
    }
}

//! The time of a store: that of the machine, less how far behind it was started,
//! and how far it was moved ahead.
//!
//! A restore takes hours and lasts days. A test moves the clock instead of
//! waiting; how far is kept in the folder, so that time does not go back when
//! the server starts again.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use s3s::dto::Timestamp;

#[derive(Default)]
pub(crate) struct Clock {
    behind: Duration,
    ahead: Mutex<Duration>,
}

impl Clock {
    pub(crate) fn new(behind: Duration, ahead: Duration) -> Clock {
        Clock { behind, ahead: Mutex::new(ahead) }
    }

    pub(crate) fn time(&self) -> SystemTime {
        SystemTime::now() - self.behind + *self.ahead()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from(self.time())
    }

    /// Moves the clock once `keep` has kept how far ahead it is then.
    pub(crate) fn advance<E>(
        &self,
        by: Duration,
        keep: impl FnOnce(Duration) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut ahead = self.ahead();
        let further = ahead.saturating_add(by);
        keep(further)?;
        *ahead = further;
        Ok(())
    }

    fn ahead(&self) -> MutexGuard<'_, Duration> {
        self.ahead.lock().expect("no holder of this lock panics")
    }
}

//! Says whether short files are sent in batches: not for some time after a batch did not reach the
//! gateway as one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time without batches after one that did not reach the gateway as a batch: a gateway that is
/// updated, or a proxy that is configured otherwise, gets them again.
const PAUSE: Duration = Duration::from_secs(60 * 60);
/// Says whether batches are sent. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct BatchSwitch(Arc<Mutex<Option<Instant>>>);

impl BatchSwitch {
    pub fn is_on(&self, now: Instant) -> bool {
        self.off_until().is_none_or(|until| until <= now)
    }

    pub(super) fn turn_off(&self, now: Instant, reason: &str) {
        let was_on = self.is_on(now);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + PAUSE);
        if was_on {
            tracing::info!(
                event = "batches_paused",
                reason,
                retry_seconds = PAUSE.as_secs(),
                "the gateway did not receive a batch as one request; sending each file by itself for an hour"
            );
        }
    }

    fn off_until(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn batches_are_sent_again_after_a_pause() {
        let (switch, now) = (BatchSwitch::default(), clock::now().instant);
        assert!(switch.is_on(now));
        switch.turn_off(now, "a test");
        assert!(!switch.clone().is_on(now));
        assert!(switch.is_on(now + PAUSE));
    }
}

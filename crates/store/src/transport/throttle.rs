//! Limits the bodies in flight while S3 answers "slow down".
//!
//! Additive increase, multiplicative decrease: a slow-down halves the number of
//! bodies in flight, and every round without one adds one more, until the number
//! before the first slow-down is reached. The limit applies to a whole [`Store`],
//! because S3 does not care which upload a part belongs to. Without slow-downs
//! there is no limit here; then `in_flight` and the buffer pool limit.
//!
//! [`Store`]: crate::Store

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock;

/// Slow-downs of calls that were in flight together count once.
const HALVING_INTERVAL: Duration = Duration::from_secs(1);

/// Returns true if an answer means that there are too many calls.
pub(crate) fn asks_to_slow_down(status: Option<u16>, code: Option<&str>) -> bool {
    match code {
        Some("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded") => true,
        Some("ServiceUnavailable") | None => matches!(status, Some(429 | 503)),
        Some(_) => false,
    }
}

/// The limit after a slow-down.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limit {
    /// Bodies that may be in flight, at least 1.
    allowed: f64,
    /// Bodies that were in flight before the first slow-down.
    ceiling: f64,
}

/// Returns the limit after a slow-down; `None` means there was none.
fn after_slow_down(limit: Option<Limit>, in_flight: usize) -> Limit {
    let in_flight = (in_flight as f64).max(1.0);
    let (had, ceiling) = match limit {
        None => (in_flight, in_flight),
        Some(limit) => (limit.allowed.min(in_flight), limit.ceiling),
    };
    Limit { allowed: (had / 2.0).max(1.0), ceiling }
}

/// Returns the limit after a success, or `None` if it is no longer needed.
fn after_success(limit: Limit) -> Option<Limit> {
    let allowed = limit.allowed + 1.0 / limit.allowed;
    (allowed < limit.ceiling).then_some(Limit { allowed, ..limit })
}

/// The limit, shared by all uploads of a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Throttle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    limit: Option<Limit>,
    in_flight: usize,
    halved_at: Option<Instant>,
}

impl State {
    fn has_room(&self) -> bool {
        self.limit.is_none_or(|limit| self.in_flight < limit.allowed as usize)
    }
}

/// Permission to send one body, held until it is dropped.
#[derive(Debug)]
pub(crate) struct SendPermit(Throttle);

impl Throttle {
    /// Waits until one more body may be sent.
    pub(crate) async fn acquire(&self) -> SendPermit {
        loop {
            let changed = self.0.changed.notified();
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
            changed.await;
        }
    }

    fn try_acquire(&self) -> Option<SendPermit> {
        let mut state = self.state();
        if !state.has_room() {
            return None;
        }
        state.in_flight += 1;
        Some(SendPermit(self.clone()))
    }

    pub(crate) fn on_slow_down(&self) {
        let mut state = self.state();
        let now = clock::now();
        if state.halved_at.is_some_and(|at| now < at + HALVING_INTERVAL) {
            return;
        }
        let limit = after_slow_down(state.limit, state.in_flight);
        (state.limit, state.halved_at) = (Some(limit), Some(now));
        drop(state);
        tracing::warn!(
            event = "store_slow_down",
            in_flight_max = limit.allowed as u64,
            "S3 asks to slow down; sending fewer parts at once"
        );
    }

    pub(crate) fn on_success(&self) {
        let mut state = self.state();
        let Some(limit) = state.limit else { return };
        state.limit = after_success(limit);
        let is_over = state.limit.is_none();
        drop(state);
        self.0.changed.notify_waiters();
        if is_over {
            tracing::info!(
                event = "store_recovered",
                "S3 no longer slows uploads down; sending as many parts at once as before"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SendPermit {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(allowed: f64, ceiling: f64) -> Limit {
        Limit { allowed, ceiling }
    }

    #[test]
    fn a_slow_down_halves_the_bodies_in_flight() {
        #[rustfmt::skip]
        let cases = [
            // limit before           in flight     limit after
            (None,                    8,            limit(4.0, 8.0)),
            (None,                    1,            limit(1.0, 1.0)),
            (None,                    0,            limit(1.0, 1.0)),
            (Some(limit(4.0, 8.0)),   4,            limit(2.0, 8.0)),
            (Some(limit(4.0, 8.0)),   2,            limit(1.0, 8.0)),
            (Some(limit(4.5, 8.0)),   9,            limit(2.25, 8.0)),
            (Some(limit(1.0, 8.0)),   1,            limit(1.0, 8.0)),
        ];
        for (before, in_flight, want) in cases {
            assert_eq!(after_slow_down(before, in_flight), want, "{before:?} {in_flight}");
        }
    }

    #[test]
    fn each_round_without_a_slow_down_allows_one_more() {
        let mut allowed = Some(limit(2.0, 4.0));
        let rounds: Vec<_> = std::iter::from_fn(|| {
            allowed = after_success(allowed?);
            allowed.map(|limit| limit.allowed as usize)
        })
        .collect();
        assert_eq!(rounds, [2, 2, 3, 3, 3], "then there is no limit");
        assert_eq!(after_success(limit(1.0, 1.0)), None);
    }

    #[test]
    fn only_some_answers_ask_to_slow_down() {
        #[rustfmt::skip]
        let cases = [
            (Some(503), Some("SlowDown"),           true),
            (Some(503), None,                       true),
            (Some(429), None,                       true),
            (Some(503), Some("ServiceUnavailable"), true),
            (Some(500), Some("InternalError"),      false),
            (Some(500), None,                       false),
            (None,      None,                       false),
        ];
        for (status, code, want) in cases {
            assert_eq!(asks_to_slow_down(status, code), want, "{status:?} {code:?}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_waits_for_another_to_end() {
        let throttle = Throttle::default();
        let mut held = vec![throttle.acquire().await, throttle.acquire().await];
        throttle.on_slow_down();
        assert!(throttle.try_acquire().is_none(), "one is allowed, two are in flight");

        held.pop();
        assert!(throttle.try_acquire().is_none());
        held.pop();

        assert!(throttle.try_acquire().is_some());
    }

    #[tokio::test]
    async fn slow_downs_of_one_moment_count_once() {
        let throttle = Throttle::default();
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(throttle.acquire().await);
        }
        for _ in 0..8 {
            throttle.on_slow_down();
        }
        assert_eq!(throttle.state().limit, Some(limit(4.0, 8.0)));
    }
}

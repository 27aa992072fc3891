//! How many bodies may be on their way to a store that says "slow down".
//!
//! Additive increase, multiplicative decrease: a store that is overwhelmed gets
//! half of what it had, then one more for every round that it takes without a
//! complaint, until it has what it had before. The limit is one per [`Store`],
//! because the store does not care which upload a part belongs to. Where nobody
//! complains there is no limit here; then `in_flight` and the buffers are.
//!
//! [`Store`]: crate::Store

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Complaints of calls that were under way together are one complaint.
const CUT_INTERVAL: Duration = Duration::from_secs(1);

/// Whether an answer says that there are too many calls.
pub(crate) fn asks_to_slow_down(status: Option<u16>, code: Option<&str>) -> bool {
    match code {
        Some("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded") => true,
        Some("ServiceUnavailable") | None => matches!(status, Some(429 | 503)),
        Some(_) => false,
    }
}

/// What may be on its way after a complaint.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limit {
    /// At least 1.
    allowed: f64,
    /// As many as there were before the first complaint.
    ceiling: f64,
}

/// What an answer does to the limit; `None` is no limit.
fn after_complaint(limit: Option<Limit>, in_flight: usize) -> Limit {
    let in_flight = (in_flight as f64).max(1.0);
    let (had, ceiling) = match limit {
        None => (in_flight, in_flight),
        Some(limit) => (limit.allowed.min(in_flight), limit.ceiling),
    };
    Limit { allowed: (had / 2.0).max(1.0), ceiling }
}

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
    cut_at: Option<Instant>,
}

impl State {
    fn has_room(&self) -> bool {
        self.limit.is_none_or(|limit| self.in_flight < limit.allowed as usize)
    }
}

/// Leave to send one body, until it is dropped.
#[derive(Debug)]
pub(crate) struct Leave(Throttle);

impl Throttle {
    /// Waits until another body may be sent.
    pub(crate) async fn enter(&self) -> Leave {
        loop {
            let changed = self.0.changed.notified();
            if let Some(leave) = self.try_enter() {
                return leave;
            }
            changed.await;
        }
    }

    fn try_enter(&self) -> Option<Leave> {
        let mut state = self.state();
        if !state.has_room() {
            return None;
        }
        state.in_flight += 1;
        Some(Leave(self.clone()))
    }

    pub(crate) fn asked_to_slow_down(&self) {
        let mut state = self.state();
        let now = Instant::now();
        if state.cut_at.is_some_and(|at| now < at + CUT_INTERVAL) {
            return;
        }
        let limit = after_complaint(state.limit, state.in_flight);
        (state.limit, state.cut_at) = (Some(limit), Some(now));
        drop(state);
        tracing::warn!(
            event = "store_slow_down",
            in_flight_max = limit.allowed as u64,
            "the store asks to slow down; fewer parts are sent at once"
        );
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.state();
        let Some(limit) = state.limit else { return };
        state.limit = after_success(limit);
        let is_over = state.limit.is_none();
        drop(state);
        self.0.changed.notify_waiters();
        if is_over {
            tracing::info!(event = "store_recovered", "the store takes as much as before again");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leave {
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
    fn a_complaint_halves_what_is_on_its_way() {
        #[rustfmt::skip]
        let cases = [
            // limit                  on their way  then
            (None,                    8,            limit(4.0, 8.0)),
            (None,                    1,            limit(1.0, 1.0)),
            (None,                    0,            limit(1.0, 1.0)),
            (Some(limit(4.0, 8.0)),   4,            limit(2.0, 8.0)),
            (Some(limit(4.0, 8.0)),   2,            limit(1.0, 8.0)),
            (Some(limit(4.5, 8.0)),   9,            limit(2.25, 8.0)),
            (Some(limit(1.0, 8.0)),   1,            limit(1.0, 8.0)),
        ];
        for (before, in_flight, want) in cases {
            assert_eq!(after_complaint(before, in_flight), want, "{before:?} {in_flight}");
        }
    }

    #[test]
    fn one_more_is_allowed_for_every_round_without_a_complaint() {
        let mut allowed = Some(limit(2.0, 4.0));
        let rounds: Vec<_> = std::iter::from_fn(|| {
            allowed = after_success(allowed?);
            allowed.map(|limit| limit.allowed as usize)
        })
        .collect();
        assert_eq!(rounds, [2, 2, 3, 3, 3], "and then there is no limit");
        assert_eq!(after_success(limit(1.0, 1.0)), None);
    }

    #[test]
    fn answers_that_ask_to_slow_down() {
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
    async fn who_finds_no_room_waits_for_one_that_leaves() {
        let throttle = Throttle::default();
        let mut held = vec![throttle.enter().await, throttle.enter().await];
        throttle.asked_to_slow_down();
        assert!(throttle.try_enter().is_none(), "one is allowed, two are on their way");

        held.pop();
        assert!(throttle.try_enter().is_none());
        held.pop();

        assert!(throttle.try_enter().is_some());
    }

    #[tokio::test]
    async fn complaints_of_one_moment_count_once() {
        let throttle = Throttle::default();
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(throttle.enter().await);
        }
        for _ in 0..8 {
            throttle.asked_to_slow_down();
        }
        assert_eq!(throttle.state().limit, Some(limit(4.0, 8.0)));
    }
}

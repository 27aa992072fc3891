//! The slots of one client, for its uploads or for its other requests: how many of them run at once, and those that
//! wait for one.
//!
//! A request beyond the limit waits for a short time, first come, first served, before it is refused. It waits before
//! its body is read and before it asks S3 or the database. So a client with hundreds of requests costs the gateway the
//! work of those that run, and no more; without the wait, each refusal would bring the next request at once, and the
//! gateway would be busy with refusals instead of other clients.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Longest wait for a slot.
pub(super) const SLOT_WAIT: Duration = Duration::from_secs(2);
/// Maximum number of requests of one client that wait. Each holds a connection and its head.
const WAITING_MAX: usize = 1000;

/// The slots of one client. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots(Arc<Mutex<Queue<oneshot::Sender<TakenSlot>>>>);

/// Counts as one of the concurrent requests of a client until it and its clones are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Slot(#[expect(dead_code, reason = "only its end has an effect")] Arc<TakenSlot>);

#[derive(Debug)]
struct TakenSlot(Slots);

/// Decides who gets a slot. Pure.
#[derive(Debug)]
struct Queue<W> {
    taken: usize,
    /// The limit of the last request. A reload may change it.
    limit: usize,
    waiting: VecDeque<W>,
}

/// The answer to a request for a slot.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Taken,
    Waits,
    /// Too many wait.
    Refused,
}

impl<W> Default for Queue<W> {
    fn default() -> Queue<W> {
        Queue { taken: 0, limit: 0, waiting: VecDeque::new() }
    }
}

impl<W> Queue<W> {
    /// Takes a slot, or lets `waiter` wait for one.
    fn request(&mut self, limit: usize, waiter: impl FnOnce() -> W) -> Answer {
        self.limit = limit;
        // Those that wait come first.
        if self.taken < limit && self.waiting.is_empty() {
            self.taken += 1;
            return Answer::Taken;
        }
        if self.waiting.len() >= WAITING_MAX {
            return Answer::Refused;
        }
        self.waiting.push_back(waiter());
        Answer::Waits
    }

    /// Gives a slot back. Returns the waiter that has it now.
    fn release(&mut self) -> Option<W> {
        self.taken = self.taken.saturating_sub(1);
        if self.taken >= self.limit {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.taken += 1;
        Some(next)
    }
}

impl Slots {
    /// Takes a slot. Returns `None` if `limit` requests are in progress and none of them ends in time.
    pub(super) async fn take(&self, limit: usize) -> Option<Slot> {
        let (waiter, turn) = oneshot::channel();
        let answer = self.lock().request(limit, || waiter);
        let taken = match answer {
            Answer::Taken => Some(TakenSlot(self.clone())),
            Answer::Waits => match tokio::time::timeout(SLOT_WAIT, turn).await {
                Ok(taken) => taken.ok(),
                Err(_) => {
                    self.lock().waiting.retain(|waiter| !waiter.is_closed());
                    None
                }
            },
            Answer::Refused => None,
        };
        taken.map(|taken| Slot(Arc::new(taken)))
    }

    fn lock(&self) -> MutexGuard<'_, Queue<oneshot::Sender<TakenSlot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TakenSlot {
    fn drop(&mut self) {
        let next = self.0.lock().release();
        // One that does not wait any more gives the slot back in turn, when its answer is dropped here.
        if let Some(waiter) = next {
            drop(waiter.send(TakenSlot(self.0.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_goes_to_the_one_that_waits_longest() {
        let mut queue = Queue::default();
        let mut request = |limit, name| queue.request(limit, || name);
        assert_eq!(request(2, "a"), Answer::Taken);
        assert_eq!(request(2, "b"), Answer::Taken);
        assert_eq!(request(2, "c"), Answer::Waits);
        assert_eq!(request(2, "d"), Answer::Waits);
        assert_eq!(queue.release(), Some("c"));
        assert_eq!(queue.taken, 2);
        // A reload has lowered the limit, and then raised it.
        assert_eq!(queue.request(1, || "e"), Answer::Waits);
        assert_eq!(queue.release(), None);
        assert_eq!(queue.request(3, || "f"), Answer::Waits);
        assert_eq!(queue.release(), Some("d"));
        assert_eq!((queue.release(), queue.release()), (Some("e"), Some("f")));
        assert_eq!((queue.release(), queue.taken), (None, 0));
    }

    #[test]
    fn the_number_of_waiters_is_limited() {
        let mut queue = Queue::default();
        assert_eq!(queue.request(1, || 0), Answer::Taken);
        for n in 0..WAITING_MAX {
            assert_eq!(queue.request(1, || n), Answer::Waits);
        }
        assert_eq!(queue.request(1, || 0), Answer::Refused);
        queue.release();
        assert_eq!(queue.request(1, || 0), Answer::Waits);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_waits_for_a_slot_and_one_that_gave_up_does_not_keep_it() {
        let slots = Slots::default();
        let first = slots.take(1).await.unwrap();
        assert!(slots.take(1).await.is_none(), "none becomes free");
        assert!(slots.lock().waiting.is_empty(), "it does not wait any more");
        let waiting = {
            let slots = slots.clone();
            tokio::spawn(async move { slots.take(1).await })
        };
        tokio::task::yield_now().await;

        drop(first);

        let second = waiting.await.unwrap();
        assert!(second.is_some());
        drop(second);
        assert_eq!(slots.lock().taken, 0);
        assert!(slots.take(1).await.is_some());
    }
}

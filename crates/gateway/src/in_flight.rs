//! Uploads under way, by key: a newer one of the same path takes the place of
//! the older.
//!
//! A client that gave a connection up and tries again must not be overtaken by
//! its own first try. So the newer upload cancels the older one, and begins to
//! read its body only when the older can no longer become visible: either it
//! was still being sent, and is dropped, or it was being committed, and is
//! waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::Key;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<Key, Slot>>>);

#[derive(Clone)]
struct Slot {
    /// A newer upload came.
    superseded: CancellationToken,
    /// The upload is over, however it ended.
    over: CancellationToken,
}

/// The right to upload under a key; lasts until it is dropped.
pub(crate) struct Ticket {
    in_flight: InFlight,
    key: Key,
    slot: Slot,
}

/// A newer upload of the same path has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Superseded;

impl InFlight {
    /// Cancels an older upload of `key` and waits until it is over.
    pub(crate) async fn enter(&self, key: &Key) -> Ticket {
        let slot = Slot { superseded: CancellationToken::new(), over: CancellationToken::new() };
        let older = self.slots().insert(key.clone(), slot.clone());
        // From here on the ticket cleans up, also when this future is dropped.
        let ticket = Ticket { in_flight: self.clone(), key: key.clone(), slot };
        if let Some(older) = older {
            older.superseded.cancel();
            older.over.cancelled().await;
        }
        ticket
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Runs `work`, unless or until a newer upload comes.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Superseded> {
        tokio::select! {
            biased;
            () = self.slot.superseded.cancelled() => Err(Superseded),
            done = work => Ok(done),
        }
    }

    /// Last look before the commit, which is not interrupted any more.
    pub(crate) fn check(&self) -> Result<(), Superseded> {
        if self.slot.superseded.is_cancelled() { Err(Superseded) } else { Ok(()) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut slots = self.in_flight.slots();
        // A newer upload has its own slot here.
        if slots.get(&self.key).is_some_and(|slot| !slot.superseded.is_cancelled())
            && !self.slot.superseded.is_cancelled()
        {
            slots.remove(&self.key);
        }
        drop(slots);
        self.slot.over.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::parse("w/a").unwrap()
    }

    #[tokio::test]
    async fn a_newer_upload_cancels_the_older_and_waits_for_its_end() {
        let in_flight = InFlight::default();
        let older = in_flight.enter(&key()).await;
        let newer = tokio::spawn({
            let in_flight = in_flight.clone();
            async move { in_flight.enter(&key()).await }
        });

        let outcome = older.run(std::future::pending::<()>()).await;

        assert_eq!(outcome, Err(Superseded));
        assert!(!newer.is_finished());
        drop(older);
        assert_eq!(newer.await.unwrap().check(), Ok(()));
    }

    #[tokio::test]
    async fn nothing_is_kept_of_uploads_that_are_over() {
        let in_flight = InFlight::default();
        for _ in 0..3 {
            drop(in_flight.enter(&key()).await);
        }
        assert!(in_flight.slots().is_empty());
    }

    #[tokio::test]
    async fn the_newest_of_three_wins() {
        let in_flight = InFlight::default();
        let first = in_flight.enter(&key()).await;
        let enter = |in_flight: InFlight| async move { in_flight.enter(&key()).await };
        let second = tokio::spawn(enter(in_flight.clone()));
        assert_eq!(first.run(std::future::pending::<()>()).await, Err(Superseded));
        let third = tokio::spawn(enter(in_flight.clone()));
        drop(first);

        let second = second.await.unwrap();
        assert_eq!(second.run(std::future::pending::<()>()).await, Err(Superseded));
        drop(second);

        let third = third.await.unwrap();
        assert_eq!(third.check(), Ok(()));
        drop(third);
        assert!(in_flight.slots().is_empty());
    }

    #[tokio::test]
    async fn other_keys_are_not_disturbed() {
        let in_flight = InFlight::default();
        let one = in_flight.enter(&key()).await;
        let other = in_flight.enter(&Key::parse("w/b").unwrap()).await;
        assert_eq!((one.check(), other.check()), (Ok(()), Ok(())));
    }
}

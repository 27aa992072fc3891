//! Uploads under way, by key: a newer one of the same path takes the place of
//! the older.
//!
//! A client that gave a connection up and tries again must not be overtaken by
//! its own first try. So the newer upload cancels the older one, and begins
//! only when the older can no longer become visible: either it was still being
//! sent, and is dropped, or it was being committed, and is waited for. Uploads
//! of one key hold its lock one after another; one that goes away while it
//! waits leaves the queue and changes nothing for those behind it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::Key;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<Key, Entry>>>);

#[derive(Default)]
struct Entry {
    /// Held by the upload that may become visible.
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Cancels the newest upload when a newer one comes.
    newest: CancellationToken,
    /// Uploads that hold the lock or wait for it.
    count: usize,
}

/// The right to upload under a key; lasts until it is dropped.
pub(crate) struct Ticket {
    // Dropped first: whoever is next finds the entry, or makes a new one.
    _turn: OwnedMutexGuard<()>,
    place: Place,
}

/// One of those that an entry counts.
struct Place {
    in_flight: InFlight,
    key: Key,
    superseded: CancellationToken,
}

/// A newer upload of the same path has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Superseded;

impl InFlight {
    /// Cancels an older upload of `key` and waits until it is over.
    pub(crate) async fn enter(&self, key: &Key) -> Result<Ticket, Superseded> {
        let superseded = CancellationToken::new();
        let lock = {
            let mut entries = self.entries();
            let entry = entries.entry(key.clone()).or_default();
            std::mem::replace(&mut entry.newest, superseded.clone()).cancel();
            entry.count += 1;
            entry.lock.clone()
        };
        // From here on a dropped future is counted out.
        let place = Place { in_flight: self.clone(), key: key.clone(), superseded };
        let turn = place.run(lock.lock_owned()).await?;
        Ok(Ticket { _turn: turn, place })
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Runs `work`, unless or until a newer upload comes.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Superseded> {
        self.place.run(work).await
    }

    /// Last look before the commit, which is not interrupted any more.
    pub(crate) fn check(&self) -> Result<(), Superseded> {
        if self.place.superseded.is_cancelled() { Err(Superseded) } else { Ok(()) }
    }
}

impl Place {
    async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Superseded> {
        tokio::select! {
            biased;
            () = self.superseded.cancelled() => Err(Superseded),
            done = work => Ok(done),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut entries = self.in_flight.entries();
        if let Some(entry) = entries.get_mut(&self.key) {
            entry.count -= 1;
            if entry.count == 0 {
                entries.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    fn key() -> Key {
        Key::parse("w/a").unwrap()
    }

    fn enter(in_flight: &InFlight) -> JoinHandle<Result<Ticket, Superseded>> {
        let in_flight = in_flight.clone();
        tokio::spawn(async move { in_flight.enter(&key()).await })
    }

    async fn entered(in_flight: &InFlight, count: usize) {
        while in_flight.entries()[&key()].count < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_newer_upload_cancels_the_older_and_waits_for_its_end() {
        let in_flight = InFlight::default();
        let older = in_flight.enter(&key()).await.ok().unwrap();
        let newer = enter(&in_flight);

        let outcome = older.run(std::future::pending::<()>()).await;

        assert_eq!(outcome, Err(Superseded));
        assert!(!newer.is_finished());
        drop(older);
        assert_eq!(newer.await.unwrap().ok().unwrap().check(), Ok(()));
    }

    #[tokio::test]
    async fn one_that_goes_away_while_it_waits_frees_nothing() {
        let in_flight = InFlight::default();
        let committing = in_flight.enter(&key()).await.ok().unwrap();
        let waiting = enter(&in_flight);
        entered(&in_flight, 2).await;
        waiting.abort();
        assert!(waiting.await.is_err());

        let third = enter(&in_flight);
        entered(&in_flight, 2).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }

        assert!(!third.is_finished(), "it overtook a commit");
        drop(committing);
        assert_eq!(third.await.unwrap().ok().unwrap().check(), Ok(()));
    }

    #[tokio::test]
    async fn the_newest_of_three_wins() {
        let in_flight = InFlight::default();
        let first = in_flight.enter(&key()).await.ok().unwrap();
        let second = enter(&in_flight);
        entered(&in_flight, 2).await;
        let third = enter(&in_flight);

        assert_eq!(second.await.unwrap().err(), Some(Superseded));
        assert_eq!(first.check(), Err(Superseded));
        drop(first);

        assert_eq!(third.await.unwrap().ok().unwrap().check(), Ok(()));
    }

    #[tokio::test]
    async fn nothing_is_kept_of_uploads_that_are_over() {
        let in_flight = InFlight::default();
        for _ in 0..3 {
            drop(in_flight.enter(&key()).await);
        }
        assert!(in_flight.entries().is_empty());
    }

    #[tokio::test]
    async fn other_keys_are_not_disturbed() {
        let in_flight = InFlight::default();
        let one = in_flight.enter(&key()).await.ok().unwrap();
        let other = in_flight.enter(&Key::parse("w/b").unwrap()).await.ok().unwrap();
        assert_eq!((one.check(), other.check()), (Ok(()), Ok(())));
    }
}

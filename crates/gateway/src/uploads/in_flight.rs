//! Uploads in flight, by key: a newer upload of a key supersedes the older one.
//!
//! A client that lost its connection and tries again must not be overtaken by
//! its own first attempt. So the newer upload cancels the older one and starts
//! only when the older one can no longer become visible: if it is still being
//! sent, it is dropped; if it is being committed, the newer one waits for that.
//! Uploads of one key hold its lock one at a time. One that is dropped while it
//! waits leaves the queue and does not affect those behind it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::Key;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<Key, Entry>>>);

#[derive(Default)]
struct Entry {
    /// Held by the one upload that may become visible.
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Cancels the newest upload of the key.
    newest: CancellationToken,
    /// Number of uploads that hold the lock or wait for it.
    count: usize,
}

/// The exclusive right to upload under a key, until it is dropped.
pub(crate) struct KeyLock {
    // Dropped first, so that the next upload finds the lock free, or its entry
    // removed.
    _guard: OwnedMutexGuard<()>,
    registration: Registration,
}

/// Counts one upload in the entry of its key.
struct Registration {
    in_flight: InFlight,
    key: Key,
    superseded: CancellationToken,
}

/// A newer upload of the same key was started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Superseded;

impl InFlight {
    /// Cancels an older upload of `key` and waits until it has ended.
    pub(crate) async fn lock(&self, key: &Key) -> Result<KeyLock, Superseded> {
        let superseded = CancellationToken::new();
        let lock = {
            let mut entries = self.entries();
            let entry = entries.entry(key.clone()).or_default();
            std::mem::replace(&mut entry.newest, superseded.clone()).cancel();
            entry.count += 1;
            entry.lock.clone()
        };
        // Created before the wait, so that the count is also right if the wait
        // is dropped.
        let registration = Registration { in_flight: self.clone(), key: key.clone(), superseded };
        let guard = registration.run(lock.lock_owned()).await?;
        Ok(KeyLock { _guard: guard, registration })
    }

    /// Returns the keys of all uploads in flight.
    pub(crate) fn keys(&self) -> HashSet<String> {
        self.entries().keys().map(Key::to_string).collect()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyLock {
    /// Runs `work` until it is done or a newer upload of the key starts.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Superseded> {
        self.registration.run(work).await
    }

    /// Fails if a newer upload has started. Called right before the commit, which
    /// is not interrupted.
    pub(crate) fn check(&self) -> Result<(), Superseded> {
        if self.registration.superseded.is_cancelled() { Err(Superseded) } else { Ok(()) }
    }
}

impl Registration {
    async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Superseded> {
        tokio::select! {
            biased;
            () = self.superseded.cancelled() => Err(Superseded),
            done = work => Ok(done),
        }
    }
}

impl Drop for Registration {
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

    #[tokio::test]
    async fn a_newer_upload_cancels_the_older_one_and_waits_for_its_end() {
        let in_flight = InFlight::default();
        let older = in_flight.lock(&key()).await.ok().unwrap();
        let newer = spawn_lock(&in_flight);

        let outcome = older.run(std::future::pending::<()>()).await;

        assert_eq!(outcome, Err(Superseded));
        assert!(!newer.is_finished());
        drop(older);
        assert_eq!(newer.await.unwrap().ok().unwrap().check(), Ok(()));
    }

    #[tokio::test]
    async fn an_upload_that_is_dropped_while_it_waits_does_not_free_the_lock() {
        let in_flight = InFlight::default();
        let committing = in_flight.lock(&key()).await.ok().unwrap();
        let waiting = spawn_lock(&in_flight);
        wait_for_count(&in_flight, 2).await;
        waiting.abort();
        assert!(waiting.await.is_err());

        let third = spawn_lock(&in_flight);
        wait_for_count(&in_flight, 2).await;
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
        let first = in_flight.lock(&key()).await.ok().unwrap();
        let second = spawn_lock(&in_flight);
        wait_for_count(&in_flight, 2).await;
        let third = spawn_lock(&in_flight);

        assert_eq!(second.await.unwrap().err(), Some(Superseded));
        assert_eq!(first.check(), Err(Superseded));
        drop(first);

        assert_eq!(third.await.unwrap().ok().unwrap().check(), Ok(()));
    }

    #[tokio::test]
    async fn no_entry_remains_of_uploads_that_have_ended() {
        let in_flight = InFlight::default();
        for _ in 0..3 {
            drop(in_flight.lock(&key()).await);
        }
        assert!(in_flight.entries().is_empty());
    }

    #[tokio::test]
    async fn uploads_of_other_keys_are_not_affected() {
        let in_flight = InFlight::default();
        let one = in_flight.lock(&key()).await.ok().unwrap();
        let other = in_flight.lock(&Key::parse("w/b").unwrap()).await.ok().unwrap();
        assert_eq!((one.check(), other.check()), (Ok(()), Ok(())));
    }

    fn key() -> Key {
        Key::parse("w/a").unwrap()
    }

    fn spawn_lock(in_flight: &InFlight) -> JoinHandle<Result<KeyLock, Superseded>> {
        let in_flight = in_flight.clone();
        tokio::spawn(async move { in_flight.lock(&key()).await })
    }

    /// Waits until `count` uploads hold the lock or wait for it.
    async fn wait_for_count(in_flight: &InFlight, count: usize) {
        while in_flight.entries()[&key()].count < count {
            tokio::task::yield_now().await;
        }
    }
}

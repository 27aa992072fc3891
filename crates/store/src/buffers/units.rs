//! The units of a pool: who holds some, and who waits for them. The decisions are those of
//! [`super::fair_queue`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::fair_queue::{FairQueue, Granted, UserId};

/// The units of a pool. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Units(Arc<Mutex<FairQueue<oneshot::Sender<HeldUnits>>>>);

/// Units that are in use, until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldUnits {
    units: Units,
    user: UserId,
    count: u64,
}

impl Units {
    pub(super) fn new(count: u64) -> Units {
        Units(Arc::new(Mutex::new(FairQueue::new(count))))
    }

    pub(super) fn free(&self) -> u64 {
        self.queue().free()
    }

    pub(super) fn try_take(&self, user: UserId, count: u64) -> Option<HeldUnits> {
        let is_taken = self.queue().try_take(user, count);
        is_taken.then(|| HeldUnits { units: self.clone(), user, count })
    }

    pub(super) async fn take(&self, user: UserId, count: u64) -> HeldUnits {
        if let Some(held) = self.try_take(user, count) {
            return held;
        }
        let (waiter, turn) = oneshot::channel();
        self.queue().wait(user, count, waiter);
        // If this wait is dropped, the next one may fit.
        let _wait = Wait(self);
        self.grant();
        turn.await.expect("a waiter is woken before it is removed")
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue().waiting()
    }

    /// Gives free units to those who wait for them.
    fn grant(&self) {
        while let Some(Granted { user, units: count, waiter }) = self.next() {
            // One that has gone meanwhile gives them back.
            drop(waiter.send(HeldUnits { units: self.clone(), user, count }));
        }
    }

    fn next(&self) -> Option<Granted<oneshot::Sender<HeldUnits>>> {
        self.queue().next(oneshot::Sender::is_closed)
    }

    fn queue(&self) -> MutexGuard<'_, FairQueue<oneshot::Sender<HeldUnits>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Wait<'u>(&'u Units);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.grant();
    }
}

impl Drop for HeldUnits {
    fn drop(&mut self) {
        self.units.queue().release(self.user, self.count);
        self.units.grant();
    }
}

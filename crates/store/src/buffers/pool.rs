//! The buffer pool: part buffers with a byte budget, one pool per process.
//!
//! Fresh memory costs page faults (we measured half of a streaming client's CPU
//! time there), so buffers are anonymous maps, in huge pages if the kernel gives
//! them, and are reused. Buffers in use and idle ones together never exceed the
//! budget. A request that finds no room waits; the user that holds least is next
//! (`fair_queue`). It cannot deadlock: a filled buffer needs no second one to be
//! sent, so every buffer is returned.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memmap2::{Advice, MmapMut};
use s3up_core::Size;
use s3up_core::part::MIB;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::buffers::buffer::Buffer;
use crate::buffers::fair_queue::UserId;
use crate::buffers::idle_maps::IdleMaps;
use crate::buffers::units::{HeldUnits, Units};

/// Unit in which the budget is counted; a small file takes one.
const UNIT_BYTES: u64 = 16 << 10;

#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget_bytes: u64,
    units: Units,
    idle: Arc<IdleMaps>,
}

/// The part of a pool that one of its users may hold at once. Clones are the
/// same share.
#[derive(Clone, Debug)]
pub struct Share {
    user: UserId,
    units: Arc<Semaphore>,
    bytes: u64,
}

/// All users without a share are one.
const NO_SHARE: UserId = 0;

impl Share {
    pub fn new(bytes: u64) -> Share {
        static USERS: AtomicU64 = AtomicU64::new(NO_SHARE + 1);
        let units = (bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS as u64) as usize;
        let user = USERS.fetch_add(1, Ordering::Relaxed);
        Share { user, units: Arc::new(Semaphore::new(units)), bytes }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("a part of {} does not fit into the buffer budget of {}; reduce the part size or increase the budget", Size(*bytes), Size(*budget_bytes))]
    OverBudget { bytes: u64, budget_bytes: u64 },
    #[error("no part buffer became free within {seconds} s")]
    Exhausted { seconds: u64 },
    #[error("cannot allocate a buffer of {}", Size(*bytes))]
    Map { bytes: u64, source: std::io::Error },
}

impl Pool {
    pub fn new(budget_bytes: u64) -> Pool {
        Pool(Arc::new(Inner {
            budget_bytes,
            units: Units::new(budget_bytes / UNIT_BYTES),
            idle: Arc::default(),
        }))
    }

    pub fn budget_bytes(&self) -> u64 {
        self.0.budget_bytes
    }

    /// Returns how many bytes are in use now.
    pub fn used_bytes(&self) -> u64 {
        let units = self.0.budget_bytes / UNIT_BYTES;
        units.saturating_sub(self.0.units.free()) * UNIT_BYTES
    }

    /// Returns a buffer of `bytes` bytes. Waits until the budget, and the share if
    /// there is one, have room for it.
    pub async fn take(&self, bytes: u64, share: Option<&Share>) -> Result<Buffer, PoolError> {
        let (map_bytes, units) = self.reservation(bytes, share)?;
        let never_closed = "no semaphore of a pool is ever closed";
        let shared = match share {
            Some(share) => {
                Some(share.units.clone().acquire_many_owned(units).await.expect(never_closed))
            }
            None => None,
        };
        let held = self.0.units.take(user_of(share), units.into()).await;
        self.new_buffer(bytes, map_bytes, held, shared)
    }

    /// Takes buffers like [`Pool::take`], but fails after `wait`.
    pub async fn take_within(
        &self,
        bytes: u64,
        share: Option<&Share>,
        wait: Option<Duration>,
    ) -> Result<Buffer, PoolError> {
        let Some(wait) = wait else { return self.take(bytes, share).await };
        let late = |_| PoolError::Exhausted { seconds: wait.as_secs() };
        tokio::time::timeout(wait, self.take(bytes, share)).await.map_err(late)?
    }

    /// Returns a buffer of `bytes` bytes if there is room for it now.
    pub fn try_take(&self, bytes: u64, share: Option<&Share>) -> Result<Option<Buffer>, PoolError> {
        let (map_bytes, units) = self.reservation(bytes, share)?;
        let shared = share.map(|share| share.units.clone().try_acquire_many_owned(units));
        let Ok(shared) = shared.transpose() else { return Ok(None) };
        match self.0.units.try_take(user_of(share), units.into()) {
            Some(held) => self.new_buffer(bytes, map_bytes, held, shared).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the bytes of the map for a buffer, and its units of the budget.
    fn reservation(&self, bytes: u64, share: Option<&Share>) -> Result<(u64, u32), PoolError> {
        let map_bytes = map_bytes(bytes);
        let budget_bytes = share.map_or(u64::MAX, |share| share.bytes).min(self.0.budget_bytes);
        match u32::try_from(map_bytes / UNIT_BYTES) {
            Ok(units) if map_bytes <= budget_bytes => Ok((map_bytes, units)),
            _ => Err(PoolError::OverBudget { bytes, budget_bytes }),
        }
    }

    fn new_buffer(
        &self,
        bytes: u64,
        map_bytes: u64,
        held: HeldUnits,
        shared: Option<OwnedSemaphorePermit>,
    ) -> Result<Buffer, PoolError> {
        let free_bytes = self.0.units.free() * UNIT_BYTES;
        let map = match self.0.idle.take(map_bytes, free_bytes) {
            Some(map) => map,
            None => new_map(map_bytes).map_err(|source| PoolError::Map { bytes, source })?,
        };
        Ok(Buffer::new(map, bytes as usize, Arc::clone(&self.0.idle), held, shared))
    }
}

fn user_of(share: Option<&Share>) -> UserId {
    share.map_or(NO_SHARE, |share| share.user)
}

/// Returns the length of the map for a buffer, rounded up so that maps can be
/// reused: to a power of two up to 1 MiB, to whole MiB above.
fn map_bytes(bytes: u64) -> u64 {
    if bytes <= MIB {
        bytes.next_power_of_two().max(UNIT_BYTES)
    } else {
        bytes.next_multiple_of(MIB)
    }
}

fn new_map(bytes: u64) -> std::io::Result<MmapMut> {
    let map = MmapMut::map_anon(bytes as usize)?;
    if bytes >= 2 * MIB && map.advise(Advice::HugePage).is_err() {
        tracing::debug!(
            event = "huge_pages_refused",
            "the kernel provides no huge pages for part buffers; using ordinary pages"
        );
    }
    Ok(map)
}

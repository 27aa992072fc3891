//! One pool of part buffers per process, with a byte budget.
//!
//! Fresh memory costs page faults (half of a streaming client's CPU was
//! measured there), so buffers are anonymous maps in huge pages where the
//! kernel gives them, and they are used again. Lent and idle buffers together
//! never exceed the budget; who finds none waits, first come, first served.
//! A wait cannot dead-lock: a filled buffer needs no second one to be sent, so
//! every lent buffer comes back.

mod buffer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memmap2::{Advice, MmapMut};
use s3up_core::Size;
use s3up_core::part::MIB;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::buffer::Buffer;

/// The budget is counted in units of this: small files take one each.
const UNIT_BYTES: u64 = 16 << 10;

#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget_bytes: u64,
    units: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

/// Maps that nobody uses now, by their length.
#[derive(Debug, Default)]
struct Idle {
    maps: BTreeMap<u64, Vec<MmapMut>>,
    bytes: u64,
}

/// What one of several users of a pool may hold of it at once. Clones are one
/// share.
#[derive(Clone, Debug)]
pub struct Share {
    units: Arc<Semaphore>,
    bytes: u64,
}

impl Share {
    pub fn new(bytes: u64) -> Share {
        Share { units: Arc::new(Semaphore::new(units_of(bytes))), bytes }
    }
}

fn units_of(bytes: u64) -> usize {
    (bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS as u64) as usize
}

#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("a buffer of {} does not fit into the buffer budget of {}", Size(*bytes), Size(*budget_bytes))]
    OverBudget { bytes: u64, budget_bytes: u64 },
    #[error("no buffer became free within {seconds} s")]
    Exhausted { seconds: u64 },
    #[error("map a buffer of {}", Size(*bytes))]
    Map { bytes: u64, source: std::io::Error },
}

impl Pool {
    pub fn new(budget_bytes: u64) -> Pool {
        Pool(Arc::new(Inner {
            budget_bytes,
            units: Arc::new(Semaphore::new(units_of(budget_bytes))),
            idle: Mutex::default(),
        }))
    }

    pub fn budget_bytes(&self) -> u64 {
        self.0.budget_bytes
    }

    /// Bytes that are lent out now.
    pub fn lent_bytes(&self) -> u64 {
        let units = (self.0.budget_bytes / UNIT_BYTES) as usize;
        (units - self.0.units.available_permits().min(units)) as u64 * UNIT_BYTES
    }

    /// A buffer of `bytes` bytes; waits until the budget, and the share where
    /// one is given, have room for it.
    pub async fn take(&self, bytes: u64, share: Option<&Share>) -> Result<Buffer, PoolError> {
        let (class, units) = self.price(bytes, share)?;
        let never_closed = "no semaphore of a pool is ever closed";
        let shared = match share {
            Some(share) => {
                Some(share.units.clone().acquire_many_owned(units).await.expect(never_closed))
            }
            None => None,
        };
        let permit = self.0.units.clone().acquire_many_owned(units).await.expect(never_closed);
        self.lend(bytes, class, permit, shared)
    }

    /// Like [`Pool::take`], but gives up after `wait`.
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

    /// A buffer of `bytes` bytes, if there is room for it now.
    pub fn try_take(&self, bytes: u64, share: Option<&Share>) -> Result<Option<Buffer>, PoolError> {
        let (class, units) = self.price(bytes, share)?;
        let shared = share.map(|share| share.units.clone().try_acquire_many_owned(units));
        let Ok(shared) = shared.transpose() else { return Ok(None) };
        match self.0.units.clone().try_acquire_many_owned(units) {
            Ok(permit) => self.lend(bytes, class, permit, shared).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn price(&self, bytes: u64, share: Option<&Share>) -> Result<(u64, u32), PoolError> {
        let class = class(bytes);
        let budget_bytes = share.map_or(u64::MAX, |share| share.bytes).min(self.0.budget_bytes);
        match u32::try_from(class / UNIT_BYTES) {
            Ok(units) if class <= budget_bytes => Ok((class, units)),
            _ => Err(PoolError::OverBudget { bytes, budget_bytes }),
        }
    }

    fn lend(
        &self,
        bytes: u64,
        class: u64,
        permit: OwnedSemaphorePermit,
        shared: Option<OwnedSemaphorePermit>,
    ) -> Result<Buffer, PoolError> {
        let map = match self.0.reuse(class) {
            Some(map) => map,
            None => map_new(class).map_err(|source| PoolError::Map { bytes, source })?,
        };
        Ok(Buffer::new(map, bytes as usize, self.0.clone(), permit, shared))
    }
}

impl Inner {
    /// An idle map of this class; where there is none, gives idle maps of other
    /// classes back to the kernel until a new one fits into the budget.
    fn reuse(&self, class: u64) -> Option<MmapMut> {
        let mut idle = self.idle();
        if let Some(map) = idle.maps.get_mut(&class).and_then(Vec::pop) {
            idle.bytes -= class;
            return Some(map);
        }
        let lent = self.budget_bytes - self.units.available_permits() as u64 * UNIT_BYTES;
        while lent + idle.bytes > self.budget_bytes && idle.drop_largest() {}
        None
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn drop_largest(&mut self) -> bool {
        let Some(mut entry) = self.maps.last_entry() else { return false };
        let class = *entry.key();
        if entry.get_mut().pop().is_some() {
            self.bytes -= class;
        } else {
            entry.remove();
        }
        true
    }
}

/// Lengths are rounded up so that buffers fit each other's needs: to a power of
/// two up to 1 MiB, to whole MiB above.
fn class(bytes: u64) -> u64 {
    if bytes <= MIB {
        bytes.next_power_of_two().max(UNIT_BYTES)
    } else {
        bytes.next_multiple_of(MIB)
    }
}

fn map_new(bytes: u64) -> std::io::Result<MmapMut> {
    let map = MmapMut::map_anon(bytes as usize)?;
    if bytes >= 2 * MIB && map.advise(Advice::HugePage).is_err() {
        tracing::debug!(event = "huge_pages_refused", "the kernel gives no huge pages");
    }
    Ok(map)
}

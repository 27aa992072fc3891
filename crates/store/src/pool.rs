//! One pool of part buffers per process, with a byte budget.
//!
//! Fresh memory costs page faults (half of a streaming client's CPU was
//! measured there), so buffers are anonymous maps in huge pages where the
//! kernel gives them, and they are used again. Lent and idle buffers together
//! never exceed the budget; who finds none waits, first come, first served.
//! A wait cannot dead-lock: a filled buffer needs no second one to be sent, so
//! every lent buffer comes back.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memmap2::{Advice, MmapMut};
use s3up_core::Size;
use s3up_core::part::MIB;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
        Ok(Buffer {
            map: Some(map),
            len: bytes as usize,
            filled: 0,
            _permit: permit,
            _shared: shared,
            home: self.0.clone(),
        })
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

/// Memory for one part: filled once, then read by hasher and sender, and given
/// back to its pool when the last of them lets go.
#[derive(Debug)]
pub struct Buffer {
    map: Option<MmapMut>,
    len: usize,
    filled: usize,
    _permit: OwnedSemaphorePermit,
    _shared: Option<OwnedSemaphorePermit>,
    home: Arc<Inner>,
}

impl Buffer {
    pub fn filled_len(&self) -> usize {
        self.filled
    }

    pub fn is_full(&self) -> bool {
        self.filled == self.len
    }

    /// What is not filled yet.
    pub fn unfilled(&mut self) -> &mut [u8] {
        let range = self.filled..self.len;
        &mut self.map_mut()[range]
    }

    /// Says that `count` bytes of [`Buffer::unfilled`] were written.
    pub fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.len);
    }

    /// Copies as much of `bytes` as fits, and says how much that was.
    pub fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let unfilled = self.unfilled();
        let count = unfilled.len().min(bytes.len());
        unfilled[..count].copy_from_slice(&bytes[..count]);
        self.advance(count);
        count
    }

    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self)
    }

    fn map_mut(&mut self) -> &mut MmapMut {
        self.map.as_mut().expect("a buffer has its map until it is dropped")
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        let map = self.map.as_ref().expect("a buffer has its map until it is dropped");
        &map[..self.filled]
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let filled = self.filled;
        &mut self.map_mut()[..filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // The map is idle before its permit is free, so a waiter finds it.
        if let Some(map) = self.map.take() {
            let class = map.len() as u64;
            let mut idle = self.home.idle();
            idle.bytes += class;
            idle.maps.entry(class).or_default().push(map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_to_classes() {
        #[rustfmt::skip]
        let cases = [
            (0,             UNIT_BYTES),
            (1,             UNIT_BYTES),
            (UNIT_BYTES,    UNIT_BYTES),
            (UNIT_BYTES+1,  2 * UNIT_BYTES),
            (MIB,           MIB),
            (MIB + 1,       2 * MIB),
            (8 * MIB,       8 * MIB),
            (8 * MIB + 1,   9 * MIB),
        ];
        for (bytes, want) in cases {
            assert_eq!(class(bytes), want, "{bytes}");
        }
    }

    #[tokio::test]
    async fn a_buffer_is_used_again() {
        let pool = Pool::new(4 * MIB);
        let first = pool.take(2 * MIB, None).await.unwrap();
        let address = first.map.as_ref().unwrap().as_ptr();
        drop(first);

        let second = pool.take(2 * MIB, None).await.unwrap();

        assert_eq!(second.map.as_ref().unwrap().as_ptr(), address);
    }

    #[tokio::test]
    async fn lent_and_idle_buffers_stay_within_the_budget() {
        let pool = Pool::new(4 * MIB);
        for bytes in [4 * MIB, MIB, UNIT_BYTES, 3 * MIB, 2 * MIB, 4 * MIB] {
            let buffer = pool.take(bytes, None).await.unwrap();
            let idle = pool.0.idle().bytes;
            assert!(pool.lent_bytes() + idle <= 4 * MIB, "{bytes}: {idle} idle");
            drop(buffer);
        }
        assert_eq!(pool.lent_bytes(), 0);
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_until_a_buffer_comes_back() {
        let pool = Pool::new(2 * MIB);
        let held = pool.take(2 * MIB, None).await.unwrap();
        assert!(pool.try_take(MIB, None).unwrap().is_none());
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.take(MIB, None).await.map(|b| b.len) }
        });

        drop(held);

        assert_eq!(waiting.await.unwrap().unwrap() as u64, MIB);
    }

    #[tokio::test]
    async fn who_has_used_up_its_share_leaves_the_rest_to_others() {
        let pool = Pool::new(4 * MIB);
        let greedy = Share::new(2 * MIB);
        let held = pool.take(2 * MIB, Some(&greedy)).await.unwrap();

        assert!(pool.try_take(MIB, Some(&greedy)).unwrap().is_none());
        assert!(pool.try_take(MIB, Some(&Share::new(2 * MIB))).unwrap().is_some());
        assert!(pool.try_take(3 * MIB, Some(&greedy)).is_err(), "it would wait for ever");
        drop(held);
        assert!(pool.try_take(2 * MIB, Some(&greedy)).unwrap().is_some());
    }

    #[tokio::test]
    async fn more_than_the_budget_is_refused_with_both_numbers() {
        let err = Pool::new(MIB).take(8 * MIB, None).await.unwrap_err();
        assert_eq!(
            err.to_string(),
            "a buffer of 8.0 MiB does not fit into the buffer budget of 1.0 MiB"
        );
    }

    #[tokio::test]
    async fn the_last_reader_gives_the_buffer_back() {
        let pool = Pool::new(MIB);
        let mut buffer = pool.take(10, None).await.unwrap();
        assert_eq!(buffer.fill_from(b"hello, world"), 10);
        let bytes = buffer.into_bytes();
        let slice = bytes.slice(3..);
        drop(bytes);
        assert_eq!((&slice[..], pool.lent_bytes()), (&b"lo, wor"[..], UNIT_BYTES));

        drop(slice);

        assert_eq!(pool.lent_bytes(), 0);
    }
}

//! Limits the requests without a valid key that one address may make, so that no stranger fills the log with
//! them. A request with a valid key is never limited by this.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s3up_core::Stopwatch;

use crate::clock::CLOCK;
use crate::network::host_of;

/// Failures of one address at once. After that it may have one each [`INTERVAL`].
const FAILURES_MAX: u32 = 100;
const INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of addresses that are remembered, about 1 MiB.
const ADDRESSES_MAX: usize = 10_000;

/// The failures of all addresses. Clones share it.
#[derive(Clone)]
pub(crate) struct FailedKeys {
    failures: Arc<Mutex<Failures>>,
    total: Arc<AtomicU64>,
    running: Stopwatch,
}

/// For each address the time at which it may have [`FAILURES_MAX`] failures again. Pure.
#[derive(Debug, Default)]
struct Failures(HashMap<IpAddr, Duration>);

impl Default for FailedKeys {
    fn default() -> FailedKeys {
        FailedKeys { failures: Arc::default(), total: Arc::default(), running: CLOCK.start() }
    }
}

impl FailedKeys {
    /// Counts a failure, or returns the time to wait before the next one.
    pub(crate) fn count(&self, address: IpAddr) -> Result<(), Duration> {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.count(host_of(address), self.running.elapsed())
    }

    /// Returns the number of failures of all addresses since the start.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

impl Failures {
    fn count(&mut self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        let free_at = self.0.get(&address).copied().unwrap_or_default().max(now);
        let ahead = free_at - now;
        if ahead + INTERVAL > INTERVAL * FAILURES_MAX {
            return Err(ahead + INTERVAL - INTERVAL * FAILURES_MAX);
        }
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&address) {
            self.0.retain(|_, free_at| *free_at > now);
        }
        // If all of them failed within the last minute, a new address is not remembered.
        if self.0.len() < ADDRESSES_MAX || self.0.contains_key(&address) {
            self.0.insert(address, free_at + INTERVAL);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_fail_some_times_at_once_and_then_evenly() {
        let (mut failures, seconds) = (Failures::default(), Duration::from_secs);
        let (one, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for n in 0..FAILURES_MAX {
            assert_eq!(failures.count(one, seconds(100)), Ok(()), "{n}");
        }
        assert_eq!(failures.count(one, seconds(100)), Err(seconds(1)));
        assert_eq!(failures.count(other, seconds(100)), Ok(()));
        assert_eq!(failures.count(one, seconds(101)), Ok(()));
        assert_eq!(failures.count(one, seconds(101)), Err(seconds(1)));
        assert_eq!(failures.count(one, seconds(1000)), Ok(()));
    }

    #[test]
    fn the_number_of_addresses_is_limited() {
        let (mut failures, second) = (Failures::default(), Duration::from_secs(1));
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let count = u32::try_from(ADDRESSES_MAX).unwrap();
        for n in 0..2 * count {
            assert_eq!(failures.count(address(n), second), Ok(()));
        }
        assert_eq!(failures.0.len(), ADDRESSES_MAX);
        assert_eq!(failures.count(address(9 * count), 200 * second), Ok(()));
        assert_eq!(failures.0.len(), 1, "those that rest are forgotten");
    }
}

//! The work of this gateway within about the last minute, from totals that it counts since its start.
//!
//! [`Window`] is pure. A task adds a sample to it every few seconds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use s3up_core::ClientName;
use s3up_store::{CallTotal, CallTotals};

use crate::counters::ClientCounts;

/// Pause between two samples.
pub(super) const SAMPLED_EVERY: Duration = Duration::from_secs(10);
/// Samples that are kept: those of a minute.
const SAMPLES: usize = 7;

/// The totals of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Time since the start.
    pub at: Duration,
    pub calls: CallTotals,
    pub clients: BTreeMap<ClientName, ClientCounts>,
}

/// The work between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rates {
    pub elapsed: Duration,
    /// `None`: a reload has replaced the connection to S3, so its totals began again.
    pub calls: Option<CallTotals>,
    /// Only clients that uploaded, the one with the most bytes first.
    pub clients: Vec<(ClientName, ClientCounts)>,
}

#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Sample>);

/// The window of this gateway.
#[derive(Debug, Default)]
pub(crate) struct RecentWork(Mutex<Window>);

impl RecentWork {
    pub(super) fn add(&self, sample: Sample) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(sample);
    }

    pub(super) fn rates(&self) -> Option<Rates> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rates()
    }
}

impl Window {
    fn add(&mut self, sample: Sample) {
        self.0.push_back(sample);
        if self.0.len() > SAMPLES {
            self.0.pop_front();
        }
    }

    /// Returns the work between the first and the last sample. `None`: there are no two yet.
    fn rates(&self) -> Option<Rates> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let elapsed = last.at.checked_sub(first.at).filter(|elapsed| !elapsed.is_zero())?;
        let mut clients: Vec<_> = last
            .clients
            .iter()
            .map(|(client, now)| {
                let before = first.clients.get(client).copied().unwrap_or_default();
                let counts = ClientCounts {
                    uploads: now.uploads.saturating_sub(before.uploads),
                    stored_bytes: now.stored_bytes.saturating_sub(before.stored_bytes),
                };
                (client.clone(), counts)
            })
            .filter(|(_, counts)| counts.uploads > 0)
            .collect();
        clients.sort_by_key(|(_, counts)| std::cmp::Reverse((counts.stored_bytes, counts.uploads)));
        Some(Rates { elapsed, calls: calls_between(first.calls, last.calls), clients })
    }
}

fn calls_between(first: CallTotals, last: CallTotals) -> Option<CallTotals> {
    let total = |first: CallTotal, last: CallTotal| {
        Some(CallTotal {
            calls: last.calls.checked_sub(first.calls)?,
            elapsed: last.elapsed.checked_sub(first.elapsed)?,
            latencies: last.latencies.since(&first.latencies)?,
        })
    };
    let succeeded = total(first.succeeded, last.succeeded)?;
    Some(CallTotals { succeeded, failed: total(first.failed, last.failed)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, calls: u64, uploads: &[(&str, u64, u64)]) -> Sample {
        let clients = uploads.iter().map(|(name, uploads, stored_bytes)| {
            let counts = ClientCounts { uploads: *uploads, stored_bytes: *stored_bytes };
            (ClientName::parse(name).unwrap(), counts)
        });
        let elapsed = Duration::from_millis(10 * calls);
        let total = CallTotal { calls, elapsed, ..CallTotal::default() };
        let calls = CallTotals { succeeded: total, failed: CallTotal::default() };
        Sample { at: Duration::from_secs(at), calls, clients: clients.collect() }
    }

    #[test]
    fn the_work_is_that_between_the_first_and_the_last_sample() {
        let mut window = Window::default();
        assert_eq!(window.rates(), None);
        window.add(sample(0, 5, &[("a", 1, 10), ("b", 2, 5)]));
        assert_eq!(window.rates(), None, "one sample tells no rate");
        window.add(sample(10, 9, &[("a", 1, 10), ("b", 5, 35), ("c", 1, 90)]));

        let rates = window.rates().unwrap();

        assert_eq!(rates.elapsed, Duration::from_secs(10));
        let calls = rates.calls.unwrap().succeeded;
        assert_eq!((calls.calls, calls.elapsed), (4, Duration::from_millis(40)));
        let clients: Vec<_> = rates
            .clients
            .iter()
            .map(|(name, it)| (name.as_str(), it.uploads, it.stored_bytes))
            .collect();
        assert_eq!(clients, [("c", 1, 90), ("b", 3, 30)]);
    }

    #[test]
    fn a_window_is_a_minute_and_a_new_connection_has_no_rate() {
        let mut window = Window::default();
        for n in 0..20 {
            window.add(sample(10 * n, 100 + n, &[]));
        }
        assert_eq!(window.rates().unwrap().elapsed, Duration::from_secs(60));
        window.add(sample(200, 1, &[]));
        assert_eq!(window.rates().unwrap().calls, None);
    }
}

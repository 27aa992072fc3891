//! A circuit breaker for uploads: one back-off for the whole agent.
//!
//! After a failure of the gateway no upload starts until a random delay is over.
//! Then one upload probes while the others wait, and its success lets all of
//! them start. Uploads that fail together count as one failure.
//!
//! A failure that may be about one file blocks nothing, unless several uploads fail in a row. A
//! file that failed before while others were stored is at fault itself, and never blocks them.
//!
//! Pure: the clock and the random number are parameters.

use std::time::{Duration, Instant};

use super::retry::{RetryHint, RetryPolicy};

/// Number of failures without a success between them that are a sign of the gateway: two files
/// that fail by themselves may follow each other.
const FILE_FAILURES_MAX: u32 = 3;

/// Blocks uploads while the gateway fails.
#[derive(Debug)]
pub struct CircuitBreaker {
    policy: RetryPolicy,
    failures: u32,
    /// Failures since the last success that may be about files.
    file_failures: u32,
    successes: u64,
    blocked_until: Option<Instant>,
    probing: bool,
    /// Number of times that the breaker has blocked. Uploads with an older number
    /// ran at the same time as the one that failed, so their failures are the same.
    epoch: u64,
}

/// Permission of one upload to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    epoch: u64,
    probe: bool,
}

impl CircuitBreaker {
    pub fn new(policy: RetryPolicy) -> CircuitBreaker {
        CircuitBreaker {
            policy,
            failures: 0,
            file_failures: 0,
            successes: 0,
            blocked_until: None,
            probing: false,
            epoch: 0,
        }
    }

    /// Returns the number of failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the number of uploads that succeeded.
    pub fn successes(&self) -> u64 {
        self.successes
    }

    /// Returns the time before which no upload may start; `None` if the gateway works.
    pub fn blocked_until(&self) -> Option<Instant> {
        self.blocked_until
    }

    /// Returns true if an upload may start now.
    pub fn allows(&self, now: Instant) -> bool {
        match self.blocked_until {
            None => true,
            Some(until) => until <= now && !self.probing,
        }
    }

    /// Ends the delay: the gateway answered another call, so a probe may start.
    pub fn probe_now(&mut self, now: Instant) {
        self.blocked_until = self.blocked_until.map(|until| until.min(now));
    }

    /// Returns a permit if an upload may start now.
    pub fn try_start(&mut self, now: Instant) -> Option<Permit> {
        if !self.allows(now) {
            return None;
        }
        let probe = self.blocked_until.is_some();
        self.probing = probe;
        Some(Permit { epoch: self.epoch, probe })
    }

    /// Records the success of an upload.
    pub fn succeeded(&mut self, permit: Permit) {
        self.successes += 1;
        self.file_failures = 0;
        if permit.epoch == self.epoch {
            self.failures = 0;
            self.blocked_until = None;
            self.probing = false;
        }
    }

    /// Returns the permit of an upload that never reached the gateway.
    pub fn released(&mut self, permit: Permit) {
        if permit.probe {
            self.probing = false;
        }
    }

    /// Counts a failure that may be about the file. `own` is true if the file failed before and
    /// others were stored since. Returns as [`CircuitBreaker::failed`] does.
    pub fn file_failed(
        &mut self,
        permit: Permit,
        own: bool,
        hint: RetryHint,
        random: f64,
        now: Instant,
    ) -> Option<Duration> {
        if !own {
            self.file_failures = self.file_failures.saturating_add(1);
        }
        // The end of a block needs a success.
        if permit.probe || self.file_failures >= FILE_FAILURES_MAX {
            return self.failed(permit, hint, random, now);
        }
        self.released(permit);
        None
    }

    /// Counts a failure of the gateway. Returns how long the breaker blocks now; `None`
    /// if another upload of the same time has blocked it already.
    pub fn failed(
        &mut self,
        permit: Permit,
        hint: RetryHint,
        random: f64,
        now: Instant,
    ) -> Option<Duration> {
        self.released(permit);
        if permit.epoch != self.epoch {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        self.epoch += 1;
        let delay = self.policy.delay(self.failures, hint, random);
        self.blocked_until = Some(now + delay);
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const POLICY: RetryPolicy = RetryPolicy { quick_tries: 3, quick_delay: Duration::from_secs(5) };
    const PLAIN: RetryHint = RetryHint { retry_after: None, slow: false };

    #[test]
    fn uploads_that_fail_together_count_as_one_failure() {
        let now = clock::now().instant;
        let mut breaker = CircuitBreaker::new(POLICY);
        let permits: Vec<_> = (0..8).filter_map(|_| breaker.try_start(now)).collect();
        assert_eq!(permits.len(), 8);

        let delays: Vec<_> =
            permits.into_iter().filter_map(|t| breaker.failed(t, PLAIN, 1.0, now)).collect();

        assert_eq!(delays, [Duration::from_secs(5)]);
        assert_eq!(breaker.failures(), 1);
    }

    #[test]
    fn an_outage_of_an_hour_costs_few_probes_and_ends_with_the_first_answer() {
        let hour = Duration::from_secs(3600);
        // (random number, fewest and most probes in the hour)
        for (random, probes) in [(1.0, 12..=30), (0.5, 24..=50), (0.1, 120..=200)] {
            let start = clock::now().instant;
            let mut breaker = CircuitBreaker::new(POLICY);
            let (mut now, mut count, mut longest) = (start, 0, Duration::ZERO);
            while now < start + hour {
                let permit = breaker.try_start(now).expect("the delay is over");
                assert_eq!(breaker.try_start(now).is_none(), count > 0, "one probe at a time");
                count += 1;
                let delay = breaker.failed(permit, PLAIN, random, now).expect("it blocks");
                longest = longest.max(delay);
                now += delay;
            }
            assert!(probes.contains(&count), "{random}: {count} probes");
            assert!(longest <= crate::uploading::retry::SLOW_DELAY_MAX);

            // A heartbeat is answered: the next upload need not wait.
            breaker.probe_now(start + hour);
            let probe = breaker.try_start(start + hour).expect("it may probe");
            breaker.succeeded(probe);
            assert!(breaker.try_start(start + hour).is_some() && breaker.failures() == 0);
        }
    }

    #[test]
    fn a_file_that_fails_by_itself_blocks_no_other() {
        let now = clock::now().instant;
        type Case = (&'static str, &'static [(bool, bool)], bool);
        #[rustfmt::skip]
        let cases: [Case; 7] = [
            // situation                      (succeeds, own)                                              blocked
            ("one fails",                     &[(false, false)],                                           false),
            ("two fail in a row",             &[(false, false); 2],                                        false),
            ("three fail in a row",           &[(false, false); 3],                                        true),
            ("one is stored between them",    &[(false, false), (false, false), (true, false), (false, false)], false),
            ("files that failed before",      &[(false, true); 20],                                        false),
            ("they do not count for others",  &[(false, true), (false, false), (false, true), (false, false)], false),
            ("nor hide that others fail",     &[(false, false), (false, true), (false, false), (false, false)], true),
        ];
        for (situation, uploads, blocked) in cases {
            let mut breaker = CircuitBreaker::new(POLICY);
            for (succeeds, own) in uploads {
                let permit = breaker.try_start(now).unwrap();
                if *succeeds {
                    breaker.succeeded(permit);
                } else {
                    breaker.file_failed(permit, *own, PLAIN, 1.0, now);
                }
            }
            assert_eq!(breaker.blocked_until().is_some(), blocked, "{situation}");
        }
    }

    #[test]
    fn a_probe_that_fails_by_itself_does_not_end_the_block() {
        let now = clock::now().instant;
        let mut breaker = CircuitBreaker::new(POLICY);
        let permit = breaker.try_start(now).unwrap();
        breaker.failed(permit, PLAIN, 1.0, now);
        let probe = breaker.try_start(now + Duration::from_secs(5)).unwrap();

        let blocked = breaker.file_failed(probe, true, PLAIN, 1.0, now + Duration::from_secs(5));

        assert_eq!(blocked, Some(Duration::from_secs(5)));
        assert_eq!(breaker.failures(), 2);
    }

    #[test]
    fn one_upload_probes_and_its_success_lets_all_others_start() {
        let now = clock::now().instant;
        let mut breaker = CircuitBreaker::new(POLICY);
        let permit = breaker.try_start(now).unwrap();
        breaker.failed(permit, PLAIN, 1.0, now);

        assert_eq!(breaker.try_start(now + Duration::from_secs(4)), None, "blocked");
        let later = now + Duration::from_secs(5);
        let probe = breaker.try_start(later).unwrap();
        assert_eq!(breaker.try_start(later), None, "one probe at a time");
        breaker.succeeded(probe);
        assert!(breaker.try_start(later).is_some());
        assert!(breaker.try_start(later).is_some());
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn a_probe_that_never_reached_the_gateway_lets_another_one_start() {
        let now = clock::now().instant;
        let mut breaker = CircuitBreaker::new(POLICY);
        let permit = breaker.try_start(now).unwrap();
        breaker.failed(permit, PLAIN, 0.0, now);

        let probe = breaker.try_start(now).unwrap();
        breaker.released(probe);

        assert!(breaker.try_start(now).is_some());
    }

    #[test]
    fn a_success_of_an_upload_from_before_the_failure_does_not_end_the_block() {
        let now = clock::now().instant;
        let mut breaker = CircuitBreaker::new(POLICY);
        let (slow, broken) = (breaker.try_start(now).unwrap(), breaker.try_start(now).unwrap());
        breaker.failed(broken, PLAIN, 1.0, now);

        breaker.succeeded(slow);

        assert_eq!(breaker.try_start(now), None);
    }
}

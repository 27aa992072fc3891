//! When to try again: pure arithmetic of the back-off, one for the whole agent.
//!
//! After a failure nobody sends for a random time, then one upload probes
//! while the others wait, and its success opens the gate for all. The first
//! `retry_attempts` failures in a row wait for at most `retry_delay_seconds`
//! (the quick tries); after that the limit doubles up to [`SLOW_DELAY_MAX`]
//! (the slow lane). It never gives up, and a key that the gateway does not
//! know goes to the slow end at once. Jitter is full, so that many agents do
//! not come back together; a Retry-After is waited out first.
//!
//! The clock and the random number are parameters.

use std::time::{Duration, Instant};

/// Long enough not to burden a gateway that is down for days, short enough
/// that nobody notices how long it took to see that it is back.
pub const SLOW_DELAY_MAX: Duration = Duration::from_secs(300);
/// A gateway that asks for more is asked again after this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub quick_tries: u32,
    pub quick_delay: Duration,
}

/// What a failed try says about the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub retry_after: Option<Duration>,
    /// Trying again soon is pointless: the key is wrong.
    pub slow: bool,
}

impl Policy {
    /// How long to wait after the `failures`-th failure in a row, with `random`
    /// in 0..1.
    pub fn delay(&self, failures: u32, fault: Fault, random: f64) -> Duration {
        let jitter = self.delay_max(failures, fault).mul_f64(random.clamp(0.0, 1.0));
        fault.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX) + jitter
    }

    fn delay_max(&self, failures: u32, fault: Fault) -> Duration {
        if fault.slow {
            return SLOW_DELAY_MAX;
        }
        let doublings = failures.saturating_sub(self.quick_tries).min(31);
        self.quick_delay.saturating_mul(1 << doublings).min(SLOW_DELAY_MAX)
    }
}

/// Lets uploads through, or holds them back.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    failures: u32,
    closed_until: Option<Instant>,
    probing: bool,
    /// Counts the closings, so that eight uploads that break together count
    /// as one failure.
    epoch: u64,
}

/// Held by each upload that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    epoch: u64,
    probe: bool,
}

impl Gate {
    pub fn new(policy: Policy) -> Gate {
        Gate { policy, failures: 0, closed_until: None, probing: false, epoch: 0 }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Until when nobody may start; `None` while the gate is open.
    pub fn opens_at(&self) -> Option<Instant> {
        self.closed_until
    }

    /// True where an upload may start now.
    pub fn is_open(&self, now: Instant) -> bool {
        match self.closed_until {
            None => true,
            Some(until) => until <= now && !self.probing,
        }
    }

    /// A ticket, where an upload may start now.
    pub fn enter(&mut self, now: Instant) -> Option<Ticket> {
        if !self.is_open(now) {
            return None;
        }
        let probe = self.closed_until.is_some();
        self.probing = probe;
        Some(Ticket { epoch: self.epoch, probe })
    }

    /// The gateway took a file.
    pub fn succeeded(&mut self, ticket: Ticket) {
        if ticket.epoch == self.epoch {
            self.failures = 0;
            self.closed_until = None;
            self.probing = false;
        }
    }

    /// The upload ended without a word from the gateway.
    pub fn left(&mut self, ticket: Ticket) {
        if ticket.probe {
            self.probing = false;
        }
    }

    /// The gateway failed. Returns for how long the gate is closed now, unless
    /// it was closed already by another upload of the same time.
    pub fn failed(
        &mut self,
        ticket: Ticket,
        fault: Fault,
        random: f64,
        now: Instant,
    ) -> Option<Duration> {
        self.left(ticket);
        if ticket.epoch != self.epoch {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        self.epoch += 1;
        let delay = self.policy.delay(self.failures, fault, random);
        self.closed_until = Some(now + delay);
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { quick_tries: 3, quick_delay: Duration::from_secs(5) };
    const PLAIN: Fault = Fault { retry_after: None, slow: false };

    #[test]
    fn delays() {
        let after = |seconds| Fault { retry_after: Some(Duration::from_secs(seconds)), ..PLAIN };
        let slow = Fault { slow: true, ..PLAIN };
        #[rustfmt::skip]
        let cases = [
            // situation                    failures fault        random seconds
            ("first quick try",             1,       PLAIN,       1.0,   5.0),
            ("jitter may be none",          1,       PLAIN,       0.0,   0.0),
            ("last quick try",              3,       PLAIN,       1.0,   5.0),
            ("the slow lane begins",        4,       PLAIN,       1.0,   10.0),
            ("and doubles",                 6,       PLAIN,       1.0,   40.0),
            ("half of it",                  6,       PLAIN,       0.5,   20.0),
            ("up to its limit",             99,      PLAIN,       1.0,   300.0),
            ("a wrong key is tried slowly", 1,       slow,        1.0,   300.0),
            ("Retry-After is waited out",   1,       after(30),   0.0,   30.0),
            ("and jittered",                1,       after(30),   1.0,   35.0),
            ("an absurd one is cut",        1,       after(9999), 0.0,   3600.0),
        ];
        for (situation, failures, fault, random, want) in cases {
            let got = POLICY.delay(failures, fault, random);
            assert_eq!(got, Duration::from_secs_f64(want), "{situation}");
        }
    }

    #[test]
    fn uploads_that_break_together_are_one_failure() {
        let now = Instant::now();
        let mut gate = Gate::new(POLICY);
        let tickets: Vec<_> = (0..8).filter_map(|_| gate.enter(now)).collect();
        assert_eq!(tickets.len(), 8);

        let closed: Vec<_> =
            tickets.into_iter().filter_map(|t| gate.failed(t, PLAIN, 1.0, now)).collect();

        assert_eq!(closed, [Duration::from_secs(5)]);
        assert_eq!(gate.failures(), 1);
    }

    #[test]
    fn one_upload_probes_and_its_success_opens_the_gate() {
        let now = Instant::now();
        let mut gate = Gate::new(POLICY);
        let ticket = gate.enter(now).unwrap();
        gate.failed(ticket, PLAIN, 1.0, now);

        assert_eq!(gate.enter(now + Duration::from_secs(4)), None, "closed");
        let later = now + Duration::from_secs(5);
        let probe = gate.enter(later).unwrap();
        assert_eq!(gate.enter(later), None, "one probe at a time");
        gate.succeeded(probe);
        assert!(gate.enter(later).is_some());
        assert!(gate.enter(later).is_some());
        assert_eq!(gate.failures(), 0);
    }

    #[test]
    fn a_probe_that_never_reached_the_gateway_makes_room_for_the_next() {
        let now = Instant::now();
        let mut gate = Gate::new(POLICY);
        let ticket = gate.enter(now).unwrap();
        gate.failed(ticket, PLAIN, 0.0, now);

        let probe = gate.enter(now).unwrap();
        gate.left(probe);

        assert!(gate.enter(now).is_some());
    }

    #[test]
    fn a_success_from_before_the_failure_does_not_open_the_gate() {
        let now = Instant::now();
        let mut gate = Gate::new(POLICY);
        let (slow, broken) = (gate.enter(now).unwrap(), gate.enter(now).unwrap());
        gate.failed(broken, PLAIN, 1.0, now);

        gate.succeeded(slow);

        assert_eq!(gate.enter(now), None);
    }

    proptest! {
        #[test]
        fn however_it_goes_an_upload_may_start_within_the_limits(
            failures in 0u32..10_000, random in 0.0f64..1.0, seconds in proptest::option::of(0u64..10_000)
        ) {
            let fault = Fault { retry_after: seconds.map(Duration::from_secs), slow: false };
            let delay = POLICY.delay(failures, fault, random);
            prop_assert!(delay <= RETRY_AFTER_MAX + SLOW_DELAY_MAX);
            prop_assert!(delay >= fault.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        }
    }
}

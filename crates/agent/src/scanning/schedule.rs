//! Decides when a watch is scanned again. Pure: the random number is a parameter.
//!
//! A watch whose changes raise events is scanned each `scan.interval_minutes`, varied by a quarter
//! up or down, so that many hosts that were started together do not stay together. A watch that is
//! not watched completely is polled: its scans take at most a tenth of the time.

use std::time::Duration;

/// Minimum time between two scans of a watch that is polled: a change waits as long as its
/// heartbeat does.
pub const POLL_EVERY: Duration = Duration::from_secs(60);
/// Share of the time that scans of a polled watch take at most, as its inverse.
const POLL_SHARE: u32 = 10;
/// Part of the interval by which it is varied at most, up or down.
const JITTER: f64 = 0.25;

/// The times that a schedule keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanIntervals {
    /// `scan.interval_minutes`.
    pub every: Duration,
    pub poll_every: Duration,
}

/// The way in which changes of a watch are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// Events report them, and a scan finds those that were missed.
    Events,
    /// Scans alone: `poll: true`, or inotify cannot watch all directories.
    Polling,
}

impl ScanIntervals {
    /// Returns true if every watch is scanned at least as often as a polled one.
    pub fn are_polling(&self) -> bool {
        self.every <= self.poll_every
    }

    /// Returns the time until the next scan of a watch, whose last one took `took`. `random` is
    /// from 0 to 1.
    pub fn until_next(&self, discovery: Discovery, took: Duration, random: f64) -> Duration {
        match discovery {
            Discovery::Events => self.every.mul_f64(1.0 - JITTER + 2.0 * JITTER * random),
            Discovery::Polling => {
                self.poll_every.max(took.saturating_mul(POLL_SHARE)).min(self.every)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_varied_and_polling_takes_a_tenth_of_the_time() {
        use Discovery::{Events, Polling};
        let hour = ScanIntervals { every: Duration::from_secs(3600), poll_every: POLL_EVERY };
        let minute = ScanIntervals { every: Duration::from_secs(60), ..hour };
        #[rustfmt::skip]
        let cases = [
            // situation              intervals  discovery  took  random  until the next
            ("a quarter earlier",     hour,      Events,    1,    0.0,    2700),
            ("on time",               hour,      Events,    1,    0.5,    3600),
            ("a quarter later",       hour,      Events,    1,    1.0,    4500),
            ("a scan that took long", hour,      Events,    900,  0.5,    3600),
            ("polled",                hour,      Polling,   1,    0.9,    60),
            ("a large tree",          hour,      Polling,   30,   0.9,    300),
            ("a huge tree",           hour,      Polling,   900,  0.9,    3600),
            ("a short interval",      minute,    Polling,   30,   0.9,    60),
        ];
        for (situation, intervals, discovery, took, random, want) in cases {
            let next = intervals.until_next(discovery, Duration::from_secs(took), random);
            assert_eq!(next, Duration::from_secs(want), "{situation}");
        }
        assert_eq!((hour.are_polling(), minute.are_polling()), (false, true));
    }
}

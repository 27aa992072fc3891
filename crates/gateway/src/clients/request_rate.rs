//! The limit of requests per second. Pure.

use std::time::Duration;

/// The requests of one client: at most as many at once as its limit per second, and the same
/// number in each second (the generic cell rate algorithm).
#[derive(Debug, Default)]
pub(super) struct RequestRate {
    /// Time at which all requests so far would have come, if they had come evenly.
    even_at: Duration,
}

impl RequestRate {
    /// Counts a request at `now`, since any fixed moment, or returns the time to wait before it.
    pub(super) fn count(&mut self, now: Duration, per_second: u32) -> Result<(), Duration> {
        let second = Duration::from_secs(1);
        let interval = second / per_second.max(1);
        let even_at = self.even_at.max(now);
        let ahead = even_at - now;
        if ahead + interval > second {
            return Err(ahead + interval - second);
        }
        self.even_at = even_at + interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_make_its_limit_at_once_and_then_evenly() {
        let millis = Duration::from_millis;
        let mut rate = RequestRate::default();
        #[rustfmt::skip]
        let requests = [
            // at      result
            (5_000,    Ok(())),
            (5_000,    Ok(())),
            (5_000,    Ok(())),
            (5_000,    Ok(())),
            (5_000,    Err(millis(250))),
            (5_100,    Err(millis(150))),
            (5_250,    Ok(())),
            (5_250,    Err(millis(250))),
            (9_000,    Ok(())),
        ];
        for (n, (at, want)) in requests.into_iter().enumerate() {
            assert_eq!(rate.count(millis(at), 4), want, "request {n} at {at}");
        }
    }

    #[test]
    fn a_limit_of_one_is_one_each_second() {
        let mut rate = RequestRate::default();
        assert_eq!(rate.count(Duration::ZERO, 1), Ok(()));
        assert_eq!(rate.count(Duration::ZERO, 1), Err(Duration::from_secs(1)));
        assert_eq!(rate.count(Duration::from_secs(1), 1), Ok(()));
    }
}

//! Decides when the daemon runs a cleanup. Pure.

use std::time::Duration;

use jiff::civil::Time;
use jiff::{Timestamp, ToSpan, tz::TimeZone};

/// Returns the time until the next `time` of a day (UTC), which is in the future.
pub(super) fn until_next(now: Timestamp, time: Time) -> Duration {
    let now = now.to_zoned(TimeZone::UTC);
    let today = now.date().to_datetime(time).to_zoned(TimeZone::UTC);
    let next =
        today.and_then(|today| if today > now { Ok(today) } else { today.checked_add(1.day()) });
    // Only the end of the calendar has no next day.
    let wait = next.ok().and_then(|next| Duration::try_from(now.duration_until(&next)).ok());
    wait.unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_today_or_tomorrow() {
        #[rustfmt::skip]
        let cases = [
            ("2026-03-02T02:59:00Z", 60),
            ("2026-03-02T03:00:00Z", 24 * 3600),
            ("2026-03-02T03:00:01Z", 24 * 3600 - 1),
            ("2026-12-31T23:00:00Z", 4 * 3600),
        ];
        for (now, want) in cases {
            let wait = until_next(now.parse().unwrap(), Time::constant(3, 0, 0, 0));
            assert_eq!(wait, Duration::from_secs(want), "{now}");
        }
    }
}

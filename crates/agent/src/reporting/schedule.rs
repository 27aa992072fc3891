//! Decides when a report is due, and when the files are counted again. Pure.

use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::{Timestamp, ToSpan, tz::TimeZone};

/// Time between two heartbeats.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(60);
/// A count takes at most this part of the time.
const COUNT_SHARE: u32 = 20;

/// Returns the day to report, which is over: once `report_time` (UTC) of the next day has come,
/// unless it was reported. A day at whose end there was no agent has no report.
pub fn due_report(
    now: Timestamp,
    report_time: Time,
    agent_since: Timestamp,
    reported: Option<Date>,
) -> Option<Date> {
    let now = now.to_zoned(TimeZone::UTC);
    let today = now.date();
    let newest = if now.time() < report_time { 2 } else { 1 };
    let day = today.checked_sub(newest.days()).ok()?;
    let first = agent_since.to_zoned(TimeZone::UTC).date();
    (first <= day && reported.is_none_or(|reported| reported < day)).then_some(day)
}

/// The events since the last count of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountNews {
    Nothing,
    Changes,
    /// The root of a watch is gone or another one, or is back.
    WatchTurned,
}

/// Returns true if the files are counted for the next heartbeat. A count reads the whole tree, so a large
/// one is counted less often, unless a watch is gone. `counted` says how long ago the last count
/// ended, and its duration.
pub fn count_is_due(news: CountNews, counted: Option<(Duration, Duration)>) -> bool {
    match (news, counted) {
        (_, None) | (CountNews::WatchTurned, Some(_)) => true,
        (CountNews::Nothing, Some(_)) => false,
        (CountNews::Changes, Some((ago, took))) => took.saturating_mul(COUNT_SHARE) <= ago,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_reported_once_after_the_report_time_of_the_next_day() {
        #[rustfmt::skip]
        let cases = [
            // situation              now                     agent since             reported            due
            ("its time has come",     "2026-03-02T00:10:00Z", "2026-02-01T00:00:00Z", Some("2026-02-28"), Some("2026-03-01")),
            ("a second before",       "2026-03-02T00:09:59Z", "2026-02-01T00:00:00Z", Some("2026-02-28"), None),
            ("reported already",      "2026-03-02T12:00:00Z", "2026-02-01T00:00:00Z", Some("2026-03-01"), None),
            ("late, after a stop",    "2026-03-02T23:59:00Z", "2026-02-01T00:00:00Z", Some("2026-02-20"), Some("2026-03-01")),
            ("still yesterday's",     "2026-03-02T00:05:00Z", "2026-02-01T00:00:00Z", Some("2026-02-27"), Some("2026-02-28")),
            ("the agent is new",      "2026-03-02T12:00:00Z", "2026-03-02T08:00:00Z", None,               None),
            ("its first day is over", "2026-03-03T12:00:00Z", "2026-03-02T08:00:00Z", None,               Some("2026-03-02")),
            ("the clock went back",   "2026-03-01T12:00:00Z", "2026-02-01T00:00:00Z", Some("2026-03-05"), None),
        ];
        for (situation, now, since, reported, want) in cases {
            let time = |text: &str| text.parse::<Timestamp>().unwrap();
            let reported = reported.map(|day| day.parse().unwrap());
            let due = due_report(time(now), Time::constant(0, 10, 0, 0), time(since), reported);
            assert_eq!(due, want.map(|day| day.parse().unwrap()), "{situation}");
        }
    }

    #[test]
    fn a_large_tree_is_counted_less_often() {
        use CountNews::{Changes, Nothing, WatchTurned};
        let seconds = Duration::from_secs;
        #[rustfmt::skip]
        let cases = [
            ("never counted",           Nothing,     None,                              true),
            ("nothing changed",         Nothing,     Some((seconds(3600), seconds(1))), false),
            ("a small tree",            Changes,     Some((seconds(60), seconds(1))),   true),
            ("a large tree",            Changes,     Some((seconds(60), seconds(15))),  false),
            ("a large tree, later",     Changes,     Some((seconds(300), seconds(15))), true),
            ("its root is gone",        WatchTurned, Some((seconds(60), seconds(15))),  true),
        ];
        for (situation, news, counted, want) in cases {
            assert_eq!(count_is_due(news, counted), want, "{situation}");
        }
    }
}

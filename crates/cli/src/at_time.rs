//! Parses the time that a person types for `--at`.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot parse {0:?} as a time: expected 2026-01-31T23:59:59Z, 20260131T235959Z, \
     \"2026-01-31 23:59\" or 2026-01-31 (the last two in the time zone of this host)"
)]
pub struct InvalidTime(String);

/// Parses a time. A day alone stands for its last moment, so that what was stored on that day counts. A
/// time without a time zone is in `zone`; if the clocks were set back in that hour, it is the
/// earlier of the two moments.
pub fn parse(text: &str, zone: &TimeZone) -> Result<Timestamp, InvalidTime> {
    let wrong = || InvalidTime(text.to_owned());
    let trimmed = text.trim();
    if let Ok(stamp) = DateTime::strptime("%Y%m%dT%H%M%SZ", trimmed) {
        return stamp.to_zoned(TimeZone::UTC).map(|at| at.timestamp()).map_err(|_| wrong());
    }
    if let Ok(time) = trimmed.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil = match is_day(trimmed) {
        true => trimmed.parse::<Date>().ok().and_then(last_moment),
        false => trimmed.parse::<DateTime>().ok(),
    };
    let zoned = civil.and_then(|civil| civil.to_zoned(zone.clone()).ok());
    zoned.map(|zoned| zoned.timestamp()).ok_or_else(wrong)
}

fn is_day(text: &str) -> bool {
    text.len() == "2026-01-31".len() && !text.contains(['T', 't', ' '])
}

fn last_moment(day: Date) -> Option<DateTime> {
    day.at(0, 0, 0, 0).checked_add(1.day()).ok()?.checked_sub(1.nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_in_each_form() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        #[rustfmt::skip]
        let cases = [
            ("2026-01-31T23:59:59Z",      Some("2026-01-31T23:59:59Z")),
            ("2026-01-31T23:59:59+02:00", Some("2026-01-31T21:59:59Z")),
            ("2026-01-31 23:59:59.5Z",    Some("2026-01-31T23:59:59.5Z")),
            ("20260131T235959Z",          Some("2026-01-31T23:59:59Z")),
            (" 20260131T235959Z ",        Some("2026-01-31T23:59:59Z")),
            ("2026-01-31 12:00",          Some("2026-01-31T11:00:00Z")),
            ("2026-01-31T12:00:00",       Some("2026-01-31T11:00:00Z")),
            ("2026-07-31 12:00",          Some("2026-07-31T10:00:00Z")),
            ("2026-01-31",                Some("2026-01-31T22:59:59.999999999Z")),
            // The hour that exists twice, and the one that does not exist.
            ("2026-10-25 02:30",          Some("2026-10-25T00:30:00Z")),
            ("2026-03-29 02:30",          Some("2026-03-29T01:30:00Z")),
            ("2026-02-30",                None),
            ("yesterday",                 None),
            ("12:00",                     None),
            ("",                          None),
        ];
        for (text, want) in cases {
            let want = want.map(|want| want.parse::<Timestamp>().unwrap());
            assert_eq!(parse(text, &zone).ok(), want, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in r"[0-9TZ:+. -]{0,30}|.{0,20}") {
            if let Err(err) = parse(&text, &TimeZone::UTC) {
                proptest::prop_assert_eq!(err, InvalidTime(text));
            }
        }
    }
}

//! The time of a backup: `YYYYMMDDTHHMMSSZ`, UTC, whole seconds.
//!
//! It is part of snapshot names and keys, so its order as text is its order in time.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;
use s3up_core::Key;
use serde::{Deserialize, Serialize};

/// Drops the fraction of a second.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
/// Start of the year 0.
const YEAR_0: Timestamp = Timestamp::constant(-62_167_219_200, 0);
const FORMAT: &str = "%Y%m%dT%H%M%SZ";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stamp(Timestamp);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time like 20260131T235959Z, found {0:?}")]
pub struct StampError(String);

impl Stamp {
    /// Drops the fraction of a second.
    pub fn at(time: Timestamp) -> Stamp {
        let whole = Timestamp::from_second(time.as_second());
        Stamp(whole.expect("a timestamp without its fraction is a timestamp"))
    }

    pub fn parse(text: &str) -> Result<Stamp, StampError> {
        let wrong = || StampError(text.to_owned());
        let civil = DateTime::strptime(FORMAT, text).map_err(|_| wrong())?;
        let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
        let stamp = Stamp(zoned.timestamp());
        // `strptime` accepts other forms, too.
        if stamp.to_string() == text { Ok(stamp) } else { Err(wrong()) }
    }

    pub fn time(self) -> Timestamp {
        self.0
    }

    /// Returns this time, or the first second after `last`: no two backups of a
    /// subvolume have the same name.
    pub fn after(self, last: Option<Stamp>) -> Stamp {
        match last {
            Some(last) if self <= last => {
                Stamp(Timestamp::from_second(last.0.as_second() + 1).unwrap_or(last.0))
            }
            Some(_) | None => self,
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime(FORMAT))
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> String {
        stamp.to_string()
    }
}

impl TryFrom<String> for Stamp {
    type Error = StampError;

    fn try_from(text: String) -> Result<Stamp, StampError> {
        Stamp::parse(&text)
    }
}

/// Returns what a clock shows. A clock that is wrong by thousands of years counts as one at the end
/// of time.
pub fn timestamp(now: SystemTime) -> Timestamp {
    Timestamp::try_from(now).unwrap_or(Timestamp::MAX)
}

/// Formats a time as `2026-01-31T23:59:59Z`.
pub fn seconds(time: Timestamp) -> String {
    // The printer is ten times as fast, and a listing formats millions of times. It writes years
    // before the year 0 in another form.
    if time < YEAR_0 {
        return time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    }
    PRINTER.timestamp_to_string(&time)
}

/// Returns time and key of a manifest. `None` for its part index.
pub fn stamp_of(prefix: &str, key: &str) -> Option<(Stamp, Key)> {
    let stamp = key.strip_prefix(prefix)?.strip_suffix(".json")?;
    Some((Stamp::parse(stamp).ok()?, Key::parse(key).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_a_round_trip() {
        for text in ["20260131T235959Z", "19700101T000000Z", "20240229T120000Z"] {
            assert_eq!(Stamp::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_time_is_formatted_in_whole_seconds_however_old_it_is() {
        #[rustfmt::skip]
        let cases = [
            (1_769_903_999,  999_999_999, "2026-01-31T23:59:59Z"),
            (0,              0,           "1970-01-01T00:00:00Z"),
            (-1,             1,           "1969-12-31T23:59:59Z"),
            (0,              -1,          "1969-12-31T23:59:59Z"),
            (253_402_207_200, 999_999_999, "9999-12-30T22:00:00Z"),
            (-62_167_219_200, 0,          "0000-01-01T00:00:00Z"),
            (-62_167_219_200, -1,         "-001-12-31T23:59:59Z"),
            (-377_705_023_201, 0,         "-9999-01-02T01:59:59Z"),
        ];
        for (second, nanosecond, want) in cases {
            let time = Timestamp::new(second, nanosecond).unwrap();
            assert_eq!(seconds(time), want);
            assert_eq!(seconds(time), time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "20260131",
            "20260131T235959",
            "2026-01-31T23:59:59Z",
            "20260231T000000Z",
            "20260131T246060Z",
            " 20260131T235959Z",
            "20260131T235959Z ",
            "+2026131T235959Z",
        ] {
            assert!(Stamp::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_two_backups_have_the_same_time() {
        let stamp = |text| Stamp::parse(text).unwrap();
        let now = stamp("20260131T235959Z");
        #[rustfmt::skip]
        let cases = [
            (None,                            "20260131T235959Z"),
            (Some(stamp("20260131T235958Z")), "20260131T235959Z"),
            (Some(now),                       "20260201T000000Z"),
            (Some(stamp("20270101T000000Z")), "20270101T000001Z"),
        ];
        for (last, want) in cases {
            assert_eq!(now.after(last), stamp(want), "{last:?}");
        }
    }

    #[test]
    fn a_part_index_is_not_taken_for_a_manifest() {
        let of = |key| stamp_of("nas/full/manifest-", key).is_some();
        assert!(of("nas/full/manifest-20010909T014640Z.json"));
        assert!(!of("nas/full/manifest-20010909T014640Z-parts.json"));
        assert!(!of("nas/full/manifest-today.json"));
    }
}

//! Computes when a backup is due: after whole calendar days, at a local time of day.
//! Pure: zone and time are parameters.
//!
//! A week between two backups is a calendar week, not 168 hours. A backup made last
//! Sunday at 02:00:03 is due again this Sunday at 02:00:00, even if the clocks changed
//! in between. If the clocks skip `run_at`, the backup is due at the first moment after
//! the gap; if they show it twice, at the first.

use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use s3up_repository::names::BackupKind;

/// The value of `schedule.unplanned_full`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnplannedFull {
    /// It is made, with a warning.
    #[default]
    Warn,
    /// The backup of that subvolume fails instead.
    Refuse,
}

impl UnplannedFull {
    pub fn as_str(self) -> &'static str {
        match self {
            UnplannedFull::Warn => "warn",
            UnplannedFull::Refuse => "refuse",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// At least 1.
    pub full_every_days: u32,
    /// At least 1.
    pub incremental_every_days: u32,
    /// Local time.
    pub run_at: Time,
    pub unplanned_full: UnplannedFull,
}

/// Time at which the next backup is due, and its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextDue {
    pub at: Timestamp,
    pub kind: BackupKind,
}

impl Schedule {
    pub fn full_due_at(&self, full_at: Timestamp, zone: &TimeZone) -> Timestamp {
        due_at(full_at, self.full_every_days, self.run_at, zone)
    }

    pub fn incremental_due_at(&self, last_at: Timestamp, zone: &TimeZone) -> Timestamp {
        due_at(last_at, self.incremental_every_days, self.run_at, zone)
    }

    /// Returns what is due next for a chain whose full and newest backup were made at
    /// these times.
    pub fn next_due(&self, full_at: Timestamp, last_at: Timestamp, zone: &TimeZone) -> NextDue {
        let full = self.full_due_at(full_at, zone);
        let incremental = self.incremental_due_at(last_at, zone);
        if full <= incremental {
            NextDue { at: full, kind: BackupKind::Full }
        } else {
            NextDue { at: incremental, kind: BackupKind::Incremental }
        }
    }
}

/// Returns the first moment, on or after the day of `last` plus `days`, when the local
/// clock shows `run_at` or later.
fn due_at(last: Timestamp, days: u32, run_at: Time, zone: &TimeZone) -> Timestamp {
    let day = last.to_zoned(zone.clone()).date();
    match day.checked_add(i64::from(days).days()) {
        Ok(day) => first_at(day.to_datetime(run_at), zone),
        // Beyond the year 9999.
        Err(_) => Timestamp::MAX,
    }
}

fn first_at(wall: DateTime, zone: &TimeZone) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    let offset = ambiguous.offset();
    // In a fold, this is the earlier moment; in a gap, as far after the gap as `wall`
    // is inside it.
    let Ok(found) = ambiguous.compatible() else { return Timestamp::MAX };
    match offset {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => found,
        AmbiguousOffset::Gap { .. } => end_of_gap(found, zone),
    }
}

/// Returns the clock change at or before `found`.
fn end_of_gap(found: Timestamp, zone: &TimeZone) -> Timestamp {
    let Ok(after) = found.checked_add(1.second()) else { return found };
    zone.preceding(after).next().map_or(found, |change| change.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW_YORK: &str = "America/New_York";
    const BERLIN: &str = "Europe/Berlin";
    const APIA: &str = "Pacific/Apia";

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_those_of_the_local_calendar() {
        #[rustfmt::skip]
        let cases = [
            // situation                      zone      last backup             days run_at   due
            ("a week is a week",              BERLIN,   "2026-01-04T01:00:03Z", 7,   "02:00", "2026-01-11T01:00:00Z"),
            ("whenever that day it was",      BERLIN,   "2026-01-04T22:59:59Z", 7,   "02:00", "2026-01-11T01:00:00Z"),
            ("the local day counts",          BERLIN,   "2026-01-04T23:00:00Z", 7,   "02:00", "2026-01-12T01:00:00Z"),
            ("and not the one in UTC",        NEW_YORK, "2026-01-05T04:59:59Z", 7,   "02:00", "2026-01-11T07:00:00Z"),
            ("before run_at, by hand",        BERLIN,   "2026-01-04T00:30:00Z", 1,   "02:00", "2026-01-05T01:00:00Z"),
            ("summer time began",             BERLIN,   "2026-03-28T01:00:03Z", 7,   "02:00", "2026-04-04T00:00:00Z"),
            ("summer time ended",             BERLIN,   "2026-10-24T00:00:03Z", 7,   "02:00", "2026-10-31T01:00:00Z"),
            ("at the start of the gap",       BERLIN,   "2026-03-28T01:00:00Z", 1,   "02:00", "2026-03-29T01:00:00Z"),
            ("inside the gap",                BERLIN,   "2026-03-28T01:00:00Z", 1,   "02:30", "2026-03-29T01:00:00Z"),
            ("the end of the gap",            BERLIN,   "2026-03-28T01:00:00Z", 1,   "03:00", "2026-03-29T01:00:00Z"),
            ("just before the gap",           BERLIN,   "2026-03-28T01:00:00Z", 1,   "01:59", "2026-03-29T00:59:00Z"),
            ("in the fold, the first",        BERLIN,   "2026-10-24T01:00:00Z", 1,   "02:30", "2026-10-25T00:30:00Z"),
            ("after the fold",                BERLIN,   "2026-10-24T01:00:00Z", 1,   "03:00", "2026-10-25T02:00:00Z"),
            ("made in the second 02:30",      BERLIN,   "2026-10-25T01:30:00Z", 1,   "02:30", "2026-10-26T01:30:00Z"),
            ("gap in New York",               NEW_YORK, "2026-03-07T07:30:00Z", 1,   "02:30", "2026-03-08T07:00:00Z"),
            ("over the gap in New York",      NEW_YORK, "2026-03-07T07:30:00Z", 2,   "02:30", "2026-03-09T06:30:00Z"),
            ("fold in New York",              NEW_YORK, "2026-10-31T05:30:00Z", 1,   "01:30", "2026-11-01T05:30:00Z"),
            ("over the fold in New York",     NEW_YORK, "2026-10-31T05:30:00Z", 2,   "01:30", "2026-11-02T06:30:00Z"),
            ("half a year",                   NEW_YORK, "2026-01-01T07:00:00Z", 180, "02:00", "2026-06-30T06:00:00Z"),
            ("over the end of the year",      BERLIN,   "2026-12-31T12:00:00Z", 1,   "00:00", "2026-12-31T23:00:00Z"),
            ("a leap day",                    BERLIN,   "2028-02-28T12:00:00Z", 1,   "12:00", "2028-02-29T11:00:00Z"),
            ("a day that did not exist",      APIA,     "2011-12-29T12:00:00Z", 1,   "12:00", "2011-12-30T10:00:00Z"),
            ("in UTC",                        "UTC",    "2026-03-28T02:00:03Z", 1,   "02:00", "2026-03-29T02:00:00Z"),
            ("beyond all calendars",          "UTC",    "9999-06-01T00:00:00Z", 999, "02:00", "9999-12-30T22:00:00.999999999Z"),
        ];
        for (situation, name, last, days, run_at, want) in cases {
            let got = due_at(time(last), days, run_at.parse().unwrap(), &zone(name));
            assert_eq!(got, time(want), "{situation}");
        }
    }

    #[test]
    fn whichever_comes_first_is_next() {
        let schedule = Schedule {
            full_every_days: 30,
            incremental_every_days: 7,
            run_at: Time::midnight(),
            unplanned_full: UnplannedFull::Warn,
        };
        #[rustfmt::skip]
        let cases = [
            // full on      last on       next on
            ("2026-01-01", "2026-01-01", ("2026-01-08", BackupKind::Incremental)),
            ("2026-01-01", "2026-01-22", ("2026-01-29", BackupKind::Incremental)),
            ("2026-01-01", "2026-01-24", ("2026-01-31", BackupKind::Full)),
            ("2026-01-01", "2026-01-29", ("2026-01-31", BackupKind::Full)),
        ];
        let day = |text| time(&format!("{text}T00:00:00Z"));
        for (full, last, (at, kind)) in cases {
            let got = schedule.next_due(day(full), day(last), &TimeZone::UTC);
            assert_eq!(got, NextDue { at: day(at), kind }, "{full} {last}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_backup_is_due_within_a_day_of_its_days(
            second in 0i64..4_000_000_000, days in 1u32..400, minute in 0i16..1440, n in 0usize..3,
        ) {
            let zone = zone([NEW_YORK, BERLIN, APIA][n]);
            let last = Timestamp::from_second(second).unwrap();
            let run_at = Time::new((minute / 60) as i8, (minute % 60) as i8, 0, 0).unwrap();
            let waited = due_at(last, days, run_at, &zone).as_second() - second;
            let (day, days) = (24 * 3600, i64::from(days));
            // A day may have 23 hours, or 0, or 48.
            proptest::prop_assert!(waited > (days - 2) * day && waited < (days + 2) * day);
        }
    }
}

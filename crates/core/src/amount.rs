//! Counts and durations, formatted for people.

use std::fmt;
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// A `y` after one of them is kept: `days`, and `entries`.
const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];

/// A count and what is counted, in the singular: `1 file`, `2 files`, `0 entries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64, pub &'static str);

impl Count {
    pub fn of(count: usize, noun: &'static str) -> Count {
        Count(count as u64, noun)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(count, noun) = self;
        match (count, noun.strip_suffix('y').filter(|stem| !stem.ends_with(VOWELS))) {
            (1, _) => write!(f, "1 {noun}"),
            (_, Some(stem)) => write!(f, "{count} {stem}ies"),
            _ => write!(f, "{count} {noun}s"),
        }
    }
}

/// A duration of work: `0.3 s`, `12 min 5 s`, `3 h 20 min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(pub Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.as_millis() + 50) / 100;
        if tenths < 600 {
            return f.pad(&format!("{}.{} s", tenths / 10, tenths % 10));
        }
        let seconds = tenths / 10;
        let text = match seconds / 60 {
            minutes @ 0..60 => format!("{minutes} min {} s", seconds % 60),
            minutes => format!("{} h {} min", minutes / 60, minutes % 60),
        };
        f.pad(&text)
    }
}

/// Returns a length of time in its largest unit of which it has at least two, rounded down.
pub fn age_text(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min")];
    match units.into_iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_a_plural() {
        #[rustfmt::skip]
        let cases = [
            (0, "file",   "0 files"),
            (1, "entry",  "1 entry"),
            (2, "entry",  "2 entries"),
            (2, "day",    "2 days"),
            (9, "backup", "9 backups"),
            (9, "day",    "9 days"),
        ];
        for (count, noun, want) in cases {
            assert_eq!(Count::of(count, noun).to_string(), want);
        }
    }

    #[test]
    fn an_age_is_in_its_largest_unit() {
        #[rustfmt::skip]
        let cases = [
            (90,          "90 s"),
            (120,         "2 min"),
            (30 * MINUTE, "30 min"),
            (HOUR,        "60 min"),
            (26 * HOUR,   "26 h"),
            (DAY,         "24 h"),
            (62 * DAY,    "62 d"),
            (0,           "0 s"),
        ];
        for (seconds, want) in cases {
            assert_eq!(age_text(Duration::from_secs(seconds)), want, "{seconds}");
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        #[rustfmt::skip]
        let cases = [
            (0,          "0.0 s"),
            (349,        "0.3 s"),
            (350,        "0.4 s"),
            (59_949,     "59.9 s"),
            (59_950,     "1 min 0 s"),
            (725_000,    "12 min 5 s"),
            (3_599_999,  "1 h 0 min"),
            (12_000_000, "3 h 20 min"),
            (90_000_000, "25 h 0 min"),
        ];
        for (millis, want) in cases {
            assert_eq!(Elapsed(Duration::from_millis(millis)).to_string(), want, "{millis}");
        }
    }
}

//! Lengths of time as a person writes and reads them: `90s`, `30m`, `2h`, `3d`.

use std::time::Duration;

use jiff::SignedDuration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Parses a length of time. A day has 24 hours here.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time like 90s, 30m, 2h or 1d, found {text:?}");
    // The library counts days only in a calendar.
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()) {
        return Ok(Duration::from_secs(days.saturating_mul(DAY)));
    }
    let age: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(age).map_err(|_| wrong())
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
    fn an_age_is_parsed_and_printed_in_its_largest_unit() {
        #[rustfmt::skip]
        let cases = [
            ("90s",  90,          "90 s"),
            ("2m",   120,         "2 min"),
            ("30m",  30 * MINUTE, "30 min"),
            ("1h",   HOUR,        "60 min"),
            ("26h",  26 * HOUR,   "26 h"),
            ("1d",   DAY,         "24 h"),
            ("62d",  62 * DAY,    "62 d"),
            ("0s",   0,           "0 s"),
        ];
        for (text, seconds, want) in cases {
            let age = parse_age(text).unwrap();
            assert_eq!((age.as_secs(), age_text(age).as_str()), (seconds, want), "{text}");
        }
        for text in ["", "5", "-5s", "1y", "soon"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
    }
}

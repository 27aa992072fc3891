//! Lengths of time as a person writes them: `90s`, `30m`, `2h`, `3d`.

use std::time::Duration;

use jiff::SignedDuration;

const DAY: u64 = 24 * 3600;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_number_with_its_unit() {
        let cases = [("90s", 90), ("2m", 120), ("26h", 26 * 3600), ("62d", 62 * DAY), ("0s", 0)];
        for (text, seconds) in cases {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "-5s", "1y", "soon"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
    }
}

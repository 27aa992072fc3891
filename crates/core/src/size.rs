//! Sizes and throughputs, formatted for people in IEC units.

use std::fmt;
use std::time::Duration;

/// A number of bytes. `Display` chooses the unit so that the printed number is
/// below 1,000: `0 B`, `512 B`, `1.0 KiB`, `300 MiB`, `1.5 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut number = self.0 as f64;
        let mut unit = 0;
        // 999.5 would print as 1000.
        while number >= 999.5 {
            number /= 1024.0;
            unit += 1;
        }
        // 9.96 would print as 10.0: numbers from 10 up have no decimal.
        let decimals = if number < 9.95 { 1 } else { 0 };
        f.pad(&format!("{number:.decimals$} {}", UNITS[unit]))
    }
}

/// A number of bytes and the time they took. `Display` prints bytes per second
/// with one decimal, in the unit that keeps the printed number below 1,000: `0.0 B/s`, `999.9 KiB/s`, `1.0 MiB/s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throughput {
    pub bytes: u64,
    pub elapsed: Duration,
}

/// Shorter times count as this one, so that a rate is never infinite.
const ELAPSED_MIN: Duration = Duration::from_millis(1);

impl Throughput {
    pub fn bytes_per_second(self) -> f64 {
        self.bytes as f64 / self.elapsed.max(ELAPSED_MIN).as_secs_f64()
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = self.bytes_per_second();
        let mut unit = 0;
        // 999.95 would print as 1000.0.
        while number >= 999.95 && unit + 1 < UNITS.len() {
            number /= 1024.0;
            unit += 1;
        }
        f.pad(&format!("{number:.1} {}/s", UNITS[unit]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_printed_in_the_fitting_unit() {
        #[rustfmt::skip]
        let cases = [
            (0,                  "0 B"),
            (999,                "999 B"),
            (1000,               "1.0 KiB"),
            (1024,               "1.0 KiB"),
            (1536,               "1.5 KiB"),
            (10 * 1024,          "10 KiB"),
            (300 << 20,          "300 MiB"),
            (1023 << 20,         "1.0 GiB"),
            (200 << 30,          "200 GiB"),
            (50_000_000_000_000, "45 TiB"),
            (u64::MAX,           "16 EiB"),
        ];
        for (bytes, want) in cases {
            assert_eq!(Size(bytes).to_string(), want);
        }
    }

    #[test]
    fn throughputs_are_printed_in_the_fitting_unit() {
        let second = Duration::from_secs(1);
        // The first number of bytes that is at least 999.95 of a unit.
        let edge = |unit: u32| (99_995 * 1024u64.pow(unit)).div_ceil(100);
        #[rustfmt::skip]
        let cases = [
            (0,                   second,                          "0.0 B/s"),
            (0,                   Duration::ZERO,                  "0.0 B/s"),
            (1,                   Duration::from_secs(10),         "0.1 B/s"),
            (999,                 second,                          "999.0 B/s"),
            (9_999,               Duration::from_secs(10),         "999.9 B/s"),
            (99_994,              Duration::from_secs(100),        "999.9 B/s"),
            (99_995,              Duration::from_secs(100),        "1.0 KiB/s"),
            (1000,                second,                          "1.0 KiB/s"),
            (1024,                second,                          "1.0 KiB/s"),
            (edge(1) - 1,         second,                          "999.9 KiB/s"),
            (edge(1),             second,                          "1.0 MiB/s"),
            (edge(2) - 1,         second,                          "999.9 MiB/s"),
            (edge(2),             second,                          "1.0 GiB/s"),
            (edge(3) - 1,         second,                          "999.9 GiB/s"),
            (edge(3),             second,                          "1.0 TiB/s"),
            (300 << 20,           Duration::from_millis(2500),     "120.0 MiB/s"),
            (200 << 30,           Duration::from_secs(3600),       "56.9 MiB/s"),
            (1024,                Duration::ZERO,                  "1.0 MiB/s"),
            (u64::MAX,            Duration::ZERO,                  "16000.0 EiB/s"),
        ];
        for (bytes, elapsed, want) in cases {
            assert_eq!(Throughput { bytes, elapsed }.to_string(), want, "{bytes} in {elapsed:?}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_throughput_is_below_a_thousand(bytes in 0..1u64 << 50, millis in 1u64..10_000_000) {
            let elapsed = Duration::from_millis(millis);
            let text = Throughput { bytes, elapsed }.to_string();
            let number: f64 = text.split(' ').next().unwrap().parse().unwrap();
            prop_assert!(number < 1000.0, "{}", text);
        }

        #[test]
        fn a_printed_size_is_below_a_thousand(bytes: u64) {
            let text = Size(bytes).to_string();
            let number: f64 = text.split(' ').next().unwrap().parse().unwrap();
            prop_assert!(number < 1000.0, "{}", text);
        }
    }
}

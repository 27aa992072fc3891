//! Bytes, written for people in IEC units.

use std::fmt;

/// A number of bytes. `Display` picks the unit so that the number, as printed,
/// is under 1,000: `0 B`, `512 B`, `1.0 KiB`, `300 MiB`, `1.5 GiB`.
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
        // 999.5 would be printed as 1000.
        while number >= 999.5 {
            number /= 1024.0;
            unit += 1;
        }
        // 9.96 would be printed as 10.0: one decimal is for what stays under 10.
        let decimals = if number < 9.95 { 1 } else { 0 };
        f.pad(&format!("{number:.decimals$} {}", UNITS[unit]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_read_well() {
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

    proptest! {
        #[test]
        fn the_number_is_always_under_a_thousand(bytes: u64) {
            let text = Size(bytes).to_string();
            let number: f64 = text.split(' ').next().unwrap().parse().unwrap();
            prop_assert!(number < 1000.0, "{}", text);
        }
    }
}

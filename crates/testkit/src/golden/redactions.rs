//! Replaces values that vary from run to run, before a text is compared.
//!
//! A placeholder for a time is as long as the time, so that most tables of a
//! golden file have straight columns.

use regex::Regex;

/// Patterns that are replaced in every text. The group `redacted` is replaced, or else
/// all of the match.
const PATTERNS: [(&str, &str); 8] = [
    ("[TIMESTAMP_________]", r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    ("[STAMP_________]", r"\d{8}T\d{6}Z"),
    ("[UUID]", r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    ("[CLIENT_KEY]", r"\bs3up_[A-Za-z0-9_-]{43}"),
    ("[DIGEST]", r"\b[0-9a-f]{64}\b"),
    ("[RATE]", r"\d+\.\d [KMGT]?i?B/s"),
    ("[TIME]", r"\b\d+\.\d s\b"),
    ("[FREE]", r"(?<redacted>\b[\d.]+ [KMGT]?i?B) free\b"),
];

/// The values to replace: those of [`PATTERNS`], and others that one test adds.
pub struct Redactions(snapbox::Redactions);

impl Redactions {
    #[expect(clippy::new_without_default, reason = "a default would read as `none`")]
    pub fn new() -> Redactions {
        let mut redactions = snapbox::Redactions::new();
        for (placeholder, pattern) in PATTERNS {
            let pattern = Regex::new(pattern).expect("a pattern of this file");
            redactions.insert(placeholder, pattern).expect("a placeholder of this file");
        }
        Redactions(redactions)
    }

    /// Also replaces this text. A placeholder is made of capitals: `[DIR]`.
    pub fn text(mut self, placeholder: &'static str, text: impl Into<String>) -> Redactions {
        self.0.insert(placeholder, text.into()).expect("a placeholder in capitals");
        self
    }

    /// Also replaces all sizes, such as `11 MiB`.
    pub fn sizes(mut self) -> Redactions {
        let pattern = Regex::new(r"\b[\d.]+ ([KMGT]i)?B\b").expect("a pattern of this file");
        self.0.insert("[SIZE]", pattern).expect("a placeholder in capitals");
        self
    }

    pub fn redact(&self, text: &str) -> String {
        self.0.redact(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_replaced() {
        let redactions = Redactions::new().text("[DIR]", "/tmp/x1");
        let key = format!("s3up_{}", "a-_9".repeat(11).split_at(43).0);
        #[rustfmt::skip]
        let cases = [
            ("due 2026-01-31T23:59:59Z (full)",             "due [TIMESTAMP_________] (full)"),
            ("data@20260131T235959Z, manifest-20260131T235959Z.json", "data@[STAMP_________], manifest-[STAMP_________].json"),
            ("11 MiB in 0.3 s, 35.2 MiB/s",                 "11 MiB in [TIME], [RATE]"),
            ("1.9 GiB free at /tmp/x1/mnt",                 "[FREE] free at [DIR]/mnt"),
            ("2 chunks, 512 B",                             "2 chunks, 512 B"),
            (key.as_str(),                                  "[CLIENT_KEY]"),
        ];
        for (text, want) in cases {
            assert_eq!(redactions.redact(text), want);
        }
        assert_eq!(Redactions::new().sizes().redact("9 B, 1.5 GiB"), "[SIZE], [SIZE]");
    }
}

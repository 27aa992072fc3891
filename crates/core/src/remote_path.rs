//! Remote paths: the one set of rules that gateway and agent share.
//!
//! A path is accepted as it is or refused with the rule that it breaks. It is
//! never cleaned up or normalised, because if two spellings meant one path, one
//! file could replace another. Percent-decoding is a matter of HTTP and happens
//! before this check.
//!
//! Not here: turning the name of a local file into a remote path
//! ([`crate::escape`]).

use std::fmt;

use serde::{Deserialize, Serialize};

/// S3 refuses longer keys:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
pub const KEY_BYTES_MAX: usize = 1024;

/// A checked remote path: relative, `/`-separated, UTF-8, 1 to 1024 bytes, no
/// control character, no backslash, no empty, `.` or `..` segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RemotePath(String);

/// The rule that a path breaks. Its text tells the sender what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRule {
    #[error("expected a path, found an empty one")]
    Empty,
    #[error(
        "expected a key (prefix, client and path) of at most {KEY_BYTES_MAX} bytes, found {bytes}"
    )]
    TooLong { bytes: usize },
    #[error("expected a relative path, found a slash at its start")]
    Absolute,
    #[error("expected the path of a file, found a slash at its end")]
    TrailingSlash,
    #[error("expected segments with a name, found two slashes in a row")]
    EmptySegment,
    #[error("expected no segment \".\" or \"..\", found one; send the resolved path")]
    DotSegment,
    #[error("expected no backslash in a path, found one; write it as the three characters %5C")]
    Backslash,
    #[error("expected no control character in a path, found U+{0:04X}")]
    Control(u32),
    #[error("expected a path in UTF-8, found other bytes")]
    NotUtf8,
}

impl RemotePath {
    /// Checks `text`, which is kept unchanged.
    pub fn parse(text: &str) -> Result<RemotePath, PathRule> {
        match broken_rule(text) {
            None => Ok(RemotePath(text.to_owned())),
            Some(rule) => Err(rule),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the text after the last dot of the file name, if the dot has text
    /// on both sides.
    pub fn extension(&self) -> Option<&str> {
        match self.file_name().rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() => Some(extension),
            _ => None,
        }
    }
}

/// Returns the first rule that `text` breaks.
pub(crate) fn broken_rule(text: &str) -> Option<PathRule> {
    if text.is_empty() {
        return Some(PathRule::Empty);
    }
    if text.len() > KEY_BYTES_MAX {
        return Some(PathRule::TooLong { bytes: text.len() });
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Some(PathRule::Control(control.into()));
    }
    if text.contains('\\') {
        return Some(PathRule::Backslash);
    }
    if text.starts_with('/') {
        return Some(PathRule::Absolute);
    }
    if text.ends_with('/') {
        return Some(PathRule::TrailingSlash);
    }
    text.split('/').find_map(|segment| match segment {
        "" => Some(PathRule::EmptySegment),
        "." | ".." => Some(PathRule::DotSegment),
        _ => None,
    })
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RemotePath {
    type Error = PathRule;

    fn try_from(text: String) -> Result<RemotePath, PathRule> {
        RemotePath::parse(&text)
    }
}

impl From<RemotePath> for String {
    fn from(path: RemotePath) -> String {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_invalid_path_is_refused_with_the_rule_that_it_breaks() {
        use PathRule::*;
        #[rustfmt::skip]
        let cases = [
            ("",           Empty),
            (".",          DotSegment),
            ("..",         DotSegment),
            ("./a",        DotSegment),
            ("a/./b",      DotSegment),
            ("../a",       DotSegment),
            ("a/../b",     DotSegment),
            ("a/..",       DotSegment),
            ("/a",         Absolute),
            ("//a",        Absolute),
            ("/",          Absolute),
            ("a//b",       EmptySegment),
            ("a/",         TrailingSlash),
            ("a\0b",       Control(0)),
            ("a\nb",       Control(10)),
            ("a\x7fb",     Control(0x7f)),
            ("a\u{85}b",   Control(0x85)),
            ("..\\a",      Backslash),
            ("a\\..\\b",   Backslash),
            ("C:\\x",      Backslash),
            ("\\\\srv\\x", Backslash),
        ];
        for (text, want) in cases {
            assert_eq!(RemotePath::parse(text), Err(want), "{text:?}");
        }
        let long = "x".repeat(KEY_BYTES_MAX + 1);
        assert_eq!(RemotePath::parse(&long), Err(TooLong { bytes: KEY_BYTES_MAX + 1 }));
    }

    #[test]
    fn an_unusual_but_valid_path_is_kept_unchanged() {
        for text in [
            "a",
            "foo..bar.jpg",
            "...",
            ".htaccess",
            "a..",
            "a ./b ",
            "C:x",
            "%2e%2e/%00",
            "caf\u{e9}",
            "cafe\u{301}",
            "\u{2024}\u{2024}/x",
            "a\u{ff0e}",
            "a\u{2215}b",
            "+#?&\"'<>",
        ] {
            assert_eq!(RemotePath::parse(text).unwrap().as_str(), text);
        }
        let longest = "x".repeat(KEY_BYTES_MAX);
        assert_eq!(RemotePath::parse(&longest).unwrap().as_str(), longest);
    }

    #[test]
    fn an_extension_needs_text_before_its_dot() {
        let cases = [
            ("a.jpg", Some("jpg")),
            ("x.y/a.tar.gz", Some("gz")),
            (".htaccess", None),
            ("a", None),
            ("x.y/a", None),
            ("a.", None),
        ];
        for (text, want) in cases {
            assert_eq!(RemotePath::parse(text).unwrap().extension(), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_path_has_only_plain_segments(text in "[a.\\\\/ %\n\u{e9}]{0,12}") {
            if let Ok(path) = RemotePath::parse(&text) {
                prop_assert_eq!(path.as_str(), &text);
                for segment in text.split('/') {
                    prop_assert!(!matches!(segment, "" | "." | ".."));
                }
                prop_assert!(!text.contains(['\\', '\n']));
            }
        }
    }
}

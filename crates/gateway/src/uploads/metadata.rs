//! Metadata of a file, as its client announces it, and as S3 keeps it.

use std::collections::BTreeMap;

use s3up_core::{RemotePath, Sha256Digest};

/// Name of the user metadata of an object that holds its mtime.
const MTIME_NS_METADATA: &str = "mtime-ns";
const MODE_METADATA: &str = "mode";
/// Name of the user metadata that the store writes.
pub(super) const SHA256_METADATA: &str = "sha256";
/// Name of the user metadata of a file that was not settled when it was uploaded.
const HOT_METADATA: &str = "hot";
const CONTENT_TYPE_UNKNOWN: &str = "application/octet-stream";

/// The metadata that a client may announce about a file. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileMetadata {
    pub sha256: Option<Sha256Digest>,
    pub mtime_ns: Option<i64>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// True if the file had not settled: it was still being written.
    pub is_hot: bool,
}

impl FileMetadata {
    /// Returns the user metadata of the object. The store adds the SHA-256.
    pub(crate) fn user_metadata(&self) -> BTreeMap<String, String> {
        let mtime = self.mtime_ns.map(|ns| (MTIME_NS_METADATA.to_owned(), ns.to_string()));
        let mode = self.mode.map(|mode| (MODE_METADATA.to_owned(), format!("{mode:04o}")));
        let hot = self.is_hot.then(|| (HOT_METADATA.to_owned(), "true".to_owned()));
        mtime.into_iter().chain(mode).chain(hot).collect()
    }
}

/// Returns the mtime that S3 keeps with an object.
pub(crate) fn stored_mtime_ns(metadata: &BTreeMap<String, String>) -> Option<i64> {
    metadata.get(MTIME_NS_METADATA).and_then(|text| parse_mtime_ns(text).ok())
}

/// Returns the permission bits that S3 keeps with an object.
pub(crate) fn stored_mode(metadata: &BTreeMap<String, String>) -> Option<u32> {
    metadata.get(MODE_METADATA).and_then(|text| parse_mode(text).ok())
}

/// Returns true if the object was uploaded as a file that had not settled.
pub(crate) fn is_stored_hot(metadata: &BTreeMap<String, String>) -> bool {
    metadata.get(HOT_METADATA).is_some_and(|text| text == "true")
}

pub(crate) fn parse_hot(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("expected true or false, found {text:?}"))
}

pub(crate) fn parse_mtime_ns(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("expected nanoseconds since 1970, found {text:?}"))
}

pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    // The parser would also take a sign and any number of zeros.
    let is_mode = matches!(text.len(), 1..=4) && text.bytes().all(|it| matches!(it, b'0'..=b'7'));
    let mode = if is_mode { u32::from_str_radix(text, 8).ok() } else { None };
    mode.ok_or_else(|| format!("expected octal permission bits, found {text:?}"))
}

/// Returns the Content-Type to store: the announced one, or else the one that
/// the extension of the file stands for.
pub(crate) fn content_type(announced: Option<&str>, path: &RemotePath) -> String {
    let by_extension = || mime_guess::from_path(path.as_str()).first_raw();
    let announced = announced.filter(|text| !text.is_empty() && *text != CONTENT_TYPE_UNKNOWN);
    announced.or_else(by_extension).unwrap_or(CONTENT_TYPE_UNKNOWN).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_one_to_four_octal_digits() {
        #[rustfmt::skip]
        let cases = [
            ("0",     Some(0)),
            ("644",   Some(0o644)),
            ("7777",  Some(0o7777)),
            ("",      None),
            ("00644", None),
            ("+644",  None),
            ("0o64",  None),
            ("0800",  None),
            ("10000", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse_mode(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn mtime_and_mode_become_user_metadata() {
        let metadata =
            FileMetadata { sha256: None, mtime_ns: Some(-5), mode: Some(0o644), is_hot: true };

        let got: Vec<_> = metadata.user_metadata().into_iter().collect();

        let want = [("hot", "true"), ("mode", "0644"), ("mtime-ns", "-5")]
            .map(|(k, v)| (k.into(), v.into()));
        assert_eq!(got, want);
        let stored = metadata.user_metadata();
        assert_eq!((stored_mtime_ns(&stored), stored_mode(&stored)), (Some(-5), Some(0o644)));
        assert!(is_stored_hot(&stored) && !is_stored_hot(&BTreeMap::new()));
    }

    #[test]
    fn a_content_type_is_the_announced_one_or_that_of_the_extension() {
        #[rustfmt::skip]
        let cases = [
            // announced                        path         stored
            (Some("text/x-own"),                "a.jpg",     "text/x-own"),
            (None,                              "a.jpg",     "image/jpeg"),
            (Some(""),                          "a.html",    "text/html"),
            (Some("application/octet-stream"),  "a.pdf",     "application/pdf"),
            (None,                              "a",         "application/octet-stream"),
            (None,                              ".htaccess", "application/octet-stream"),
        ];
        for (announced, path, want) in cases {
            assert_eq!(content_type(announced, &RemotePath::parse(path).unwrap()), want, "{path}");
        }
    }
}

//! ETags: with quotes, without them, and none at all.
//!
//! S3 quotes an ETag; some servers do not, in some answers. A few servers return no
//! ETag in HEAD. An object there gets a substitute from what HEAD does return, so
//! that a version that was read can be recognised. It is never sent to a server.

use std::time::SystemTime;

use s3up_core::{Crc64Nvme, Sha256Digest};

/// No server generates an ETag that starts like this.
const SUBSTITUTE: &str = "\"untold-";

/// Removes the quotes of an ETag, which some servers leave out.
pub(crate) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// Returns true if the server returned this ETag.
pub fn is_reported(etag: &str) -> bool {
    !unquoted(etag).is_empty() && !etag.starts_with(SUBSTITUTE)
}

/// Returns a substitute for the ETag that a server does not return.
pub(crate) fn substitute(
    size: u64,
    modified_at: SystemTime,
    crc64nvme: Option<Crc64Nvme>,
    sha256: Option<Sha256Digest>,
) -> String {
    let seconds = modified_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let digest = match (sha256, crc64nvme) {
        (Some(sha256), _) => format!("-{sha256}"),
        (None, Some(crc)) => format!("-{crc}"),
        (None, None) => String::new(),
    };
    format!("{SUBSTITUTE}{size}-{seconds}{digest}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untold_etag_tells_versions_apart() {
        let at = SystemTime::UNIX_EPOCH;
        let one = substitute(3, at, None, Some(Sha256Digest::of(b"abc")));
        let other = substitute(3, at, None, Some(Sha256Digest::of(b"abd")));
        assert_ne!(one, other);
        for (etag, want) in
            [("\"a\"", true), ("a", true), ("", false), ("\"\"", false), (one.as_str(), false)]
        {
            assert_eq!(is_reported(etag), want, "{etag}");
        }
    }
}

//! The table of S3's error codes: which kind of failure each one is.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, and codes
//! of other servers that were met. The advice for each kind is its `Display`.

use crate::error::kind::StoreErrorKind;

/// Every code that decides by itself; the status decides for any other.
#[rustfmt::skip]
const CODES: &[(&str, StoreErrorKind)] = &[
    ("NoSuchKey",                          StoreErrorKind::NotFound),
    ("NoSuchVersion",                      StoreErrorKind::NotFound),
    ("NotFound",                           StoreErrorKind::NotFound),
    ("NoSuchUpload",                       StoreErrorKind::NoUpload),
    ("NoSuchBucket",                       StoreErrorKind::NoBucket),
    ("NoSuchLifecycleConfiguration",       StoreErrorKind::NoLifecycleRules),
    ("InvalidAccessKeyId",                 StoreErrorKind::BadCredentials),
    ("SignatureDoesNotMatch",              StoreErrorKind::BadCredentials),
    ("InvalidClientTokenId",               StoreErrorKind::BadCredentials),
    ("InvalidToken",                       StoreErrorKind::BadCredentials),
    ("ExpiredToken",                       StoreErrorKind::ExpiredCredentials),
    ("ExpiredTokenException",              StoreErrorKind::ExpiredCredentials),
    ("TokenRefreshRequired",               StoreErrorKind::ExpiredCredentials),
    ("AccessDenied",                       StoreErrorKind::Denied),
    ("AllAccessDisabled",                  StoreErrorKind::Denied),
    ("AccountProblem",                     StoreErrorKind::Denied),
    ("PermanentRedirect",                  StoreErrorKind::WrongRegion),
    ("AuthorizationHeaderMalformed",       StoreErrorKind::WrongRegion),
    ("IllegalLocationConstraintException", StoreErrorKind::WrongRegion),
    ("RequestTimeTooSkewed",               StoreErrorKind::ClockSkew),
    ("PreconditionFailed",                 StoreErrorKind::Precondition),
    ("InvalidObjectState",                 StoreErrorKind::Archived),
    ("QuotaExceeded",                      StoreErrorKind::Quota),
    ("ServiceQuotaExceededException",      StoreErrorKind::Quota),
    ("XMinioAdminBucketQuotaExceeded",     StoreErrorKind::Quota),
    ("XMinioStorageFull",                  StoreErrorKind::Quota),
    ("InsufficientCapacity",               StoreErrorKind::Quota),
    ("ObjectAlreadyInActiveTierError",     StoreErrorKind::Permanent),
    ("NotImplemented",                     StoreErrorKind::NotImplemented),
    ("SlowDown",                           StoreErrorKind::Transient),
    ("InternalError",                      StoreErrorKind::Transient),
    ("ServiceUnavailable",                 StoreErrorKind::Transient),
    ("RequestTimeout",                     StoreErrorKind::Transient),
    ("Throttling",                         StoreErrorKind::Transient),
    ("ThrottlingException",                StoreErrorKind::Transient),
    ("OperationAborted",                   StoreErrorKind::Transient),
    ("ConditionalRequestConflict",         StoreErrorKind::Transient),
    ("RequestLimitExceeded",               StoreErrorKind::Transient),
    ("BadDigest",                          StoreErrorKind::Corrupt),
    ("XAmzContentSHA256Mismatch",          StoreErrorKind::Corrupt),
    ("XAmzContentChecksumMismatch",        StoreErrorKind::Corrupt),
];

/// Returns the kind of a failure from the status of the answer and S3's error code.
pub(crate) fn kind_of_answer(status: u16, code: Option<&str>) -> StoreErrorKind {
    let known = code.and_then(|code| CODES.iter().find(|(known, _)| *known == code));
    match (known, status) {
        (Some((_, kind)), _) => *kind,
        (None, 301 | 307) => StoreErrorKind::WrongRegion,
        (None, 401 | 403) => StoreErrorKind::Denied,
        (None, 404) => StoreErrorKind::NotFound,
        (None, 412) => StoreErrorKind::Precondition,
        // A server that does not implement a call now will not do so later.
        (None, 501 | 505) => StoreErrorKind::NotImplemented,
        (None, 507) => StoreErrorKind::Quota,
        (None, 408 | 429 | 500..) => StoreErrorKind::Transient,
        (None, 200..=299) => StoreErrorKind::Unreadable,
        // There was no status at all.
        (None, 0..=199) => StoreErrorKind::Transient,
        (None, _) => StoreErrorKind::Permanent,
    }
}

/// Returns the kind of a failure from S3's error code alone, as in the answer of a
/// batch.
pub(crate) fn kind_of_code(code: &str) -> StoreErrorKind {
    kind_of_answer(400, Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The advice of each kind, by a word that only it has.
    fn word_of_advice(kind: StoreErrorKind) -> &'static str {
        match kind {
            StoreErrorKind::NotFound => "no such object",
            StoreErrorKind::NoUpload => "no such multipart upload",
            StoreErrorKind::NoBucket => "no such bucket",
            StoreErrorKind::NoLifecycleRules => "no lifecycle rules",
            StoreErrorKind::BadCredentials => "check the access key ID",
            StoreErrorKind::ExpiredCredentials => "session token",
            StoreErrorKind::NoCredentials => "no credentials found",
            StoreErrorKind::Denied => "access denied",
            StoreErrorKind::WrongRegion => "`region`",
            StoreErrorKind::ClockSkew => "NTP",
            StoreErrorKind::Precondition => "already exists",
            StoreErrorKind::TooLong => "longer than expected",
            StoreErrorKind::Archived => "thaw it first",
            StoreErrorKind::Quota => "quota",
            StoreErrorKind::Transient => "busy or unreachable",
            StoreErrorKind::Unreadable => "cannot parse",
            StoreErrorKind::NotImplemented => "does not implement",
            StoreErrorKind::Corrupt => "checksum",
            StoreErrorKind::Permanent => "see the cause",
        }
    }

    #[test]
    fn every_code_has_one_kind_and_its_advice() {
        let mut seen = std::collections::BTreeSet::new();
        for (code, kind) in CODES {
            assert!(seen.insert(code), "{code} is there twice");
            for status in [200, 400, 403, 503] {
                assert_eq!(kind_of_answer(status, Some(code)), *kind, "{code} {status}");
            }
            assert_eq!(kind_of_code(code), *kind);
            let advice = kind.to_string();
            assert!(advice.contains(word_of_advice(*kind)), "{code}: {advice}");
        }
    }

    #[test]
    fn the_status_decides_where_no_code_does() {
        #[rustfmt::skip]
        let cases = [
            (0,   None,                    StoreErrorKind::Transient),
            (200, None,                    StoreErrorKind::Unreadable),
            (301, None,                    StoreErrorKind::WrongRegion),
            (400, None,                    StoreErrorKind::Permanent),
            (400, Some("InvalidArgument"), StoreErrorKind::Permanent),
            (403, None,                    StoreErrorKind::Denied),
            (403, Some("Unheard"),         StoreErrorKind::Denied),
            (404, None,                    StoreErrorKind::NotFound),
            (408, None,                    StoreErrorKind::Transient),
            (412, None,                    StoreErrorKind::Precondition),
            (429, None,                    StoreErrorKind::Transient),
            (500, None,                    StoreErrorKind::Transient),
            (501, None,                    StoreErrorKind::NotImplemented),
            (503, None,                    StoreErrorKind::Transient),
            (507, None,                    StoreErrorKind::Quota),
        ];
        for (status, code, want) in cases {
            assert_eq!(kind_of_answer(status, code), want, "{status} {code:?}");
        }
    }
}

//! The table of S3's error codes: which kind of failure each one is.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, and codes
//! of other servers that were met. The advice for each kind is its `Display`.

use crate::error::kind::Kind;

/// Every code that decides by itself; the status decides for any other.
#[rustfmt::skip]
const CODES: &[(&str, Kind)] = &[
    ("NoSuchKey",                          Kind::NotFound),
    ("NoSuchVersion",                      Kind::NotFound),
    ("NotFound",                           Kind::NotFound),
    ("NoSuchUpload",                       Kind::NoUpload),
    ("NoSuchBucket",                       Kind::NoBucket),
    ("InvalidAccessKeyId",                 Kind::BadCredentials),
    ("SignatureDoesNotMatch",              Kind::BadCredentials),
    ("InvalidClientTokenId",               Kind::BadCredentials),
    ("InvalidToken",                       Kind::BadCredentials),
    ("ExpiredToken",                       Kind::ExpiredCredentials),
    ("ExpiredTokenException",              Kind::ExpiredCredentials),
    ("TokenRefreshRequired",               Kind::ExpiredCredentials),
    ("AccessDenied",                       Kind::Denied),
    ("AllAccessDisabled",                  Kind::Denied),
    ("AccountProblem",                     Kind::Denied),
    ("PermanentRedirect",                  Kind::WrongRegion),
    ("AuthorizationHeaderMalformed",       Kind::WrongRegion),
    ("IllegalLocationConstraintException", Kind::WrongRegion),
    ("RequestTimeTooSkewed",               Kind::ClockSkew),
    ("PreconditionFailed",                 Kind::Precondition),
    ("InvalidObjectState",                 Kind::Archived),
    ("QuotaExceeded",                      Kind::Quota),
    ("ServiceQuotaExceededException",      Kind::Quota),
    ("XMinioAdminBucketQuotaExceeded",     Kind::Quota),
    ("XMinioStorageFull",                  Kind::Quota),
    ("InsufficientCapacity",               Kind::Quota),
    ("ObjectAlreadyInActiveTierError",     Kind::Permanent),
    ("NotImplemented",                     Kind::NotImplemented),
    ("SlowDown",                           Kind::Transient),
    ("InternalError",                      Kind::Transient),
    ("ServiceUnavailable",                 Kind::Transient),
    ("RequestTimeout",                     Kind::Transient),
    ("Throttling",                         Kind::Transient),
    ("ThrottlingException",                Kind::Transient),
    ("OperationAborted",                   Kind::Transient),
    ("ConditionalRequestConflict",         Kind::Transient),
    ("RequestLimitExceeded",               Kind::Transient),
    ("BadDigest",                          Kind::Corrupt),
    ("XAmzContentSHA256Mismatch",          Kind::Corrupt),
    ("XAmzContentChecksumMismatch",        Kind::Corrupt),
];

/// Returns the kind of a failure from the status of the answer and S3's error code.
pub(crate) fn kind_of_answer(status: u16, code: Option<&str>) -> Kind {
    let known = code.and_then(|code| CODES.iter().find(|(known, _)| *known == code));
    match (known, status) {
        (Some((_, kind)), _) => *kind,
        (None, 301 | 307) => Kind::WrongRegion,
        (None, 401 | 403) => Kind::Denied,
        (None, 404) => Kind::NotFound,
        (None, 412) => Kind::Precondition,
        // A server that does not implement a call now will not do so later.
        (None, 501 | 505) => Kind::NotImplemented,
        (None, 507) => Kind::Quota,
        (None, 408 | 429 | 500..) => Kind::Transient,
        (None, 200..=299) => Kind::Unreadable,
        // There was no status at all.
        (None, 0..=199) => Kind::Transient,
        (None, _) => Kind::Permanent,
    }
}

/// Returns the kind of a failure from S3's error code alone, as in the answer of a
/// batch.
pub(crate) fn kind_of_code(code: &str) -> Kind {
    kind_of_answer(400, Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The advice of each kind, by a word that only it has.
    fn word_of_advice(kind: Kind) -> &'static str {
        match kind {
            Kind::NotFound => "no such object",
            Kind::NoUpload => "no such multipart upload",
            Kind::NoBucket => "no such bucket",
            Kind::BadCredentials => "check the access key ID",
            Kind::ExpiredCredentials => "session token",
            Kind::NoCredentials => "no credentials found",
            Kind::Denied => "access denied",
            Kind::WrongRegion => "`region`",
            Kind::ClockSkew => "NTP",
            Kind::Precondition => "already exists",
            Kind::TooLong => "longer than expected",
            Kind::Archived => "thaw it first",
            Kind::Quota => "quota",
            Kind::Transient => "busy or unreachable",
            Kind::Unreadable => "cannot parse",
            Kind::NotImplemented => "does not implement",
            Kind::Corrupt => "checksum",
            Kind::Permanent => "see the cause",
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
            (0,   None,                    Kind::Transient),
            (200, None,                    Kind::Unreadable),
            (301, None,                    Kind::WrongRegion),
            (400, None,                    Kind::Permanent),
            (400, Some("InvalidArgument"), Kind::Permanent),
            (403, None,                    Kind::Denied),
            (403, Some("Unheard"),         Kind::Denied),
            (404, None,                    Kind::NotFound),
            (408, None,                    Kind::Transient),
            (412, None,                    Kind::Precondition),
            (429, None,                    Kind::Transient),
            (500, None,                    Kind::Transient),
            (501, None,                    Kind::NotImplemented),
            (503, None,                    Kind::Transient),
            (507, None,                    Kind::Quota),
        ];
        for (status, code, want) in cases {
            assert_eq!(kind_of_answer(status, code), want, "{status} {code:?}");
        }
    }
}

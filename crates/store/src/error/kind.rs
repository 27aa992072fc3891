//! The kinds of failure, and the advice for each.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    NotFound,
    /// The multipart upload was completed or aborted, by us or by others.
    NoUpload,
    NoBucket,
    /// The bucket has no lifecycle rules.
    NoLifecycleRules,
    /// S3 does not know the access key ID, or the signature is wrong.
    BadCredentials,
    /// The session token of temporary credentials has expired.
    ExpiredCredentials,
    /// The SDK found no credentials at all.
    NoCredentials,
    Denied,
    WrongRegion,
    ClockSkew,
    /// The condition of a conditional write does not hold.
    Precondition,
    /// A document is longer than its reader accepts.
    TooLong,
    /// The object is archived and was not thawed.
    Archived,
    /// The bucket or the account is full.
    Quota,
    /// S3 asked us to slow down, or the connection broke. A retry may help.
    Transient,
    /// The answer cannot be parsed: it was truncated, or the server speaks a
    /// dialect that we do not.
    Unreadable,
    /// The server does not implement the call or one of its headers.
    NotImplemented,
    /// The bytes differ from what was sent or expected.
    Corrupt,
    /// Any other failure. A retry would fail the same way.
    Permanent,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreErrorKind::NotFound => "no such object; check the key, and whether another program deletes below this prefix",
            StoreErrorKind::NoUpload => {
                "no such multipart upload: it was completed or aborted, by a lifecycle rule or by another process; retry the upload"
            }
            StoreErrorKind::NoBucket => {
                "no such bucket; check `bucket`, `region` and `endpoint`, or create it"
            }
            StoreErrorKind::NoLifecycleRules => "the bucket has no lifecycle rules",
            StoreErrorKind::BadCredentials => {
                "S3 does not accept these credentials; check the access key ID and its secret"
            }
            StoreErrorKind::ExpiredCredentials => {
                "the session token of these credentials has expired; renew it (sign in again, reload the profile) and retry"
            }
            StoreErrorKind::NoCredentials => {
                "no credentials found; set them in the configuration, the environment, a profile or a role"
            }
            StoreErrorKind::Denied => "access denied; check what the policy of this key allows on the bucket",
            StoreErrorKind::WrongRegion => "the bucket is in another region; check `region`",
            StoreErrorKind::ClockSkew => "the clock of this host is wrong; set it (NTP) and retry",
            StoreErrorKind::Precondition => {
                "the object already exists or was changed; check whether another program or host writes below this prefix"
            }
            StoreErrorKind::TooLong => "the object is longer than expected; check which program wrote it",
            StoreErrorKind::Archived => "the object is archived; thaw it first (S3 RestoreObject)",
            StoreErrorKind::Quota => "the bucket or the account has reached its quota; raise it, or free space",
            StoreErrorKind::Transient => "S3 is busy or unreachable; check the network and `endpoint`",
            StoreErrorKind::Unreadable => "cannot parse the answer; check that `endpoint` is an S3 server",
            StoreErrorKind::NotImplemented => {
                "this server does not implement the request; see docs/s3-compatibility.md"
            }
            StoreErrorKind::Corrupt => {
                "the data does not match its checksum or size; retry, then check the memory of this host and the server"
            }
            StoreErrorKind::Permanent => "S3 refused the request; see the cause",
        })
    }
}

//! Decides whether a restored file passes a drill. Pure.

use std::fmt;

use s3up_core::Sha256Digest;

/// Digests that a restored file is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectedDigests {
    /// SHA-256 of the content that this host uploaded last.
    pub host: Option<Sha256Digest>,
    /// SHA-256 that the gateway has for the listed version.
    pub gateway: Option<Sha256Digest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillFailure {
    /// This host uploaded other content.
    DiffersFromHost {
        expected: Sha256Digest,
        found: Sha256Digest,
    },
    DiffersFromGateway {
        expected: Sha256Digest,
        found: Sha256Digest,
    },
    /// No digest of the file is known.
    NothingToCompare,
}

/// `found` is the SHA-256 of the restored file, as it was read back.
pub fn judge(expected: ExpectedDigests, found: Sha256Digest) -> Result<(), DrillFailure> {
    match expected {
        ExpectedDigests { host: Some(expected), .. } if expected != found => {
            Err(DrillFailure::DiffersFromHost { expected, found })
        }
        ExpectedDigests { host: None, gateway: Some(expected) } if expected != found => {
            Err(DrillFailure::DiffersFromGateway { expected, found })
        }
        ExpectedDigests { host: None, gateway: None } => Err(DrillFailure::NothingToCompare),
        ExpectedDigests { host: Some(_), .. } | ExpectedDigests { gateway: Some(_), .. } => Ok(()),
    }
}

impl fmt::Display for DrillFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DrillFailure::DiffersFromHost { expected, found } => write!(
                f,
                "expected the content that this host uploaded (SHA-256 {expected}), found {found}"
            ),
            DrillFailure::DiffersFromGateway { expected, found } => write!(
                f,
                "expected the content that the gateway recorded (SHA-256 {expected}), found {found}"
            ),
            DrillFailure::NothingToCompare => {
                f.write_str("neither this host nor the gateway knows its SHA-256")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_the_host_counts_and_without_any_no_file_passes() {
        let right = Sha256Digest::of(b"right");
        let wrong = Sha256Digest::of(b"wrong");
        let of_host = DrillFailure::DiffersFromHost { expected: wrong, found: right };
        let of_gateway = DrillFailure::DiffersFromGateway { expected: wrong, found: right };
        #[rustfmt::skip]
        let cases = [
            // host         gateway        result
            (Some(right),   Some(right),   Ok(())),
            (Some(right),   Some(wrong),   Ok(())),
            (Some(right),   None,          Ok(())),
            (Some(wrong),   Some(right),   Err(of_host)),
            (Some(wrong),   None,          Err(of_host)),
            (None,          Some(right),   Ok(())),
            (None,          Some(wrong),   Err(of_gateway)),
            (None,          None,          Err(DrillFailure::NothingToCompare)),
        ];
        for (host, gateway, want) in cases {
            assert_eq!(
                judge(ExpectedDigests { host, gateway }, right),
                want,
                "{host:?} {gateway:?}"
            );
        }
    }
}

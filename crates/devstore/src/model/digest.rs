//! Checksums: the algorithm of a client, its claimed values, and computing them.
//!
//! One checksum is stored for an object or part: the one that the
//! client chose, or CRC64NVME. The MD5 is always computed, because it is the
//! ETag. CRC64NVME is always computed, so that a completed upload can be verified
//! without reading its parts again.
//!
//! The rules of S3:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, checksum_combine};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{self, Checksum as _};
use s3s::{S3Error, S3ErrorCode, S3Result, dto};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// The input of the checksum of a multipart object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ChecksumKind {
    /// All bytes of the object.
    FullObject,
    /// The checksums of the parts. The value ends with the number of parts.
    Composite,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    pub(crate) kind: ChecksumKind,
    /// Base64 as in S3, with the suffix `-N` if composite.
    pub(crate) value: String,
}

impl Algorithm {
    pub(crate) const ALL: [Algorithm; 5] = [
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Algorithm::Crc32 => dto::ChecksumAlgorithm::CRC32,
            Algorithm::Crc32c => dto::ChecksumAlgorithm::CRC32C,
            Algorithm::Crc64Nvme => dto::ChecksumAlgorithm::CRC64NVME,
            Algorithm::Sha1 => dto::ChecksumAlgorithm::SHA1,
            Algorithm::Sha256 => dto::ChecksumAlgorithm::SHA256,
        }
    }

    pub(crate) fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    pub(crate) fn parse(text: &str) -> S3Result<Algorithm> {
        let known = Algorithm::ALL.into_iter().find(|a| a.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| {
            let message = format!("unknown checksum algorithm {text:?}");
            S3Error::with_message(S3ErrorCode::InvalidRequest, message)
        })
    }

    /// Returns the kind for a multipart upload if the client chooses none.
    pub(crate) fn default_kind(self) -> ChecksumKind {
        match self {
            Algorithm::Crc64Nvme => ChecksumKind::FullObject,
            Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Sha1 | Algorithm::Sha256 => {
                ChecksumKind::Composite
            }
        }
    }

    pub(crate) fn allows(self, kind: ChecksumKind) -> bool {
        match self {
            Algorithm::Crc64Nvme => kind == ChecksumKind::FullObject,
            Algorithm::Crc32 | Algorithm::Crc32c => true,
            Algorithm::Sha1 | Algorithm::Sha256 => kind == ChecksumKind::Composite,
        }
    }

    fn value_bytes(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    /// Returns the algorithm as a CRC, whose values can be combined.
    fn as_crc(self) -> Option<CrcAlgorithm> {
        match self {
            Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }
}

impl ChecksumKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ChecksumKind::FullObject => dto::ChecksumType::FULL_OBJECT,
            ChecksumKind::Composite => dto::ChecksumType::COMPOSITE,
        }
    }

    pub(crate) fn parse(text: &str) -> S3Result<ChecksumKind> {
        [ChecksumKind::FullObject, ChecksumKind::Composite]
            .into_iter()
            .find(|k| k.as_str() == text)
            .ok_or_else(|| {
                let message = format!("unknown checksum type {text:?}");
                S3Error::with_message(S3ErrorCode::InvalidRequest, message)
            })
    }
}

/// The digests that a client claims for a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    pub(crate) md5: Option<String>,
    pub(crate) checksum: Option<(Algorithm, String)>,
}

impl Claims {
    /// Refuses claims that no body could have.
    pub(crate) fn check_form(&self) -> S3Result<()> {
        if let Some(md5) = &self.md5
            && !is_base64_of(md5, 16)
        {
            let message = "The Content-MD5 you specified was invalid.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidDigest, message));
        }
        if let Some((algorithm, value)) = &self.checksum
            && !is_base64_of(value, algorithm.value_bytes())
        {
            let message = format!("Value for {} header is invalid.", algorithm.header());
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
        Ok(())
    }

    pub(crate) fn check(&self, digests: &Digests) -> S3Result<()> {
        if self.md5.as_ref().is_some_and(|claim| *claim != BASE64.encode(digests.md5)) {
            return Err(bad_digest("Content-MD5"));
        }
        match &self.checksum {
            Some((algorithm, value)) if *value != digests.checksum.value => {
                Err(bad_digest(algorithm.as_str()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

pub(crate) fn bad_digest(what: &str) -> S3Error {
    let message = format!("The {what} you specified did not match what we received.");
    S3Error::with_message(S3ErrorCode::BadDigest, message)
}

fn is_base64_of(text: &str, bytes: usize) -> bool {
    BASE64.decode(text).is_ok_and(|decoded| decoded.len() == bytes)
}

/// Computes the digests of bytes that arrive in pieces.
pub(crate) struct Hasher {
    algorithm: Algorithm,
    md5: crypto::Md5,
    checksums: ChecksumHasher,
}

pub(crate) struct Digests {
    pub(crate) md5: [u8; 16],
    pub(crate) crc64nvme: u64,
    pub(crate) checksum: Checksum,
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Hasher {
        let wants = |other| algorithm == other;
        let checksums = ChecksumHasher {
            crc32: wants(Algorithm::Crc32).then(crypto::Crc32::new),
            crc32c: wants(Algorithm::Crc32c).then(crypto::Crc32c::new),
            sha1: wants(Algorithm::Sha1).then(crypto::Sha1::new),
            sha256: wants(Algorithm::Sha256).then(crypto::Sha256::new),
            crc64nvme: Some(crypto::Crc64Nvme::new()),
        };
        Hasher { algorithm, md5: crypto::Md5::new(), checksums }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.checksums.update(bytes);
    }

    pub(crate) fn finish(self) -> Digests {
        let found = self.checksums.finalize();
        let crc64nvme = found.checksum_crc64nvme.expect("CRC64NVME is always computed");
        let value = match self.algorithm {
            Algorithm::Crc32 => found.checksum_crc32,
            Algorithm::Crc32c => found.checksum_crc32c,
            Algorithm::Crc64Nvme => Some(crc64nvme.clone()),
            Algorithm::Sha1 => found.checksum_sha1,
            Algorithm::Sha256 => found.checksum_sha256,
        };
        let value = value.expect("the algorithm was asked for");
        Digests {
            md5: self.md5.finalize(),
            crc64nvme: decode_crc(&crc64nvme),
            checksum: Checksum { algorithm: self.algorithm, kind: ChecksumKind::FullObject, value },
        }
    }
}

/// Returns the checksum of the concatenated parts, computed from their checksums
/// and lengths. `None` if values of the algorithm cannot be combined.
pub(crate) fn combine<'a>(
    algorithm: Algorithm,
    parts: impl Iterator<Item = (&'a str, u64)>,
) -> Option<String> {
    let crc = algorithm.as_crc()?;
    let whole = parts.fold(0, |sum, (value, len)| match len {
        0 => sum, // an empty part changes nothing, and combining it is undefined
        len => checksum_combine(crc, sum, decode_crc(value), len),
    });
    let bytes = whole.to_be_bytes();
    Some(BASE64.encode(&bytes[8 - algorithm.value_bytes()..]))
}

/// Returns the checksum of the checksums of the parts, with their number.
pub(crate) fn compose<'a>(
    algorithm: Algorithm,
    parts: impl ExactSizeIterator<Item = &'a str>,
) -> String {
    let count = parts.len();
    let mut hasher = Hasher::new(algorithm);
    for value in parts {
        hasher.update(&BASE64.decode(value).expect("checksums in records are base64"));
    }
    format!("{}-{count}", hasher.finish().checksum.value)
}

pub(crate) fn encode_crc64(crc: u64) -> String {
    BASE64.encode(crc.to_be_bytes())
}

fn decode_crc(value: &str) -> u64 {
    let bytes = BASE64.decode(value).expect("checksums in records are base64");
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_parts_have_the_checksum_of_the_whole() {
        let whole: Vec<u8> = (0..=250).cycle().take(10_000).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            for cuts in [[0, 10_000], [1, 2], [0, 0], [4_000, 9_999], [10_000, 10_000]] {
                let pieces = [&whole[..cuts[0]], &whole[cuts[0]..cuts[1]], &whole[cuts[1]..]];
                let parts = pieces.map(|piece| (of(algorithm, piece), piece.len() as u64));

                let combined = combine(algorithm, parts.iter().map(|(v, len)| (v.as_str(), *len)));

                assert_eq!(combined, Some(of(algorithm, &whole)), "{algorithm:?} {cuts:?}");
            }
        }
    }

    #[test]
    fn a_hash_cannot_be_combined() {
        assert_eq!(combine(Algorithm::Sha256, [].into_iter()), None);
    }

    #[test]
    fn check_values_are_those_of_the_specification() {
        #[rustfmt::skip]
        let cases = [
            (Algorithm::Crc32,     "y/Q5Jg=="),
            (Algorithm::Crc32c,    "4waSgw=="),
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
        ];
        for (algorithm, want) in cases {
            assert_eq!(of(algorithm, b"123456789"), want, "{algorithm:?}");
        }
    }

    #[test]
    fn a_claim_that_no_body_could_have_is_refused() {
        #[rustfmt::skip]
        let cases = [
            (claim_md5("x"),                                S3ErrorCode::InvalidDigest),
            (claim_md5("AAAA"),                             S3ErrorCode::InvalidDigest),
            (claim(Algorithm::Crc32, "AAAA"),               S3ErrorCode::InvalidRequest),
            (claim(Algorithm::Crc64Nvme, "AAAAAA=="),       S3ErrorCode::InvalidRequest),
        ];
        for (claims, want) in cases {
            assert_eq!(*claims.check_form().unwrap_err().code(), want, "{claims:?}");
        }
        assert!(claim(Algorithm::Crc32, "AAAAAA==").check_form().is_ok());
    }

    fn of(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish().checksum.value
    }

    fn claim_md5(value: &str) -> Claims {
        Claims { md5: Some(value.to_owned()), checksum: None }
    }

    fn claim(algorithm: Algorithm, value: &str) -> Claims {
        Claims { md5: None, checksum: Some((algorithm, value.to_owned())) }
    }
}

//! Digests and their text forms: SHA-256, by which s3up identifies content, and
//! CRC64NVME, the checksum that S3 verifies.
//!
//! Not here: computing CRC64NVME (the store), several SHA-256 in one pass
//! (`s3up-sha256`).

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("expected 64 hex digits, found {0:?}")]
    Hex(String),
    #[error("expected the base64 of {bytes} bytes, found {text:?}")]
    Base64 { text: String, bytes: usize },
    #[error("expected `sha-256=:BASE64:`, found {0:?}")]
    Field(String),
}

/// A SHA-256 value. Its text form and its JSON form are 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    pub fn of(bytes: &[u8]) -> Sha256Digest {
        let mut hasher = Sha256::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Parses 64 hex digits of either case.
    pub fn parse_hex(text: &str) -> Result<Sha256Digest, DigestError> {
        let wrong = || DigestError::Hex(text.to_owned());
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |d: u8| (d as char).to_digit(16).ok_or_else(wrong);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Sha256Digest(bytes))
    }

    /// Returns the SHA-256 in a `Repr-Digest` field (RFC 9530), or `None` if the
    /// field names only other algorithms.
    pub fn parse_repr_digest(field: &str) -> Result<Option<Sha256Digest>, DigestError> {
        for member in field.split(',').map(str::trim) {
            let Some(value) = member.strip_prefix("sha-256=") else { continue };
            let text = value
                .strip_prefix(':')
                .and_then(|v| v.strip_suffix(':'))
                .ok_or_else(|| DigestError::Field(field.to_owned()))?;
            return Ok(Some(Sha256Digest(from_base64(text)?)));
        }
        Ok(None)
    }

    /// Formats the digest as a `Repr-Digest` field.
    pub fn to_repr_digest(&self) -> String {
        format!("sha-256=:{}:", BASE64.encode(self.0))
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for Sha256Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Sha256Digest, DigestError> {
        Sha256Digest::parse_hex(&text)
    }
}

impl From<Sha256Digest> for String {
    fn from(digest: Sha256Digest) -> String {
        digest.to_string()
    }
}

/// Computes a SHA-256 step by step.
#[derive(Clone)]
pub struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256(Context::new(&SHA256))
    }
}

impl Sha256 {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Sha256Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Sha256Digest(bytes)
    }
}

/// A CRC-64/NVME value. Its text form is the one of S3: base64 of the eight
/// bytes, most significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crc64Nvme(pub u64);

impl Crc64Nvme {
    pub fn parse(text: &str) -> Result<Crc64Nvme, DigestError> {
        Ok(Crc64Nvme(u64::from_be_bytes(from_base64(text)?)))
    }
}

impl fmt::Display for Crc64Nvme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0.to_be_bytes()))
    }
}

fn from_base64<const N: usize>(text: &str) -> Result<[u8; N], DigestError> {
    let wrong = || DigestError::Base64 { text: text.to_owned(), bytes: N };
    let bytes = BASE64.decode(text).map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

/// In JSON, a SHA-256 is 64 lower-case hex digits.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Sha256Digest {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let text = utoipa::openapi::schema::Type::String;
        let object = utoipa::openapi::ObjectBuilder::new().schema_type(text);
        object.pattern(Some("^[0-9a-f]{64}$")).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Sha256Digest {}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_digest_of_no_bytes_is_the_published_one() {
        assert_eq!(Sha256Digest::of(b"").to_string(), EMPTY);
        assert_eq!(Sha256Digest::parse_hex(&EMPTY.to_uppercase()), Ok(Sha256Digest::of(b"")));
    }

    #[test]
    fn text_that_is_not_64_hex_digits_is_refused() {
        for text in ["", "e3b0", &EMPTY[1..], &format!("{EMPTY}0"), &EMPTY.replace('e', "g")] {
            assert!(Sha256Digest::parse_hex(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_repr_digest_field_survives_a_round_trip() {
        let digest = Sha256Digest::of(b"x");
        let field = digest.to_repr_digest();

        assert_eq!(Sha256Digest::parse_repr_digest(&field), Ok(Some(digest)));
        let mixed = format!("sha-512=:AAAA:, {field}");
        assert_eq!(Sha256Digest::parse_repr_digest(&mixed), Ok(Some(digest)));
        assert_eq!(Sha256Digest::parse_repr_digest("md5=:AAAA:"), Ok(None));
        for wrong in ["sha-256=AAAA", "sha-256=:AAAA:", "sha-256=::", "sha-256=:!:"] {
            assert!(Sha256Digest::parse_repr_digest(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_digest_is_hex_in_json() {
        let digest = Sha256Digest::of(b"");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{EMPTY}\""));
        assert_eq!(serde_json::from_str::<Sha256Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Sha256Digest>("\"x\"").is_err());
    }

    #[test]
    fn a_crc_is_written_as_s3_writes_it() {
        let crc = Crc64Nvme(0xae8b_1486_0a79_9888); // the check value of "123456789"
        assert_eq!(crc.to_string(), "rosUhgp5mIg=");
        assert_eq!(Crc64Nvme::parse("rosUhgp5mIg="), Ok(crc));
        assert!(Crc64Nvme::parse("rosUhg==").is_err());
    }
}

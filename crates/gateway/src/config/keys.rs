//! Keys of clients and of admins, of which only the digest is kept.

use s3up_cli::Secret;
use s3up_cli::config::{ConfigError, Source};
use s3up_core::Sha256Digest;

/// Minimum length of a client key. Shorter ones could be guessed.
const API_KEY_CHARS_MIN: usize = 32;

/// Returns the digest of a key that the file has itself.
pub(super) fn digest_of(
    secret: &Secret,
    source: &Source,
    key: &str,
) -> Result<Sha256Digest, ConfigError> {
    let found = secret.expose().chars().count();
    if found < API_KEY_CHARS_MIN {
        let what = format!(
            "expected at least {API_KEY_CHARS_MIN} characters, found {found}; \
             generate a key with `s3up-server keygen`"
        );
        return Err(source.invalid(key, what));
    }
    Ok(Sha256Digest::of(secret.expose().as_bytes()))
}

/// Returns the digest of a key of which the file has only the digest.
pub(super) fn parse_digest(
    hex: &str,
    source: &Source,
    key: &str,
) -> Result<Sha256Digest, ConfigError> {
    let digest = Sha256Digest::parse_hex(hex).map_err(|_| {
        let found = hex.chars().count();
        source.invalid(key, format!("expected 64 hex digits, found {found} characters"))
    })?;
    if digest == Sha256Digest::of(b"") {
        let what = "this is the SHA-256 of an empty key; generate a key with `s3up-server keygen`";
        return Err(source.invalid(key, what));
    }
    Ok(digest)
}

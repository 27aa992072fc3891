//! Client keys: `sk_live_` and 43 random characters (256 bits, base64url). The
//! fixed prefix lets secret scanners recognise a leaked key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3up_core::Sha256Digest;

/// Returns a new key, generated from the kernel's random numbers.
pub fn generate() -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(format!("sk_live_{}", URL_SAFE_NO_PAD.encode(secret)))
}

/// Returns the lines for both configuration files, with a new key. The gateway
/// gets only its SHA-256.
pub fn config_lines() -> Result<String, getrandom::Error> {
    let key = generate()?;
    let digest = Sha256Digest::of(key.as_bytes());
    Ok(format!(
        "# server.yaml (gateway), under `clients:`\n  \
         - {{ name: \"CHANGE-ME\", api_key_sha256: \"{digest}\" }}\n\
         # client.yaml (agent), under `server:`\n  api_key: \"{key}\"\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.len(), "sk_live_".len() + 43);
        assert_ne!(one, other);
    }
}

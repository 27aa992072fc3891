//! API keys: `sk_live_` and 43 random characters (256 bits, base64url), so that
//! secret scanners find a leaked one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3up_core::Sha256Digest;

/// A new key, from the kernel's randomness.
pub fn generate() -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(format!("sk_live_{}", URL_SAFE_NO_PAD.encode(secret)))
}

/// A new key, and the lines that tell both sides of it. The gateway needs its
/// digest only.
pub fn lines() -> Result<String, getrandom::Error> {
    let key = generate()?;
    let digest = Sha256Digest::of(key.as_bytes());
    Ok(format!(
        "# server.yaml, under `clients:`\n  - {{ name: \"CHANGE-ME\", api_key_sha256: \"{digest}\" }}\n\n\
         # client.yaml, under `server:`\n  api_key: \"{key}\"\n"
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

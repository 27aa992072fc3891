//! `s3up-server keygen`: generates a client key, `s3up_` and 43 random characters (256 bits, base64url). The fixed
//! prefix lets secret scanners recognise a leaked key. Keys of any other form, of at
//! least 32 characters, are as valid.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3up_cli::Exit;
use s3up_core::{ClientName, Sha256Digest};

use super::show;

const PREFIX: &str = "s3up_";

pub(super) fn run(name: Option<&ClientName>) -> anyhow::Result<Exit> {
    show::print(&config_lines(name).context("generate a client key")?)?;
    Ok(Exit::Done)
}

/// Returns a new key, generated from the kernel's random numbers.
pub(super) fn generate() -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
}

/// Returns the lines for both configuration files, with a new key for the client
/// `name`. The gateway gets only its SHA-256.
fn config_lines(name: Option<&ClientName>) -> Result<String, getrandom::Error> {
    let key = generate()?;
    let name = name.map_or("CHANGE-ME", ClientName::as_str);
    let digest = Sha256Digest::of(key.as_bytes());
    Ok(format!(
        "# server.yaml (gateway), under `clients:`\n  \
         - {{ name: \"{name}\", api_key_sha256: \"{digest}\" }}\n\
         # client.yaml (agent), under `server:`\n  api_key: \"{key}\"\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.len(), PREFIX.len() + 43);
        assert_ne!(one, other);
    }
}

//! The settings of a store: which bucket, where, with which credentials.
//!
//! Configuration values that mean the same in every program are parsed here.

pub(crate) mod timeouts;

use std::num::NonZeroU64;
use std::path::PathBuf;

use self::timeouts::Timeouts;

/// The settings of a store, validated by the program that read the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None` means AWS.
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    pub credentials: Credentials,
    pub profile: Profile,
    /// PEM file with the only CAs that are trusted; `None` means those of the
    /// system.
    pub ca_file: Option<PathBuf>,
    /// Storage class of objects whose [`crate::Put`] sets none; `None` means the
    /// default of the bucket.
    pub storage_class: Option<String>,
    pub sse: Sse,
    /// Memory for the part buffers of the whole process, in bytes.
    pub buffer_budget_bytes: u64,
    pub timeouts: Timeouts,
    /// Limit for the whole process: all clones of a [`crate::Store`] share it.
    pub bandwidth: Bandwidth,
}

/// Bandwidth limits for bodies; `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    pub upload_bytes_per_second: Option<NonZeroU64>,
    pub download_bytes_per_second: Option<NonZeroU64>,
}

#[derive(Clone)]
pub enum Credentials {
    Explicit {
        access_key_id: String,
        secret_access_key: String,
    },
    /// The default chain of the SDK: environment, profile files, roles.
    DefaultChain,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Explicit { access_key_id, .. } => {
                write!(f, "Explicit({access_key_id}, ***)")
            }
            Credentials::DefaultChain => f.write_str("DefaultChain"),
        }
    }
}

/// The kind of server. It decides what is assumed before the first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Aws,
    /// Path-style addresses; the other capabilities are learned from its answers.
    Generic,
}

/// Encryption at rest that uploads request from S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sse {
    /// Uploads do not request encryption.
    Unset,
    Aes256,
    Kms {
        key_id: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("expected a URL with http:// or https:// and a host, found {0:?}")]
    NotAUrl(String),
    /// The message does not repeat the text, because it contains a secret.
    #[error("expected no user name and password in the URL; set the credentials in their own keys")]
    Credentials,
}

/// Configuration values for [`Sse`] that are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    #[error("expected \"AES256\", \"aws:kms\" or \"none\", found {0:?}")]
    Unknown(String),
    #[error("expected only with the encryption \"aws:kms\"")]
    KeyWithoutKms,
}

/// Parses an endpoint URL. `None` and an empty text mean AWS. The scheme may have
/// capital letters. A path gets the slash that the SDK needs at its end: it would
/// join the path and the name of the bucket without one.
pub fn parse_endpoint(text: Option<&str>) -> Result<Option<String>, EndpointError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let url = text.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let url = url.filter(|(scheme, _)| scheme == "http" || scheme == "https");
    let rest = url.as_ref().map(|(_, rest)| *rest);
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    match authority {
        Some(authority) if authority.contains('@') => Err(EndpointError::Credentials),
        Some(authority) if !authority.is_empty() && !authority.starts_with(':') => {
            Ok(url.map(|(scheme, rest)| {
                let needs_slash = rest.contains('/') && !rest.ends_with('/');
                format!("{scheme}://{rest}{}", if needs_slash { "/" } else { "" })
            }))
        }
        Some(_) | None if text.contains('@') => Err(EndpointError::Credentials),
        Some(_) | None => Err(EndpointError::NotAUrl(text.to_owned())),
    }
}

impl Profile {
    /// Returns the profile that fits most servers at `endpoint`.
    pub fn of(endpoint: Option<&str>) -> Profile {
        match endpoint {
            None => Profile::Aws,
            Some(_) => Profile::Generic,
        }
    }
}

impl Sse {
    /// Parses the configuration values; returns `default` if `text` is `None`.
    pub fn parse(
        text: Option<&str>,
        kms_key_id: Option<&str>,
        default: Sse,
    ) -> Result<Sse, SseError> {
        let sse = match text {
            Some("AES256") => Sse::Aes256,
            Some("aws:kms") => Sse::Kms { key_id: kms_key_id.map(str::to_owned) },
            Some("none") => Sse::Unset,
            None => default,
            Some(other) => return Err(SseError::Unknown(other.to_owned())),
        };
        match (kms_key_id, &sse) {
            (None, _) | (Some(_), Sse::Kms { .. }) => Ok(sse),
            (Some(_), Sse::Unset | Sse::Aes256) => Err(SseError::KeyWithoutKms),
        }
    }
}

impl SseError {
    /// Returns the configuration key that is wrong.
    pub fn key(&self) -> &'static str {
        match self {
            SseError::Unknown(_) => "sse",
            SseError::KeyWithoutKms => "kms_key_id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_parsed_from_its_configuration_values() {
        let key_id = |id: &str| Sse::Kms { key_id: Some(id.to_owned()) };
        #[rustfmt::skip]
        let cases = [
            (None,            None,       Ok(Sse::Aes256)),
            (Some("none"),    None,       Ok(Sse::Unset)),
            (Some("AES256"),  None,       Ok(Sse::Aes256)),
            (Some("aws:kms"), None,       Ok(Sse::Kms { key_id: None })),
            (Some("aws:kms"), Some("id"), Ok(key_id("id"))),
            (Some("AES256"),  Some("id"), Err(SseError::KeyWithoutKms)),
            (None,            Some("id"), Err(SseError::KeyWithoutKms)),
            (Some("aes"),     None,       Err(SseError::Unknown("aes".to_owned()))),
        ];
        for (text, kms_key_id, want) in cases {
            assert_eq!(Sse::parse(text, kms_key_id, Sse::Aes256), want, "{text:?} {kms_key_id:?}");
        }
    }

    #[test]
    fn an_endpoint_must_be_a_url_without_credentials() {
        assert_eq!(parse_endpoint(None), Ok(None));
        assert_eq!(parse_endpoint(Some("")), Ok(None));
        #[rustfmt::skip]
        let cases = [
            ("https://s3.example.com",      "https://s3.example.com"),
            ("HTTP://s3.example.com:8080",  "http://s3.example.com:8080"),
            ("Https://s3.example.com/",     "https://s3.example.com/"),
            ("http://host/storage/v1/s3",   "http://host/storage/v1/s3/"),
            ("http://host/storage/v1/s3/",  "http://host/storage/v1/s3/"),
        ];
        for (text, want) in cases {
            assert_eq!(parse_endpoint(Some(text)), Ok(Some(want.to_owned())));
        }
        for text in ["s3.example.com", "http://", "https:///path", "http://:9000", "ftp://a"] {
            let err = parse_endpoint(Some(text)).unwrap_err();
            assert_eq!(err, EndpointError::NotAUrl(text.to_owned()));
        }
        for text in ["http://user:hunter2@host", "https://user@host/x", "user:hunter2@host"] {
            let err = parse_endpoint(Some(text)).unwrap_err();
            assert_eq!(err, EndpointError::Credentials);
            assert!(!err.to_string().contains("hunter2"));
        }
    }
}

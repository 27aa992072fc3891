//! What the store is told: which bucket, where, with which credentials.
//!
//! Words of a configuration that mean the same in every program are read here.

use std::num::NonZeroU64;
use std::path::PathBuf;

use crate::dialect::Profile;
use crate::patience::Patience;

/// What the store needs to know; checked by whoever read the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None`: AWS.
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    pub credentials: Credentials,
    pub profile: Profile,
    /// PEM file with the only CAs that are trusted; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Of objects whose [`crate::Put`] names no other; `None`: the bucket's default.
    pub storage_class: Option<String>,
    pub sse: Sse,
    /// Memory for part buffers, for the whole process, in bytes.
    pub buffer_budget_bytes: u64,
    pub patience: Patience,
    /// Of the whole process: all clones of a [`crate::Store`] together.
    pub bandwidth: Bandwidth,
}

/// How fast bodies may go; `None` is no limit.
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
    /// Environment, profile files, roles: the SDK's default chain.
    Found,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Explicit { access_key_id, .. } => {
                write!(f, "Explicit({access_key_id}, ***)")
            }
            Credentials::Found => f.write_str("Found"),
        }
    }
}

/// Encryption at rest, as S3 is asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sse {
    /// Nothing is asked for.
    Unsaid,
    Aes256,
    Kms {
        key_id: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("expected a URL with http:// or https:// and a host, found {0:?}")]
    NoUrl(String),
    /// The text is not repeated: it holds a secret.
    #[error("expected no user name and password in the URL; credentials have places of their own")]
    Credentials,
}

/// Words for [`Sse`] that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    #[error("expected \"AES256\", \"aws:kms\" or \"none\", found {0:?}")]
    Unknown(String),
    #[error("is only used with `s3.sse: \"aws:kms\"`")]
    KeyWithoutKms,
}

/// `None`, as well as nothing, is AWS.
pub fn parse_endpoint(text: Option<&str>) -> Result<Option<String>, EndpointError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    match authority {
        Some(authority) if authority.contains('@') => Err(EndpointError::Credentials),
        Some(authority) if !authority.is_empty() && !authority.starts_with(':') => {
            Ok(Some(text.to_owned()))
        }
        Some(_) | None if text.contains('@') => Err(EndpointError::Credentials),
        Some(_) | None => Err(EndpointError::NoUrl(text.to_owned())),
    }
}

impl Profile {
    /// The one that is right for most servers at `endpoint`.
    pub fn of(endpoint: Option<&str>) -> Profile {
        match endpoint {
            None => Profile::Aws,
            Some(_) => Profile::Generic,
        }
    }
}

impl Sse {
    /// `default` is for where nothing is said.
    pub fn parse(
        text: Option<&str>,
        kms_key_id: Option<&str>,
        default: Sse,
    ) -> Result<Sse, SseError> {
        let sse = match text {
            Some("AES256") => Sse::Aes256,
            Some("aws:kms") => Sse::Kms { key_id: kms_key_id.map(str::to_owned) },
            Some("none") => Sse::Unsaid,
            None => default,
            Some(other) => return Err(SseError::Unknown(other.to_owned())),
        };
        match (kms_key_id, &sse) {
            (None, _) | (Some(_), Sse::Kms { .. }) => Ok(sse),
            (Some(_), Sse::Unsaid | Sse::Aes256) => Err(SseError::KeyWithoutKms),
        }
    }
}

impl SseError {
    /// The key of the configuration that is wrong.
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
    fn encryption_is_read_from_words() {
        let key_id = |id: &str| Sse::Kms { key_id: Some(id.to_owned()) };
        #[rustfmt::skip]
        let cases = [
            (None,            None,       Ok(Sse::Aes256)),
            (Some("none"),    None,       Ok(Sse::Unsaid)),
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
    fn an_endpoint_is_a_url() {
        assert_eq!(parse_endpoint(None), Ok(None));
        assert_eq!(parse_endpoint(Some("")), Ok(None));
        assert!(parse_endpoint(Some("https://s3.example.com")).unwrap().is_some());
        for text in ["s3.example.com", "http://", "https:///path", "http://:9000", "ftp://a"] {
            let err = parse_endpoint(Some(text)).unwrap_err();
            assert_eq!(err, EndpointError::NoUrl(text.to_owned()));
        }
        for text in ["http://user:hunter2@host", "https://user@host/x", "user:hunter2@host"] {
            let err = parse_endpoint(Some(text)).unwrap_err();
            assert_eq!(err, EndpointError::Credentials);
            assert!(!err.to_string().contains("hunter2"));
        }
    }
}

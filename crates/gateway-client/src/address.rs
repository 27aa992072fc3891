//! Checks the address of the gateway and the key for it, wherever they come from. Pure.

use std::net::IpAddr;

use reqwest::Url;
use s3up_cli::Secret;

/// A rule that an address breaks. The caller adds how to allow it, if that is possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("expected a URL, found {found:?}: {what}")]
    NoUrl { found: String, what: String },
    #[error("expected https, found http, which would send the client key in the clear")]
    Plaintext,
    #[error("expected a URL that starts with https://")]
    Scheme,
    #[error("expected a URL with a host name")]
    NoHost,
    #[error("expected a URL without a user name")]
    UserName,
    #[error("expected a URL without ? and #")]
    Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a key of printable ASCII without spaces; create one with `s3up-server keygen`")]
pub struct KeyFormatError;

/// Parses the address of the gateway. `insecure` allows http to another host.
pub fn parse(text: &str, insecure: bool) -> Result<Url, AddressError> {
    let url = Url::parse(text)
        .map_err(|err| AddressError::NoUrl { found: text.to_owned(), what: err.to_string() })?;
    match url.scheme() {
        "https" => {}
        "http" if insecure || is_loopback(&url) => {}
        "http" => return Err(AddressError::Plaintext),
        _ => return Err(AddressError::Scheme),
    }
    if !url.has_host() {
        return Err(AddressError::NoHost);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::UserName);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::Query);
    }
    Ok(url)
}

/// Checks that a header can carry the key.
pub fn check_key(key: &Secret) -> Result<(), KeyFormatError> {
    let key = key.expose();
    let is_valid = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid { Ok(()) } else { Err(KeyFormatError) }
}

/// True for a loopback address and for `localhost`. Other names may lead elsewhere.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

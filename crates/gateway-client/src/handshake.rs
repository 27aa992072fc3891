//! Explains why no connection to the gateway was made, where the cause is known to
//! be a wrong setting.
//!
//! The libraries report the technical cause deep in a chain of errors, or in a debug
//! form. A person needs the certificate, the key and the next step.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// Name that the certificate library has for a CA certificate of a server.
const CA_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Returns what is wrong and what to do; `None` if the cause is not about settings.
pub(crate) fn explain(err: &reqwest::Error) -> Option<String> {
    find::<rustls::Error>(err)
        .map(of_tls)
        .or_else(|| find::<hyper::Error>(err).filter(|err| err.is_parse()).map(|_| not_http()))
}

fn not_http() -> String {
    "the server does not answer in HTTP; if its port is for TLS, its URL has to start with https://"
        .to_owned()
}

fn of_tls(err: &rustls::Error) -> String {
    if let rustls::Error::InvalidCertificate(err) = err {
        let advice = advice(err).map_or_else(|| err.to_string(), str::to_owned);
        return format!("the certificate of the gateway is refused: {advice}");
    }
    if let rustls::Error::InvalidMessage(_) = err {
        return "the server does not answer in TLS; if it has none, its URL has to start with \
                http:// (see insecure)"
            .to_owned();
    }
    format!("TLS failed: {err}; check the certificate of the gateway")
}

fn advice(err: &CertificateError) -> Option<&'static str> {
    use CertificateError::*;
    if matches!(err, UnknownIssuer) {
        return Some(
            "it is not signed by an authority that this host trusts; set ca_file to the \
             certificate of its authority",
        );
    }
    if matches!(err, Expired | ExpiredContext { .. }) {
        return Some("it has expired; renew it, or check the clock of this host");
    }
    if matches!(err, NotValidYet | NotValidYetContext { .. }) {
        return Some("it is not valid yet; check the clocks of this host and of the gateway");
    }
    if matches!(err, NotValidForName | NotValidForNameContext { .. }) {
        return Some(
            "it is for another name than the host in the URL; use a name that it contains",
        );
    }
    if matches!(err, InvalidPurpose | InvalidPurposeContext { .. }) {
        return Some("it is not for a server; create one with the extended key usage serverAuth");
    }
    let is_authority = matches!(err, Other(other) if other.to_string().contains(CA_AS_SERVER));
    is_authority.then_some(
        "it is the certificate of an authority (CA:TRUE), as `openssl req -x509` creates it, and no \
         server may use that; create it again with -addext basicConstraints=critical,CA:FALSE",
    )
}

/// Returns the first error of type `E` in a chain. An error of the system may
/// contain another one, which it leaves out of its chain.
fn find<'e, E: Error + 'static>(err: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(err);
    while let Some(err) = next {
        if let Some(found) = err.downcast_ref() {
            return Some(found);
        }
        let inner = err.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => err.source(),
        };
    }
    None
}

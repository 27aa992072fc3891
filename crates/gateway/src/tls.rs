//! The TLS certificate of the gateway and its private key.
//!
//! They can be replaced while the gateway runs: new connections get the new certificate, and open
//! ones keep theirs.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

const CERT: &str = "server.tls.cert_file";
const KEY: &str = "server.tls.key_file";

/// The PEM files of the certificate chain and of the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read {path}")]
    Read { key: &'static str, path: String, source: io::Error },
    #[error("{path}: expected {what} in PEM format")]
    Pem { key: &'static str, path: String, what: &'static str },
    #[error("the private key in {private} does not match the certificate in {cert}")]
    Mismatch { cert: String, private: String, source: rustls::Error },
    #[error(
        "expected an X.509 certificate of version 3 in {cert}, found version 1; create it with \
         extensions, as `openssl req -x509` does"
    )]
    Version1 { cert: String },
    #[error(
        "the certificate in {cert} cannot be used; examine it with `openssl x509 -noout -text -in {cert}`"
    )]
    Certificate { cert: String, source: rustls::Error },
}

impl TlsError {
    /// Returns the configuration key that names the file.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            TlsError::Read { key, .. } | TlsError::Pem { key, .. } => key,
            TlsError::Mismatch { .. } => KEY,
            TlsError::Version1 { .. } | TlsError::Certificate { .. } => CERT,
        }
    }
}

/// The certificate that new connections get.
#[derive(Debug, Default)]
pub(crate) struct Certificate(RwLock<Option<(TlsFiles, Arc<CertifiedKey>)>>);

impl Certificate {
    /// Puts a certificate into force. Returns true if it differs from the previous one.
    pub(crate) fn replace(&self, files: TlsFiles, key: CertifiedKey) -> bool {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let differs = current.as_ref().is_none_or(|(_, current)| current.cert != key.cert);
        *current = Some((files, Arc::new(key)));
        differs
    }

    /// Returns true if the gateway serves TLS itself.
    pub(crate) fn is_present(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns the end of the validity of the certificate which is in force.
    pub(crate) fn ends_at(&self) -> Option<SystemTime> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (_, key) = current.as_ref()?;
        not_after(key.cert.first()?)
    }

    /// Returns the files of the certificate which is in force. Without TLS there is none.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(files, _)| files.clone())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(_, key)| key.clone())
    }
}

/// Returns an acceptor that serves the certificate which is in force.
pub(crate) fn acceptor(certificate: &Arc<Certificate>) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_no_client_auth();
    let mut config = config.with_cert_resolver(certificate.clone());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Reads certificate and private key, and checks that they belong together.
pub(crate) fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let (cert, private) = (files.cert.display().to_string(), files.key.display().to_string());
    let wrong = |key, path: &str, what| TlsError::Pem { key, path: path.to_owned(), what };
    let (own, issuers) = chain(&cert)?;
    let private_pem = read(KEY, &private)?;
    if is_version_1(&own) {
        return Err(TlsError::Version1 { cert });
    }
    let chain = std::iter::once(own).chain(issuers).collect();
    let private_der = PrivateKeyDer::from_pem_slice(&private_pem)
        .map_err(|_| wrong(KEY, &private, "a private key"))?;
    let key = CertifiedKey::from_der(chain, private_der, &aws_lc_rs::default_provider());
    key.map_err(|source| {
        if matches!(source, rustls::Error::InvalidCertificate(_)) {
            TlsError::Certificate { cert, source }
        } else {
            TlsError::Mismatch { cert, private, source }
        }
    })
}

/// Reads the certificate of the gateway.
pub(crate) fn own_certificate(files: &TlsFiles) -> Result<CertificateDer<'static>, TlsError> {
    chain(&files.cert.display().to_string()).map(|(own, _)| own)
}

/// Reads the certificate of the gateway, and those of its issuers.
fn chain(cert: &str) -> Result<(CertificateDer<'static>, Vec<CertificateDer<'static>>), TlsError> {
    let pem = read(CERT, cert)?;
    let none = || TlsError::Pem { key: CERT, path: cert.to_owned(), what: "a certificate" };
    let mut chain = CertificateDer::pem_slice_iter(&pem);
    let own = chain.next().ok_or_else(none)?.map_err(|_| none())?;
    let issuers = chain.collect::<Result<_, _>>().map_err(|_| none())?;
    Ok((own, issuers))
}

/// Returns the end of the validity of a certificate.
pub(crate) fn not_after(der: &[u8]) -> Option<SystemTime> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Returns true if a certificate has no field `version`, which is the first one of
/// `tbsCertificate` (RFC 5280, section 4.1) and has the tag `[0]`.
fn is_version_1(der: &[u8]) -> bool {
    const VERSION: u8 = 0xa0;
    let fields = sequence(der).and_then(sequence);
    fields.and_then(|fields| fields.first()).is_some_and(|tag| *tag != VERSION)
}

/// Returns the elements of the SEQUENCE at the start of `der`.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    let [SEQUENCE, length, rest @ ..] = der else { return None };
    // From 0x80 on, the low bits are the number of bytes of the length.
    rest.get(usize::from(length.checked_sub(0x80).unwrap_or_default())..)
}

fn read(key: &'static str, path: &str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { key, path: path.to_owned(), source })
}

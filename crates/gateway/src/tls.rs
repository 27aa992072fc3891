//! The certificate of the gateway.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read {path}: {source}")]
    Read { key: &'static str, path: String, source: io::Error },
    #[error("{path}: expected {what} in PEM form")]
    Pem { key: &'static str, path: String, what: &'static str },
    #[error("{cert} and {private} do not go together: {source}")]
    Pair { cert: String, private: String, source: rustls::Error },
}

const CERT: &str = "server.tls.cert_file";
const KEY: &str = "server.tls.key_file";

impl TlsError {
    /// The key of the configuration that names the file.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            TlsError::Read { key, .. } | TlsError::Pem { key, .. } => key,
            TlsError::Pair { .. } => KEY,
        }
    }
}

/// Reads certificate and key.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let (cert, private) = (files.cert.display().to_string(), files.key.display().to_string());
    let cert_pem = read(CERT, &cert)?;
    let private_pem = read(KEY, &private)?;
    let wrong = |key, path: &str, what| TlsError::Pem { key, path: path.to_owned(), what };
    let no_certificate = || wrong(CERT, &cert, "a certificate");
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&cert_pem)
        .collect::<Result<_, _>>()
        .map_err(|_| no_certificate())?;
    if chain.is_empty() {
        return Err(no_certificate());
    }
    let private_der = PrivateKeyDer::from_pem_slice(&private_pem)
        .map_err(|_| wrong(KEY, &private, "a private key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private_der));
    let mut config = config.map_err(|source| TlsError::Pair { cert, private, source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(key: &'static str, path: &str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { key, path: path.to_owned(), source })
}

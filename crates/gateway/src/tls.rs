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
    #[error("read {path}")]
    Read { path: String, source: io::Error },
    #[error("{path}: expected {what} in PEM form")]
    Pem { path: String, what: &'static str },
    #[error("{cert} and {key} do not go together")]
    Pair { cert: String, key: String, source: rustls::Error },
}

/// Reads certificate and key.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let (cert, key) = (files.cert.display().to_string(), files.key.display().to_string());
    let read = |path: &str| {
        std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
    };
    let wrong = |path: &str, what| TlsError::Pem { path: path.to_owned(), what };
    let (cert_pem, key_pem) = (read(&cert)?, read(&key)?);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&cert_pem)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong(&cert, "a certificate"))?;
    if chain.is_empty() {
        return Err(wrong(&cert, "a certificate"));
    }
    let private =
        PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| wrong(&key, "a private key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|source| TlsError::Pair { cert, key, source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

//! The HTTP client, and how a request without a long body is sent.

use std::path::{Path, PathBuf};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder, Response, Url, redirect};
use s3up_cli::Secret;
use s3up_core::error_chain;

use crate::error::{ClientError, GatewayError};
use crate::timeouts;

/// Address of the gateway, and the key for it.
#[derive(Clone, Debug)]
pub struct GatewayAccess {
    pub url: Url,
    pub api_key: Secret,
    /// If set, no other certificate authority is trusted.
    pub ca_file: Option<PathBuf>,
}

impl GatewayAccess {
    /// Returns the URL of the gateway without a trailing slash.
    pub fn base(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }
}

/// Returns a client that sends the key with each request. `program` is the user agent, like `s3up/0.1.0`.
pub fn client(access: &GatewayAccess, program: &str) -> Result<Client, ClientError> {
    let mut builder = Client::builder()
        .user_agent(program)
        .default_headers(headers(access)?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(timeouts::CONNECT)
        .tcp_keepalive(timeouts::KEEPALIVE)
        .tcp_user_timeout(timeouts::PEER_GONE)
        .pool_idle_timeout(timeouts::POOL_IDLE);
    if let Some(path) = &access.ca_file {
        builder = builder.tls_certs_only(certificates(path)?);
    }
    builder.build().map_err(|err| match &access.ca_file {
        // Nothing else that is set here can be wrong.
        Some(path) => ClientError::CaFile { path: path.clone(), what: error_chain(&err) },
        None => ClientError::Build(err),
    })
}

/// Sends a request whose body is short, and waits for the head of its answer.
pub async fn send(request: RequestBuilder) -> Result<Response, GatewayError> {
    match tokio::time::timeout(timeouts::IDLE, request.send()).await {
        Ok(sent) => sent.map_err(GatewayError::unreachable),
        Err(_) => Err(GatewayError::Stalled(timeouts::IDLE)),
    }
}

fn headers(access: &GatewayAccess) -> Result<HeaderMap, ClientError> {
    let bearer = format!("Bearer {}", access.api_key.expose());
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| ClientError::Key)?;
    bearer.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let wrong = |what: &str| ClientError::CaFile { path: path.to_owned(), what: what.to_owned() };
    let pem = std::fs::read(path).map_err(|err| wrong(&err.to_string()))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|_| wrong("expected PEM certificates"))?;
    if certificates.is_empty() {
        return Err(wrong("expected a certificate, found none"));
    }
    Ok(certificates)
}

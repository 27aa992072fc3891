//! The typed client of the gateway's API.
//!
//! The key goes to the configured gateway and nowhere else: no redirect is
//! followed, no proxy is taken from the environment, and with `server.ca_file`
//! no other authority is trusted. A transfer may take as long as it needs, but
//! it has to move.

mod answer;
mod error;
mod progress;

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue};
use reqwest::{Body, Certificate, RequestBuilder, Response, redirect};
use s3up_core::wire::{
    ExistsResponse, MODE_HEADER, MTIME_NS_HEADER, REPR_DIGEST_HEADER, UploadResponse,
};
use s3up_core::{RemotePath, Sha256Digest};

use self::progress::Progress;
use crate::config::Server;

pub use self::error::{ClientError, GatewayError, Refusal, one_line};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// A transfer in which nothing moves for so long is broken. Longer than the
/// gateway retries S3 (30 s) and waits for a buffer (10 s) together.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Shorter than the 10 s after which the gateway closes an idle connection, so
/// that no upload starts on one that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(8);

/// So much of a refused body the gateway reads before it closes the connection.
const DRAINED_BYTES: u64 = 1 << 20;
/// Ample for a refusal that is decided by the head alone. The HTTP client does
/// not tell of a `100 Continue`, so the time is waited out.
const HOLD: Duration = Duration::from_secs(1);

/// All but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Debug)]
pub struct Gateway {
    http: reqwest::Client,
    /// Without a slash at its end.
    base: String,
}

/// One file to store.
#[derive(Debug)]
pub struct Put<'p> {
    pub path: &'p RemotePath,
    pub bytes: u64,
    pub sha256: Sha256Digest,
    pub mtime_ns: i64,
    /// Permission bits.
    pub mode: u32,
    pub haste: Haste,
}

/// When the body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    AtOnce,
    /// Asks the gateway to look at the head first (`Expect: 100-continue`), and
    /// holds the body back for a moment. A body that is refused while it is
    /// sent may break the connection before the refusal is read; so this is for
    /// a second try.
    AfterTheHead,
}

/// A file on its way to us.
#[derive(Debug)]
pub struct Download {
    response: Response,
    pub bytes: Option<u64>,
}

impl Gateway {
    pub fn new(server: &Server) -> Result<Gateway, ClientError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("s3up/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(server)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE);
        if let Some(path) = &server.ca_file {
            builder = builder.tls_certs_only(certificates(path)?);
        }
        let http = builder.build().map_err(ClientError::Build)?;
        Ok(Gateway { http, base: server.url.as_str().trim_end_matches('/').to_owned() })
    }

    /// Stores a file whose whole content is in memory.
    pub async fn put_bytes(
        &self,
        put: &Put<'_>,
        body: Bytes,
    ) -> Result<UploadResponse, GatewayError> {
        self.put(put, progress::pieces(body)).await
    }

    /// Stores a file from a stream, which has to give exactly `put.bytes`.
    pub async fn put_stream(
        &self,
        put: &Put<'_>,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<UploadResponse, GatewayError> {
        self.put(put, body).await
    }

    async fn put(
        &self,
        put: &Put<'_>,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<UploadResponse, GatewayError> {
        let progress = Progress::start();
        let moving = progress.clone();
        let body = body.inspect_ok(move |_| moving.moved());
        let hold = put.haste == Haste::AfterTheHead && put.bytes > DRAINED_BYTES;
        let body = match hold {
            false => Body::wrap_stream(body),
            true => Body::wrap_stream(progress::held_back(body, HOLD)),
        };
        let mut request = self
            .http
            .put(self.url("files", put.path))
            .header(CONTENT_LENGTH, put.bytes)
            .header(REPR_DIGEST_HEADER, put.sha256.to_repr_digest())
            .header(MTIME_NS_HEADER, put.mtime_ns)
            .header(MODE_HEADER, format!("{:04o}", put.mode))
            .body(body);
        if hold {
            request = request.header(EXPECT, "100-continue");
        }
        let response = progress.watch(IDLE_TIMEOUT, request.send()).await?;
        answer::json(response).await
    }

    /// What the gateway knows of a file.
    pub async fn exists(&self, path: &RemotePath) -> Result<ExistsResponse, GatewayError> {
        let request =
            self.http.get(format!("{}/exists", self.base)).query(&[("path", path.as_str())]);
        answer::json(send(request).await?).await
    }

    pub async fn download(&self, path: &RemotePath) -> Result<Download, GatewayError> {
        let request =
            self.http.get(format!("{}/download", self.base)).query(&[("path", path.as_str())]);
        let response = answer::good(send(request).await?).await?;
        let bytes = response.content_length();
        Ok(Download { response, bytes })
    }

    fn url(&self, call: &str, path: &RemotePath) -> String {
        let mut url = format!("{}/{call}", self.base);
        for segment in path.as_str().split('/') {
            url.push('/');
            url.extend(utf8_percent_encode(segment, SEGMENT));
        }
        url
    }
}

impl Download {
    /// The next bytes, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, GatewayError> {
        match tokio::time::timeout(IDLE_TIMEOUT, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(GatewayError::unreachable),
            Err(_) => Err(GatewayError::Stalled),
        }
    }
}

async fn send(request: RequestBuilder) -> Result<Response, GatewayError> {
    Progress::start().watch(IDLE_TIMEOUT, request.send()).await
}

fn headers(server: &Server) -> Result<HeaderMap, ClientError> {
    let bearer = format!("Bearer {}", server.api_key.expose());
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| ClientError::Key)?;
    bearer.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let wrong = |what: &str| ClientError::CaFile { path: path.to_owned(), what: what.to_owned() };
    let pem = std::fs::read(path).map_err(|err| wrong(&err.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| wrong("expected PEM"))?;
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use s3up_cli::Secret;

    use super::*;

    #[test]
    fn each_segment_is_encoded_by_itself() {
        #[rustfmt::skip]
        let cases = [
            ("a/b.txt",       "http://gw:1/files/a/b.txt"),
            ("a b/c+d",       "http://gw:1/files/a%20b/c%2Bd"),
            ("100%/?#&",      "http://gw:1/files/100%25/%3F%23%26"),
            ("caf%E9",        "http://gw:1/files/caf%25E9"),
            ("caf\u{e9}",     "http://gw:1/files/caf%C3%A9"),
            ("%2e%2e/x",      "http://gw:1/files/%252e%252e/x"),
            (".../a..",       "http://gw:1/files/.../a.."),
        ];
        let gateway = gateway("http://gw:1/");
        for (path, want) in cases {
            let url = gateway.url("files", &RemotePath::parse(path).unwrap());
            assert_eq!(url, want);
            assert_eq!(reqwest::Url::parse(&url).unwrap().as_str(), want, "HTTP changes nothing");
        }
    }

    #[test]
    fn a_gateway_may_live_under_a_path() {
        let url = gateway("https://host/backup/").url("files", &RemotePath::parse("a").unwrap());
        assert_eq!(url, "https://host/backup/files/a");
    }

    #[test]
    fn the_key_is_in_no_debug_output() {
        let shown = format!("{:?}", gateway("http://gw:1"));
        assert!(!shown.contains("sk_live"), "{shown}");
    }

    fn gateway(url: &str) -> Gateway {
        let server = Server {
            url: reqwest::Url::parse(url).unwrap(),
            api_key: Secret::new("sk_live_secret".to_owned()),
            ca_file: None,
        };
        Gateway::new(&server).unwrap()
    }
}

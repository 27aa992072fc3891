//! Requests to the gateway, one after the other: the time of each.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode, header};

use super::gateway::{Body, connect};

/// Requests before the first one that counts.
const WARM_UP: usize = 20;
/// Length of a small upload: about a photo preview.
const UPLOAD_BYTES: usize = 10_000;

/// A request whose time is measured.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    Exists,
    Upload,
}

impl Call {
    pub const ALL: [Call; 2] = [Call::Exists, Call::Upload];

    pub fn name(self) -> &'static str {
        match self {
            Call::Exists => "GET /exists",
            Call::Upload => "PUT of 10 KB",
        }
    }
}

/// Returns a metric without labels. The connection is a new one, because the gateway ends those that are idle for long.
pub async fn metric(gateway: &str, admin_key: &str, name: &str) -> anyhow::Result<f64> {
    let mut client = QuietClient::connect(gateway, admin_key).await?;
    let text = client.send("GET", "/metrics", Empty::new().boxed()).await?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.with_context(|| format!("expected a metric {name}"))?;
    value.parse().with_context(|| format!("read the metric {name}"))
}

/// A client that sends one request at a time.
pub struct QuietClient {
    host: String,
    authorization: String,
    connection: SendRequest<Body>,
    sent: usize,
}

impl QuietClient {
    pub async fn connect(gateway: &str, api_key: &str) -> anyhow::Result<QuietClient> {
        let host =
            gateway.strip_prefix("http://").context("expected a URL that starts with http://")?;
        Ok(QuietClient {
            host: host.to_owned(),
            authorization: format!("Bearer {api_key}"),
            connection: connect(host).await?,
            sent: 0,
        })
    }

    /// Returns the times of `count` requests.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    pub async fn times(&mut self, call: Call, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        for n in 0..WARM_UP + count {
            self.sent += 1;
            let (method, url, body) = match call {
                Call::Exists => ("GET", "/exists?path=quiet-1".to_owned(), Empty::new().boxed()),
                Call::Upload => {
                    let bytes = Bytes::from_static(&[7; UPLOAD_BYTES]);
                    ("PUT", format!("/files/quiet-{}", self.sent), Full::new(bytes).boxed())
                }
            };
            let began = Instant::now();
            self.send(method, &url, body).await?;
            if n >= WARM_UP {
                times.push(began.elapsed());
            }
        }
        Ok(times)
    }

    async fn send(&mut self, method: &str, url: &str, body: Body) -> anyhow::Result<String> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, &self.authorization)
            .body(body)?;
        let answer = self.connection.send_request(request).await?;
        let status = answer.status();
        let text = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        ensure!(status == StatusCode::OK, "{method} {url}: expected 200, found {status}: {text}");
        Ok(text)
    }
}

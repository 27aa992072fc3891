//! The client of the gateway: uploads, downloads, and questions about files.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_LENGTH, EXPECT};
use reqwest::{Body, Method, Response};
use s3up_core::wire::{
    Accepted, ExistsQuery, ExistsResponse, HOT_HEADER, Heartbeat, Listing, MODE_HEADER,
    MTIME_NS_HEADER, ProofQuery, Proofs, REPR_DIGEST_HEADER, Readiness, Report, UploadResponse,
    Verdicts, Versions,
};
use s3up_core::{RemotePath, Sha256Digest};
pub use s3up_gateway_client::http::GatewayAccess;
use s3up_gateway_client::http::{self, send};
use s3up_gateway_client::response;

use super::bandwidth::BandwidthLimit;
use super::error::{ClientError, GatewayError};
use super::idle_timer::{self, IdleTimer};
use super::timeouts;

const PROGRAM: &str = concat!("s3up/", env!("CARGO_PKG_VERSION"));
/// Number of bytes of a refused body that the gateway reads before it closes the
/// connection.
const DRAINED_BYTES: u64 = 1 << 20;
/// Time that a delayed body waits for a refusal of its head. The HTTP client does
/// not report `100 Continue`, so an accepted upload waits for all of it.
const BODY_DELAY: Duration = Duration::from_secs(1);

/// Maximum length of a page of `GET /list` and `GET /versions`: a thousand of the longest paths,
/// escaped in JSON.
const LISTING_BYTES_MAX: usize = 8 << 20;
/// Maximum length of the answer of `POST /exists`, for the same reason.
const VERDICTS_BYTES_MAX: usize = 8 << 20;
/// Characters to escape in a path segment: all but the unreserved ones of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Debug)]
pub struct GatewayClient {
    pub(super) http: reqwest::Client,
    /// URL of the gateway without a trailing slash.
    pub(super) base: String,
    pub(super) bandwidth: BandwidthLimit,
}

/// The head of one upload.
#[derive(Debug)]
pub struct PutRequest<'p> {
    pub path: &'p RemotePath,
    pub bytes: u64,
    pub sha256: Sha256Digest,
    pub mtime_ns: i64,
    /// Permission bits.
    pub mode: u32,
    pub completeness: Completeness,
    pub body_start: BodyStart,
}

/// The head of a change of metadata.
#[derive(Debug)]
pub struct PatchRequest<'p> {
    pub path: &'p RemotePath,
    /// SHA-256 of the stored file.
    pub sha256: Sha256Digest,
    pub mtime_ns: i64,
    /// Permission bits.
    pub mode: u32,
}

/// State of the file when it was read. With `overwrite: never` the gateway replaces a
/// file only if it was hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    Settled,
    /// A writer still had the file open, or it never settled.
    Hot,
}

/// Start of the body of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStart {
    Immediate,
    /// Asks the gateway to check the head first (`Expect: 100-continue`) and
    /// delays the body. A refusal while the body is sent may break the connection
    /// before it can be read, so a second attempt starts this way.
    Delayed,
}

/// A running download.
#[derive(Debug)]
pub struct Download {
    response: Response,
    pub bytes: Option<u64>,
    /// Metadata of the file on its host; `None` if the gateway does not tell it.
    pub mtime_ns: Option<i64>,
    pub mode: Option<u32>,
    /// SHA-256 of this version; `None` if the gateway does not know it.
    pub sha256: Option<Sha256Digest>,
}

impl GatewayClient {
    pub fn new(access: &GatewayAccess) -> Result<GatewayClient, ClientError> {
        let (http, base) = (http::client(access, PROGRAM)?, access.base());
        Ok(GatewayClient { http, base, bandwidth: BandwidthLimit::default() })
    }

    /// Limits all uploads of this client and its clones.
    pub fn with_bandwidth(self, bandwidth: BandwidthLimit) -> GatewayClient {
        GatewayClient { bandwidth, ..self }
    }

    /// Stores a file whose content is in memory.
    pub async fn put_bytes(
        &self,
        put: &PutRequest<'_>,
        body: Bytes,
    ) -> Result<UploadResponse, GatewayError> {
        self.put(put, idle_timer::pieces(body)).await
    }

    /// Stores a file from a stream, which must yield exactly `put.bytes` bytes.
    pub async fn put_stream(
        &self,
        put: &PutRequest<'_>,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<UploadResponse, GatewayError> {
        self.put(put, body).await
    }

    async fn put(
        &self,
        put: &PutRequest<'_>,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<UploadResponse, GatewayError> {
        let timer = IdleTimer::start();
        let body_timer = timer.clone();
        let body = self.bandwidth.clone().slow_down(body);
        let body = body.inspect_ok(move |_| body_timer.note_progress());
        let delay = put.body_start == BodyStart::Delayed && put.bytes > DRAINED_BYTES;
        let body = match delay {
            false => Body::wrap_stream(body),
            true => Body::wrap_stream(idle_timer::delayed(body, BODY_DELAY)),
        };
        let mut request = self
            .http
            .put(self.url("files", put.path))
            .header(CONTENT_LENGTH, put.bytes)
            .header(REPR_DIGEST_HEADER, put.sha256.to_repr_digest())
            .header(MTIME_NS_HEADER, put.mtime_ns)
            .header(MODE_HEADER, format!("{:04o}", put.mode))
            .body(body);
        if put.completeness == Completeness::Hot {
            request = request.header(HOT_HEADER, "true");
        }
        if delay {
            request = request.header(EXPECT, "100-continue");
        }
        let response = timer.run(timeouts::UPLOAD_IDLE, request.send()).await?;
        response::json(response).await
    }

    /// Gives a stored file other metadata, without its content.
    pub async fn patch(&self, patch: &PatchRequest<'_>) -> Result<UploadResponse, GatewayError> {
        let request = self
            .http
            .patch(self.url("files", patch.path))
            .header(REPR_DIGEST_HEADER, patch.sha256.to_repr_digest())
            .header(MTIME_NS_HEADER, patch.mtime_ns)
            .header(MODE_HEADER, format!("{:04o}", patch.mode));
        // The gateway makes as many requests to S3 as for an upload.
        let response = IdleTimer::start().run(timeouts::UPLOAD_IDLE, request.send()).await?;
        response::json(response).await
    }

    /// Asks whether the gateway has a file, and which version.
    pub async fn exists(&self, path: &RemotePath) -> Result<ExistsResponse, GatewayError> {
        let request =
            self.http.get(format!("{}/exists", self.base)).query(&[("path", path.as_str())]);
        response::json(send(request).await?).await
    }

    /// Asks about many files in one call.
    pub async fn exists_many(&self, query: &ExistsQuery) -> Result<Verdicts, GatewayError> {
        let request = self.http.post(format!("{}/exists", self.base)).json(query);
        response::json_of(send(request).await?, VERDICTS_BYTES_MAX).await
    }

    /// Asks what S3 itself reports about many files.
    pub async fn prove(&self, query: &ProofQuery) -> Result<Proofs, GatewayError> {
        let request = self.http.post(format!("{}/proof", self.base)).json(query);
        response::json_of(send(request).await?, VERDICTS_BYTES_MAX).await
    }

    /// Returns one page of the files below `prefix`; `cursor` is that of the page before.
    pub async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Listing, GatewayError> {
        let request = self.http.get(format!("{}/list", self.base)).query(&[("prefix", prefix)]);
        let request = match cursor {
            Some(cursor) => request.query(&[("cursor", cursor)]),
            None => request,
        };
        response::json_of(send(request).await?, LISTING_BYTES_MAX).await
    }

    /// Returns the versions of one file, the newest first.
    pub async fn versions(&self, path: &RemotePath) -> Result<Versions, GatewayError> {
        let request =
            self.http.get(format!("{}/versions", self.base)).query(&[("path", path.as_str())]);
        response::json_of(send(request).await?, LISTING_BYTES_MAX).await
    }

    /// Returns one page of the versions of all files below `prefix`.
    pub async fn versions_below(
        &self,
        prefix: &str,
        cursor: Option<&str>,
    ) -> Result<Versions, GatewayError> {
        let request = self.http.get(format!("{}/versions", self.base)).query(&[("prefix", prefix)]);
        let request = match cursor {
            Some(cursor) => request.query(&[("cursor", cursor)]),
            None => request,
        };
        response::json_of(send(request).await?, LISTING_BYTES_MAX).await
    }

    /// Asks whether the gateway works and whether its bucket keeps versions.
    pub async fn readiness(&self) -> Result<Readiness, GatewayError> {
        let request = self.http.get(format!("{}/ready", self.base));
        response::json_of_any_status(send(request).await?).await
    }

    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<Accepted, GatewayError> {
        let request = self.http.post(format!("{}/heartbeat", self.base)).json(heartbeat);
        response::json(send(request).await?).await
    }

    pub async fn report(&self, report: &Report) -> Result<Accepted, GatewayError> {
        let request = self.http.post(format!("{}/report", self.base)).json(report);
        response::json(send(request).await?).await
    }

    pub async fn download(&self, path: &RemotePath) -> Result<Download, GatewayError> {
        self.download_version(path, None).await
    }

    /// Downloads one version of a file; without `version_id`, the newest.
    pub async fn download_version(
        &self,
        path: &RemotePath,
        version_id: Option<&str>,
    ) -> Result<Download, GatewayError> {
        self.version(Method::GET, path, version_id).await
    }

    /// Returns the facts of one version of a file, without its content.
    pub async fn head_version(
        &self,
        path: &RemotePath,
        version_id: Option<&str>,
    ) -> Result<Download, GatewayError> {
        self.version(Method::HEAD, path, version_id).await
    }

    async fn version(
        &self,
        method: Method,
        path: &RemotePath,
        version_id: Option<&str>,
    ) -> Result<Download, GatewayError> {
        let url = format!("{}/download", self.base);
        let request = self.http.request(method, url).query(&[("path", path.as_str())]);
        let request = match version_id {
            Some(id) => request.query(&[("version_id", id)]),
            None => request,
        };
        let response = response::check_status(send(request).await?).await?;
        let bytes = response.content_length();
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let mtime_ns = header(MTIME_NS_HEADER).and_then(|text| text.parse().ok());
        let mode = header(MODE_HEADER).and_then(|text| u32::from_str_radix(text, 8).ok());
        let digest = header(REPR_DIGEST_HEADER).map(Sha256Digest::parse_repr_digest);
        let sha256 = digest.and_then(Result::ok).flatten();
        Ok(Download { bytes, mtime_ns, mode, sha256, response })
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
    /// Returns the next bytes, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, GatewayError> {
        match tokio::time::timeout(timeouts::IDLE, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(GatewayError::unreachable),
            Err(_) => Err(GatewayError::Stalled(timeouts::IDLE)),
        }
    }
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
            assert_eq!(
                reqwest::Url::parse(&url).unwrap().as_str(),
                want,
                "the URL parser changes nothing"
            );
        }
    }

    #[test]
    fn a_gateway_may_have_a_path_in_its_url() {
        let url = gateway("https://host/backup/").url("files", &RemotePath::parse("a").unwrap());
        assert_eq!(url, "https://host/backup/files/a");
    }

    #[test]
    fn debug_output_does_not_show_the_key() {
        let shown = format!("{:?}", gateway("http://gw:1"));
        assert!(!shown.contains("sk_live"), "{shown}");
    }

    fn gateway(url: &str) -> GatewayClient {
        let access = GatewayAccess {
            url: reqwest::Url::parse(url).unwrap(),
            api_key: Secret::new("sk_live_secret".to_owned()),
            ca_file: None,
        };
        GatewayClient::new(&access).unwrap()
    }
}

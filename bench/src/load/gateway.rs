//! Uploads into the gateway by plain HTTP: the small objects of [`super::objects`],
//! or long ones; or questions whether they are stored.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use s3up_core::Sha256Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::objects::{Object, Objects};
use crate::units::MIB;

pub(super) type Body = BoxBody<Bytes, std::convert::Infallible>;

#[derive(Args)]
pub struct Upload {
    /// URL of the gateway (http://)
    #[arg(long)]
    gateway: String,
    /// Client key
    #[arg(long)]
    api_key: String,
    /// Number of objects
    #[arg(long)]
    count: u64,
    /// Number of concurrent uploads
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// Announce the SHA-256 of each object
    #[arg(long)]
    digest: bool,
    /// Ask whether each object exists instead of uploading it
    #[arg(long)]
    exists: bool,
    /// Send a request again that was refused because the client has too many
    #[arg(long)]
    retry_refused: bool,
    /// Length of each object in MiB, instead of 4 to 64 KiB
    #[arg(long)]
    mib: Option<u64>,
    /// Directory of the remote paths
    #[arg(long)]
    directory: String,
    /// Number of uploads of 1 GiB by another client that send 4 KiB a second meanwhile
    #[arg(long, default_value_t = 0, requires = "slow_key")]
    slow: usize,
    /// Key of the other client
    #[arg(long)]
    slow_key: Option<String>,
}

/// Pause after a refusal: the gateway asks for a second.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// Pieces of a slow upload, one each second.
const SLOW_PIECE_BYTES: usize = 4 << 10;

pub async fn upload(args: &Upload) -> anyhow::Result<()> {
    let objects = Objects::new(args.count);
    let host =
        args.gateway.strip_prefix("http://").context("expected a URL that starts with http://")?;
    // Dropped at the end, which breaks them off.
    let mut slow = JoinSet::new();
    for number in 0..args.slow {
        let key = args.slow_key.as_deref().unwrap_or_default();
        slow.spawn(send_slowly(host.to_owned(), key.to_owned(), number));
    }
    let mut tasks = JoinSet::new();
    for _ in 0..args.concurrency {
        let client = Client {
            host: host.to_owned(),
            authorization: format!("Bearer {}", args.api_key),
            directory: args.directory.clone(),
            digest: args.digest,
            exists: args.exists,
            retry_refused: args.retry_refused,
            mib: args.mib,
        };
        tasks.spawn(client.send_all(objects.clone()));
    }
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(outcome) => outcome??,
                None => return Ok(()),
            },
            Some(ended) = slow.join_next() => ended??,
        }
    }
}

/// Sends a long upload slowly, which the gateway must not end.
async fn send_slowly(host: String, key: String, number: usize) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(&host).await.context("connect to the gateway")?;
    let head = format!(
        "PUT /files/slow-{number} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: {}\r\n\r\n",
        1024 * MIB
    );
    socket.write_all(head.as_bytes()).await.context("send the head of a slow upload")?;
    let mut answer = [0; 512];
    loop {
        socket.write_all(&[0; SLOW_PIECE_BYTES]).await.context("send a piece of a slow upload")?;
        tokio::select! {
            read = socket.read(&mut answer) => {
                let text = String::from_utf8_lossy(&answer[..read?]).into_owned();
                bail!("a slow upload was ended: {text}");
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

struct Client {
    host: String,
    authorization: String,
    directory: String,
    digest: bool,
    exists: bool,
    retry_refused: bool,
    mib: Option<u64>,
}

/// Opens a connection to the gateway at `HOST:PORT`.
pub(super) async fn connect(host: &str) -> anyhow::Result<SendRequest<Body>> {
    let stream = TcpStream::connect(host).await.context("connect to the gateway")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // The request reports an error of the connection.
    tokio::spawn(connection);
    Ok(sender)
}

impl Client {
    async fn send_all(self, objects: Objects) -> anyhow::Result<()> {
        let mut connection = connect(&self.host).await?;
        while let Some(object) = objects.next() {
            loop {
                let answer = connection.send_request(self.request(&object)?).await?;
                let status = answer.status();
                let text = answer.into_body().collect().await?.to_bytes();
                if status == StatusCode::TOO_MANY_REQUESTS && self.retry_refused {
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    continue;
                }
                let text = String::from_utf8_lossy(&text).into_owned();
                ensure!(
                    status == StatusCode::OK,
                    "expected 200 from the gateway, found {status}: {text}"
                );
                break;
            }
        }
        Ok(())
    }

    fn request(&self, object: &Object) -> anyhow::Result<Request<Body>> {
        if self.exists {
            let url = format!("/exists?path={}/{}", self.directory, object.number);
            let request = Request::get(url)
                .header(header::HOST, &self.host)
                .header(header::AUTHORIZATION, &self.authorization);
            return Ok(request.body(BodyExt::boxed(Empty::new()))?);
        }
        let request = Request::put(format!("/files/{}/{}", self.directory, object.number))
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, &self.authorization);
        let Some(mib) = self.mib else {
            let request = request.header(header::CONTENT_LENGTH, object.bytes.len());
            let request = if self.digest {
                let digest = Sha256Digest::of(&object.bytes);
                request.header("repr-digest", digest.to_repr_digest())
            } else {
                request
            };
            return Ok(request.body(BodyExt::boxed(Full::new(object.bytes.clone())))?);
        };
        let mut block = object.bytes.repeat(MIB as usize / object.bytes.len() + 1);
        block.truncate(MIB as usize);
        let block = Bytes::from(block);
        let blocks = (0..mib).map(move |_| Ok(Frame::data(block.clone())));
        let body = StreamBody::new(stream::iter(blocks));
        Ok(request.header(header::CONTENT_LENGTH, mib * MIB).body(BodyExt::boxed(body))?)
    }
}

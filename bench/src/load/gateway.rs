//! Uploads into the gateway by plain HTTP: the small objects of [`super::objects`],
//! or long ones.

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use s3up_core::Sha256Digest;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::objects::{Object, Objects};
use crate::units::MIB;

type Body = BoxBody<Bytes, std::convert::Infallible>;

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
    /// Length of each object in MiB, instead of 4 to 64 KiB
    #[arg(long)]
    mib: Option<u64>,
    /// Directory of the remote paths
    #[arg(long)]
    directory: String,
}

pub async fn upload(args: &Upload) -> anyhow::Result<()> {
    let objects = Objects::new(args.count);
    let host =
        args.gateway.strip_prefix("http://").context("expected a URL that starts with http://")?;
    let mut tasks = JoinSet::new();
    for _ in 0..args.concurrency {
        let client = Client {
            host: host.to_owned(),
            authorization: format!("Bearer {}", args.api_key),
            directory: args.directory.clone(),
            digest: args.digest,
            mib: args.mib,
        };
        tasks.spawn(client.send_all(objects.clone()));
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    Ok(())
}

struct Client {
    host: String,
    authorization: String,
    directory: String,
    digest: bool,
    mib: Option<u64>,
}

impl Client {
    async fn send_all(self, objects: Objects) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        while let Some(object) = objects.next() {
            let answer = connection.send_request(self.request(object)?).await?;
            let status = answer.status();
            let text = answer.into_body().collect().await?.to_bytes();
            let text = String::from_utf8_lossy(&text).into_owned();
            ensure!(
                status == StatusCode::OK,
                "expected 200 from the gateway, found {status}: {text}"
            );
        }
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Body>> {
        let stream = TcpStream::connect(&self.host).await.context("connect to the gateway")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // The request reports an error of the connection.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(&self, object: Object) -> anyhow::Result<Request<Body>> {
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
            return Ok(request.body(BodyExt::boxed(Full::new(object.bytes)))?);
        };
        let mut block = object.bytes.repeat(MIB as usize / object.bytes.len() + 1);
        block.truncate(MIB as usize);
        let block = Bytes::from(block);
        let blocks = (0..mib).map(move |_| Ok(Frame::data(block.clone())));
        let body = StreamBody::new(stream::iter(blocks));
        Ok(request.header(header::CONTENT_LENGTH, mib * MIB).body(BodyExt::boxed(body))?)
    }
}

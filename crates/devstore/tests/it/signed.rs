//! Hand-signed requests that a correct client never sends.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use s3s::crypto::{Checksum as _, Sha256};
use s3s::dto::{Timestamp, TimestampFormat};
use s3up_devstore::Options;

use crate::support::Server;

const BLOCK_BYTES: usize = 64;

/// PUTs a body in unsigned chunks with a trailer. Returns the status and the text of
/// the answer.
pub async fn put_chunked(
    server: &Server,
    path_and_query: &str,
    bytes: &[u8],
    trailer: (&str, &str),
) -> (u16, String) {
    let (name, value) = trailer;
    let text = String::from_utf8(bytes.to_vec()).expect("the bytes are text");
    let body = format!("{:x}\r\n{text}\r\n0\r\n{name}:{value}\r\n\r\n", bytes.len());
    let headers = [
        ("content-encoding", "aws-chunked".to_owned()),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned()),
        ("x-amz-decoded-content-length", bytes.len().to_string()),
        ("x-amz-trailer", name.to_owned()),
    ];
    let endpoint = server.s3.endpoint();
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut request = reqwest::Client::new().put(format!("{endpoint}{path_and_query}"));
    let host = endpoint.strip_prefix("http://").expect("an endpoint");
    for (name, value) in signed(server, host, path, query, &headers) {
        request = request.header(name, value);
    }
    let answer = request.body(body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("the text of the answer"))
}

/// Returns the headers, including those that the signature adds.
fn signed(
    server: &Server,
    host: &str,
    path: &str,
    query: &str,
    headers: &[(&'static str, String)],
) -> Vec<(&'static str, String)> {
    let now = timestamp(server);
    let day = &now[..8];
    let mut all = headers.to_vec();
    all.extend([("host", host.to_owned()), ("x-amz-date", now.clone())]);
    all.sort();
    let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let sha256 =
        &all.iter().find(|(name, _)| *name == "x-amz-content-sha256").expect("it is given").1;
    let canonical = format!("PUT\n{path}\n{query}\n{lines}\n{names}\n{sha256}");
    let scope = format!("{day}/us-east-1/s3/aws4_request");
    let digest = hex(&sha256_of(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}");
    let secret = format!("AWS4{}", Options::SECRET_ACCESS_KEY);
    let key = [day, "us-east-1", "s3", "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, text| hmac(&key, text.as_bytes()));
    let signature = hex(&hmac(&key, to_sign.as_bytes()));
    let credential = format!("{}/{scope}", Options::ACCESS_KEY_ID);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    );
    all.push(("authorization", authorization));
    all
}

/// Formats the time of the server like `20130524T000000Z`.
fn timestamp(server: &Server) -> String {
    let mut text = Vec::new();
    let now = Timestamp::from(server.s3.now());
    now.format(TimestampFormat::DateTime, &mut text).expect("writing to memory does not fail");
    let text = String::from_utf8(text).expect("a date is ASCII").replace(['-', ':'], "");
    format!("{}Z", text.split('.').next().expect("a first piece"))
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; BLOCK_BYTES];
    block[..key.len()].copy_from_slice(key);
    let inner = sha256_of(&[&block.map(|byte| byte ^ 0x36)[..], message].concat());
    sha256_of(&[&block.map(|byte| byte ^ 0x5c)[..], &inner].concat())
}

fn sha256_of(bytes: &[u8]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    hasher.finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

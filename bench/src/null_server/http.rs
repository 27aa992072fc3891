//! HTTP/1.1 over a blocking socket: reads requests, discards or reads their bodies,
//! and sends responses.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Range;

use percent_encoding::percent_decode_str;
use rustix::net::RecvFlags;

use super::body::Body;

const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Number of bytes that the kernel discards in one call.
const DISCARD_BYTES: usize = 4 << 20;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The reason for which a connection ends.
#[derive(Debug)]
pub enum ConnectionError {
    Io,
    /// The client violated the protocol, or needs a feature that is missing here.
    Protocol(&'static str),
}

impl From<io::Error> for ConnectionError {
    /// A client may close its connection at any time, so the error is not reported.
    fn from(_: io::Error) -> ConnectionError {
        ConnectionError::Io
    }
}

#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// Percent-decoded, without the first slash.
    pub path: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body_bytes: u64,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

pub struct Connection {
    stream: TcpStream,
    /// Bytes that were read; those from `at` on are not used yet.
    buffer: Vec<u8>,
    at: usize,
    /// The buffer of calls with `MSG_TRUNC`. The kernel writes nothing into it.
    discard_buffer: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Connection {
        Connection { stream, buffer: Vec::new(), at: 0, discard_buffer: Vec::new() }
    }

    /// Returns `None` once the client has closed the connection.
    pub fn next_request(&mut self) -> Result<Option<Request>, ConnectionError> {
        self.buffer.drain(..self.at);
        self.at = 0;
        loop {
            if let Some((request, head_bytes)) = parse(&self.buffer)? {
                self.at = head_bytes;
                if request.header("expect").is_some() {
                    self.stream.write_all(CONTINUE)?;
                }
                return Ok(Some(request));
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(ConnectionError::Protocol("the request head is too long"));
            }
            let before = self.buffer.len();
            self.buffer.resize(before + 16 * 1024, 0);
            let count = self.stream.read(&mut self.buffer[before..])?;
            self.buffer.truncate(before + count);
            if count == 0 {
                return if before == 0 { Ok(None) } else { Err(ConnectionError::Io) };
            }
        }
    }

    /// Discards the body. The kernel does not copy the part that is not buffered.
    pub fn discard_body(&mut self, bytes: u64) -> Result<(), ConnectionError> {
        let mut left = bytes - self.take_buffered(bytes).len() as u64;
        if left > 0 && self.discard_buffer.is_empty() {
            self.discard_buffer = vec![0; DISCARD_BYTES];
        }
        while left > 0 {
            let most = usize::try_from(left).map_or(DISCARD_BYTES, |left| left.min(DISCARD_BYTES));
            let flags = RecvFlags::TRUNC | RecvFlags::WAITALL;
            let (_, count) =
                rustix::net::recv(&self.stream, &mut self.discard_buffer[..most], flags)
                    .map_err(io::Error::from)?;
            if count == 0 {
                return Err(ConnectionError::Io);
            }
            left -= count as u64;
        }
        Ok(())
    }

    pub fn read_body(&mut self, bytes: u64) -> Result<Vec<u8>, ConnectionError> {
        let len = usize::try_from(bytes)
            .map_err(|_| ConnectionError::Protocol("the body is too long"))?;
        let mut body = Vec::with_capacity(len);
        body.extend_from_slice(self.take_buffered(bytes));
        let left = bytes - body.len() as u64;
        if (&self.stream).take(left).read_to_end(&mut body)? as u64 != left {
            return Err(ConnectionError::Io);
        }
        Ok(body)
    }

    fn take_buffered(&mut self, bytes: u64) -> &[u8] {
        let buffered = self.buffer.len() - self.at;
        let count = usize::try_from(bytes).map_or(buffered, |bytes| bytes.min(buffered));
        self.at += count;
        &self.buffer[self.at - count..self.at]
    }

    /// Sends status line and headers. `length` is the length of the body, which
    /// the caller sends next unless the request is a HEAD.
    pub fn send_head(
        &mut self,
        status: u16,
        headers: &[(&str, String)],
        length: u64,
    ) -> Result<(), ConnectionError> {
        let mut head =
            format!("HTTP/1.1 {status} {}\r\ncontent-length: {length}\r\n", reason_phrase(status));
        for (name, value) in headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        Ok(self.stream.write_all(head.as_bytes())?)
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        Ok(self.stream.write_all(bytes)?)
    }

    pub fn send_stored(&mut self, body: &Body, range: Range<u64>) -> Result<(), ConnectionError> {
        Ok(body.send(range, &self.stream)?)
    }
}

/// Returns the request at the start of `bytes` and the length of its head, or
/// `None` if the head is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, ConnectionError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed =
        request.parse(bytes).map_err(|_| ConnectionError::Protocol("expected an HTTP request"))?;
    let httparse::Status::Complete(head_bytes) = parsed else { return Ok(None) };
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(ConnectionError::Protocol("expected an HTTP request"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        })
        .collect();
    let mut request = Request {
        method: method.to_owned(),
        path: decoded(path.trim_start_matches('/')),
        query: query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect(),
        headers,
        body_bytes: 0,
    };
    if request.header("transfer-encoding").is_some() {
        return Err(ConnectionError::Protocol("expected a body with a content-length"));
    }
    if let Some(length) = request.header("content-length") {
        request.body_bytes = length
            .parse()
            .map_err(|_| ConnectionError::Protocol("expected an integer in content-length"))?;
    }
    Ok(Some((request, head_bytes)))
}

fn pair(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decoded(name), decoded(value))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        404 => "Not Found",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_once_it_is_complete() {
        let text = b"PUT /b/a%20b?partNumber=3&uploadId=u%2F1&x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        for end in 0..text.len() - 5 {
            assert!(parse(&text[..end]).unwrap().is_none(), "{end}");
        }
        let (request, head_bytes) = parse(text).unwrap().unwrap();
        assert_eq!(&text[head_bytes..], b"hello");
        assert_eq!(request.path, "b/a b");
        assert_eq!(request.parameter("partNumber"), Some("3"));
        assert_eq!(request.parameter("uploadId"), Some("u/1"));
        assert_eq!(request.parameter("x"), Some(""));
        assert_eq!(request.body_bytes, 5);
    }

    #[test]
    fn a_body_without_a_length_is_refused() {
        let text = b"PUT /b/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(parse(text), Err(ConnectionError::Protocol(_))));
    }
}

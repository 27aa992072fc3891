//! Refusals of requests that hyper cannot parse.
//!
//! Hyper answers them itself, without a body, before any other code sees them. Such an answer is replaced on
//! its way to the socket by a problem document, like that of every refusal. It is recognised by its empty body
//! and by its place: no request is being answered, and all bytes of earlier answers are written. One that
//! hyper writes together with the end of an earlier answer stays as it is.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use s3up_core::wire::PROBLEM_TYPE;
use s3up_core::{Code, Size};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::refusal::Refusal;

/// Read buffer of a connection. Hyper's own limit is 400 KiB, and this memory is outside the buffer budget.
pub(super) const READ_BUFFER_BYTES: usize = 64 << 10;

/// Says whether a request of a connection is being answered. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange(Arc<AtomicBool>);

impl Exchange {
    /// Called with each request that hyper could parse.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns the response; the exchange ends with its body.
    pub(super) fn until_the_end_of(&self, response: Response) -> Response {
        response.map(|body| Body::new(LastBody { body, exchange: self.clone() }))
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body of a response, which ends the exchange when it is dropped.
struct LastBody {
    body: Body,
    exchange: Exchange,
}

impl Drop for LastBody {
    fn drop(&mut self) {
        self.exchange.0.store(false, Ordering::Relaxed);
    }
}

impl HttpBody for LastBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket on which the answers of hyper itself are replaced.
pub(super) struct WithProblems<S> {
    socket: S,
    exchange: Exchange,
    /// True while all bytes of all answers so far are written.
    is_between_answers: bool,
    /// The rest of a replacement, which is written before anything else.
    replacement: Bytes,
}

impl<S> WithProblems<S> {
    pub(super) fn new(socket: S, exchange: Exchange) -> WithProblems<S> {
        WithProblems { socket, exchange, is_between_answers: true, replacement: Bytes::new() }
    }

    /// Returns the replacement of bytes that hyper writes by itself.
    fn replaced(&self, bytes: &[u8]) -> Option<Bytes> {
        if !self.is_between_answers || self.exchange.is_open() {
            return None;
        }
        problem(bytes)
    }
}

impl<S: AsyncWrite + Unpin> WithProblems<S> {
    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.replacement.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.replacement))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            drop(self.replacement.split_to(written));
        }
        Poll::Ready(Ok(()))
    }

    /// Takes `bytes` for written if there is a replacement for them.
    fn poll_replace(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<bool>> {
        ready!(self.poll_replacement(cx))?;
        let replaced = self.replaced(bytes);
        self.is_between_answers = false;
        let is_replaced = replaced.is_some();
        self.replacement = replaced.unwrap_or_default();
        Poll::Ready(Ok(is_replaced))
    }
}

/// Returns the answer with a problem document in place of the answer of hyper that `head` is.
fn problem(head: &[u8]) -> Option<Bytes> {
    let head = str::from_utf8(head).ok()?;
    let (status_line, fields) = head.split_once("\r\n")?;
    // Every answer of our own code with such a status has a body.
    if !fields.split("\r\n").any(|field| field.eq_ignore_ascii_case("content-length: 0")) {
        return None;
    }
    let status = status_line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1))?;
    let (code, what) = match status {
        "400" => {
            let what = "expected a request in HTTP/1.1 (RFC 9112), found one that cannot be parsed";
            (Code::BadRequest, what.to_owned())
        }
        "431" => {
            let limit = Size(READ_BUFFER_BYTES as u64);
            let what = format!("expected a URL and headers of at most {limit}, found longer ones");
            (Code::HeadersTooLarge, what)
        }
        _ => return None,
    };
    let (problem, _) = Refusal::new(code, what).into_problem();
    let body = serde_json::to_string(&problem).ok()?;
    let length = body.len();
    let answer = format!(
        "{status_line}\r\ncontent-type: {PROBLEM_TYPE}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    Some(Bytes::from(answer))
}

impl<S: AsyncRead + Unpin> AsyncRead for WithProblems<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithProblems<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if ready!(self.poll_replace(cx, bytes))? {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = pieces.first().map_or(&[][..], |piece| piece);
        if ready!(self.poll_replace(cx, first))? {
            return Poll::Ready(Ok(first.len()));
        }
        Pin::new(&mut self.socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_replacement(cx))?;
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        // Hyper flushes once it has written all that it has.
        self.is_between_answers = !self.exchange.is_open();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_replacement(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answers_of_hyper_to_what_it_cannot_parse_are_replaced() {
        let of = |status: &str| {
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        };
        #[rustfmt::skip]
        let cases = [
            (of("400 Bad Request"),                     Some("bad_request")),
            (of("431 Request Header Fields Too Large"), Some("headers_too_large")),
            (of("200 OK"),                              None),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n{\"status\":".to_owned(), None),
            ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), None),
            ("4".to_owned(),                            None),
        ];
        for (head, code) in cases {
            let found = problem(head.as_bytes())
                .map(|answer| String::from_utf8_lossy(&answer).into_owned());
            match (&found, code) {
                (None, None) => {}
                (Some(answer), Some(code)) => {
                    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                    assert!(body.contains(&format!("\"code\":\"{code}\"")), "{answer}");
                    assert!(
                        head.contains(&format!("content-length: {}\r\n", body.len())),
                        "{answer}"
                    );
                }
                _ => panic!("{head}: {found:?}"),
            }
        }
        let open = Exchange::default();
        let mut socket = WithProblems::new((), open.clone());
        let head = of("400 Bad Request");
        assert!(socket.replaced(head.as_bytes()).is_some());
        open.begin();
        assert_eq!(socket.replaced(head.as_bytes()), None, "the body of a download");
        drop(open.until_the_end_of(Response::new(Body::empty())));
        socket.is_between_answers = false;
        assert_eq!(socket.replaced(head.as_bytes()), None, "its end");
    }
}

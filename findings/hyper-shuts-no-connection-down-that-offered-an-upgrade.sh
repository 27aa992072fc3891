#!/usr/bin/env bash
# hyper 1.12.0: after the last response, the server closes a connection without shutting it down if its
# client had offered an upgrade, although the response was not 101.
#
# Each request of the HttpClient of Java without TLS offers one ("Upgrade: h2c"). hyper hands the socket to
# the task that waits for the upgrade and, if that is dropped, drops the socket with it. So poll_shutdown of the
# socket is never called: TLS sends no close_notify, and a server that reads on after an early answer (a
# lingering close in poll_shutdown) resets the connection instead, and the answer is lost. Use
# Connection::poll_without_shutdown and shut the socket down yourself.
. "$(dirname "$0")/common.sh"

mkdir -p "$work/program/src"
cat >"$work/program/Cargo.toml" <<'END_OF_FILE'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
hyper = { version = "=1.12.0", features = ["http1", "server"] }
hyper-util = { version = "=0.1.21", features = ["tokio"] }
http-body-util = "=0.1.5"
tokio = { version = "=1.54.1", features = ["rt", "io-util", "macros"] }
END_OF_FILE
cat >"$work/program/src/main.rs" <<'END_OF_PROGRAM'
use http_body_util::Empty;
use hyper::{body::Bytes, server::conn::http1, service::service_fn, Request, Response};
use std::{convert::Infallible, io, pin::Pin, task::{Context, Poll}};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

struct Watched(DuplexStream, std::rc::Rc<std::cell::Cell<bool>>);
impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, c: &mut Context<'_>, b: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(c, b)
    }
}
impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, c: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(c, b)
    }
    fn poll_flush(mut self: Pin<&mut Self>, c: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(c)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, c: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.1.set(true);
        Pin::new(&mut self.0).poll_shutdown(c)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for fields in ["Connection: close\r\n", "Connection: close, Upgrade\r\nUpgrade: h2c\r\n"] {
        let (mut client, server) = tokio::io::duplex(65536);
        let was_shut_down = std::rc::Rc::new(std::cell::Cell::new(false));
        let io = hyper_util::rt::TokioIo::new(Watched(server, was_shut_down.clone()));
        let service = service_fn(|_: Request<hyper::body::Incoming>| async {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        http1::Builder::new().serve_connection(io, service).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        println!("{} {}", answer.lines().next().unwrap(), was_shut_down.get());
    }
}
END_OF_PROGRAM
cargo build --quiet --manifest-path "$work/program/Cargo.toml"
"$work/program/target/debug/finding" >"$work/found"
seen 'a request without an upgrade: status, and whether the socket was shut down' \
  'HTTP/1.1 200 OK true' "$(sed -n 1p "$work/found")"
seen 'a request that offers one' 'HTTP/1.1 200 OK false' "$(sed -n 2p "$work/found")"

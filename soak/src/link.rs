//! A link between two programs that can be slow, silent or cut.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Duration;

use crate::events::LinkState;

const COPIED_AT_ONCE: usize = 32 << 10;

/// A proxy for TCP. It ends when it is dropped.
pub struct Link {
    pub address: SocketAddr,
    state: watch::Sender<LinkState>,
    task: JoinHandle<()>,
}

impl Link {
    /// Listens on a free port, and connects to `target` for each connection.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Link> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen for a link")?;
        let address = listener.local_addr().context("get the address of a link")?;
        let (state, seen) = watch::channel(LinkState::Open);
        let task = tokio::spawn(async move {
            // A failed accept means that a client is gone again, or too many open files.
            loop {
                if let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(connect(socket, target, seen.clone()));
                } else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
        Ok(Link { address, state, task })
    }

    pub fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(client: TcpStream, target: SocketAddr, state: watch::Receiver<LinkState>) {
    if *state.borrow() == LinkState::Cut {
        return;
    }
    // Without a server the connection ends at once, as without a link.
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy_both(from_client, to_server, from_server, to_client, state.clone()) => {}
        () = cut(state) => {}
    }
}

/// Copies both directions. Each may end by itself, since a client may close its sending side first.
async fn copy_both(
    from_client: OwnedReadHalf,
    to_server: OwnedWriteHalf,
    from_server: OwnedReadHalf,
    to_client: OwnedWriteHalf,
    state: watch::Receiver<LinkState>,
) {
    let there = copy(from_client, to_server, state.clone());
    tokio::join!(there, copy(from_server, to_client, state));
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<LinkState>,
) {
    let mut buffer = vec![0; COPIED_AT_ONCE];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|state| *state != LinkState::Silent).await.is_err() {
            break;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
        let now = *state.borrow();
        if let LinkState::Slow(bytes_per_second) = now {
            let time = Duration::from_secs_f64(count as f64 / bytes_per_second as f64);
            tokio::time::sleep(time).await;
        }
    }
    // The other side may have ended already.
    to.shutdown().await.ok();
}

/// Waits until the link is cut.
async fn cut(mut state: watch::Receiver<LinkState>) {
    if state.wait_for(|state| *state == LinkState::Cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a link to a server that sends each byte back.
    async fn echo() -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        Link::start(target).await.unwrap()
    }

    #[tokio::test]
    async fn a_link_that_is_cut_ends_its_connections_and_an_open_one_serves_again() {
        let link = echo().await;
        let mut socket = TcpStream::connect(link.address).await.unwrap();
        let mut byte = [0];
        socket.write_all(b"a").await.unwrap();
        socket.read_exact(&mut byte).await.unwrap();

        link.set(LinkState::Cut);
        assert!(!matches!(socket.read(&mut byte).await, Ok(1..)), "it is open");
        let mut refused = TcpStream::connect(link.address).await.unwrap();
        assert!(!matches!(refused.read(&mut byte).await, Ok(1..)), "it is open");
        link.set(LinkState::Open);

        let mut socket = TcpStream::connect(link.address).await.unwrap();
        socket.write_all(b"b").await.unwrap();
        socket.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");
    }

    #[tokio::test]
    async fn a_silent_link_loses_no_byte() {
        let link = echo().await;
        let mut socket = TcpStream::connect(link.address).await.unwrap();
        link.set(LinkState::Silent);
        socket.write_all(b"a").await.unwrap();
        let mut byte = [0];
        let waited = tokio::time::timeout(Duration::from_millis(50), socket.read(&mut byte)).await;
        assert!(waited.is_err(), "{waited:?}");

        link.set(LinkState::Open);

        socket.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"a");
    }
}

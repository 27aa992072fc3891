//! The null S3 server: an S3 server that costs nearly nothing, because the kernel
//! discards the bodies.
//!
//! It speaks enough of S3 for backup tools. It ignores credentials, verifies
//! nothing and returns the checksums that a client sends. Documents (keys that end
//! in `.json`) are always stored, other objects only with [`Options::keep`]: in
//! memory, from which they are served without a copy. Of a discarded object only
//! the size and the headers are known.
//!
//! There is one thread for each connection, with blocking calls: simpler than an
//! async runtime, and cheaper on a machine with two cores.

mod body;
mod http;
mod s3;
mod state;
mod xml;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

pub use self::state::Options;
use self::state::State;

/// Maximum time without a request before a connection is closed.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// A server that listens on its address.
pub struct NullServer {
    listener: TcpListener,
    state: Arc<State>,
}

impl NullServer {
    pub fn bind(listen: SocketAddr, options: Options) -> anyhow::Result<NullServer> {
        let listener = TcpListener::bind(listen).with_context(|| format!("listen on {listen}"))?;
        Ok(NullServer { listener, state: Arc::new(State::new(options)) })
    }

    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("read the address of the server")
    }

    /// Serves until the process ends.
    pub fn serve(self) -> anyhow::Result<()> {
        loop {
            let (stream, _) = self.listener.accept().context("accept a connection")?;
            let state = Arc::clone(&self.state);
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn(move || serve_connection(stream, &state)).context("start a thread")?;
        }
    }
}

/// Serves one connection. An error of the client ends only its own connection.
fn serve_connection(stream: TcpStream, state: &State) {
    let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(IDLE_MAX)));
    let outcome = prepared.map_err(http::ConnectionError::from).and_then(|()| {
        let mut connection = http::Connection::new(stream);
        while let Some(request) = connection.next_request()? {
            s3::answer(&request, &mut connection, state)?;
        }
        Ok(())
    });
    if let Err(http::ConnectionError::Protocol(error)) = outcome {
        log(error);
    }
}

#[expect(clippy::print_stderr, reason = "this is the log of the null server, which is a program")]
fn log(error: &str) {
    eprintln!("null-server: {error}");
}

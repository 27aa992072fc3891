//! An S3 server that costs nearly nothing: bodies are discarded in the kernel.
//!
//! It speaks enough of S3 for backup tools, knows no credentials, verifies
//! nothing and echoes the checksums that it is told. Documents (keys that end in
//! `.json`) are always kept; all else only where [`Options::keep`] says so: in
//! memory, from where it is served again without being copied. Of a discarded object size and headers
//! are known, no bytes.
//!
//! A thread for each connection and calls that block: fewer moving parts than a
//! runtime, and the cheapest there is on a machine of two cores.

mod body;
mod http;
mod s3;
mod state;
mod xml;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use state::State;

/// A connection that says nothing for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep all bodies in memory, and serve them.
    pub keep: bool,
    /// Time between the end of a request and its answer.
    pub latency: Duration,
}

/// A server that listens.
pub struct Sink {
    listener: TcpListener,
    state: Arc<State>,
}

impl Sink {
    pub fn bind(listen: SocketAddr, options: Options) -> anyhow::Result<Sink> {
        let listener = TcpListener::bind(listen).with_context(|| format!("listen on {listen}"))?;
        Ok(Sink { listener, state: Arc::new(State::new(options)) })
    }

    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("ask for the address that is listened on")
    }

    /// Serves for as long as the process lives.
    pub fn serve(self) -> anyhow::Result<()> {
        loop {
            let (stream, _) = self.listener.accept().context("accept a connection")?;
            let state = Arc::clone(&self.state);
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn(move || serve_one(stream, &state)).context("start a thread")?;
        }
    }
}

/// A client that leaves, or talks nonsense, ends its own connection alone.
fn serve_one(stream: TcpStream, state: &State) {
    let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(IDLE_MAX)));
    let outcome = prepared.map_err(http::Broken::from).and_then(|()| {
        let mut connection = http::Connection::new(stream);
        while let Some(request) = connection.next_request()? {
            s3::answer(&request, &mut connection, state)?;
        }
        Ok(())
    });
    if let Err(http::Broken::Nonsense(what)) = outcome {
        report(what);
    }
}

#[expect(clippy::print_stderr, reason = "the sink is a program, and this its log")]
fn report(what: &str) {
    eprintln!("sink: {what}");
}

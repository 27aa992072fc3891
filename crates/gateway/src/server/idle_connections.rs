//! The connections without a request in progress, which may be closed to make room for new ones.
//!
//! A connection is idle before its first request, a TLS handshake included, and after each response. If
//! all connections are taken, the one that was idle for the longest time is closed, as nginx does it. So
//! clients that hold connections and send nothing cannot keep others out.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The idle connections of a server. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct IdleConnections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified whenever a connection becomes idle.
    is_idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Number of times that a connection became idle.
    idle_count: u64,
    /// The idle connections in the order in which they became idle.
    idle: BTreeMap<u64, CancellationToken>,
}

/// One connection, as its requests see it. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<OneConnection>);

#[derive(Debug)]
struct OneConnection {
    all: IdleConnections,
    close: CancellationToken,
    requests: Mutex<RequestsInProgress>,
}

/// The requests of one connection. A client may send the next one before it has read a response.
#[derive(Debug, Default)]
struct RequestsInProgress {
    count: usize,
    /// Number under which the connection is idle, if it is.
    idle_since: Option<u64>,
}

/// A request in progress. Its connection is not closed until this is dropped.
#[derive(Debug)]
pub(super) struct BusyConnection(Arc<OneConnection>);

impl IdleConnections {
    /// Adds a connection, which is idle. `close` closes it.
    pub(super) fn add(&self, close: CancellationToken) -> Connection {
        let connection = OneConnection {
            all: self.clone(),
            close,
            requests: Mutex::new(RequestsInProgress::default()),
        };
        connection.requests().idle_since = Some(self.insert(&connection.close));
        Connection(Arc::new(connection))
    }

    /// Waits until a connection is idle, and closes the one that is idle for the longest time.
    pub(super) async fn close_longest_idle(&self) {
        loop {
            let is_idle = self.0.is_idle.notified();
            let longest = self.state().idle.pop_first();
            if let Some((_, close)) = longest {
                close.cancel();
                return;
            }
            is_idle.await;
        }
    }

    fn insert(&self, close: &CancellationToken) -> u64 {
        let mut state = self.state();
        state.idle_count += 1;
        let idle_number = state.idle_count;
        state.idle.insert(idle_number, close.clone());
        self.0.is_idle.notify_one();
        idle_number
    }

    fn remove(&self, idle_number: u64) {
        self.state().idle.remove(&idle_number);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Marks the begin of a request.
    pub(super) fn begin_request(&self) -> BusyConnection {
        let mut requests = self.0.requests();
        requests.count += 1;
        if let Some(idle_number) = requests.idle_since.take() {
            self.0.all.remove(idle_number);
        }
        drop(requests);
        BusyConnection(self.0.clone())
    }
}

impl OneConnection {
    fn requests(&self) -> MutexGuard<'_, RequestsInProgress> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OneConnection {
    fn drop(&mut self) {
        if let Some(idle_number) = self.requests().idle_since.take() {
            self.all.remove(idle_number);
        }
    }
}

impl Drop for BusyConnection {
    fn drop(&mut self) {
        let mut requests = self.0.requests();
        requests.count -= 1;
        if requests.count == 0 {
            requests.idle_since = Some(self.0.all.insert(&self.0.close));
        }
    }
}

/// The body of a response, whose request is in progress until the body was handed to the connection.
pub(super) struct ResponseBody {
    pub body: Body,
    /// True once a frame was handed over. Hyper then asks for another one, before which it sends the first.
    pub has_begun: bool,
    /// Dropped with the body.
    pub _request: BusyConnection,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.has_begun = true;
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        !self.has_begun && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_connection_that_is_idle_for_the_longest_time_is_closed() {
        let all = IdleConnections::default();
        let tokens = [(); 3].map(|()| CancellationToken::new());
        let [first, second, third] = tokens.clone().map(|token| all.add(token));
        let is_closed = || tokens.each_ref().map(CancellationToken::is_cancelled);

        // The first one becomes idle again after the others.
        drop(first.begin_request());
        let in_progress = second.begin_request();
        all.close_longest_idle().await;
        assert_eq!(is_closed(), [false, false, true]);
        all.close_longest_idle().await;
        assert_eq!(is_closed(), [true, false, true]);

        let pipelined = second.begin_request();
        drop(in_progress);
        let closing = all.close_longest_idle();
        let waited = tokio::time::timeout(Duration::from_millis(20), closing).await;
        assert!(waited.is_err(), "a request is in progress");
        drop(pipelined);
        all.close_longest_idle().await;
        assert_eq!(is_closed(), [true, true, true]);
        drop((first, second, third));
    }

    #[tokio::test]
    async fn a_connection_that_has_ended_is_not_closed_in_place_of_another() {
        let all = IdleConnections::default();
        let (ended, open) = (CancellationToken::new(), CancellationToken::new());
        drop(all.add(ended.clone()));
        let connection = all.add(open.clone());

        all.close_longest_idle().await;

        assert!(open.is_cancelled() && !ended.is_cancelled());
        drop(connection);
        assert!(all.state().idle.is_empty());
    }
}

//! The control endpoint: what the Rust API does, for other processes.
//!
//! It is below `/_control/`. No bucket has that name, and only a peer on
//! loopback is answered, since nothing here asks for a signature. The commands
//! are listed in the documentation of the crate.

mod command;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use s3s::Body;
use serde_json::{Value, json};

use self::command::{Command, NoCommand};
use crate::store::Store;
use crate::{Faults, Held};

const PREFIX: &str = "/_control/";
/// Commands are short.
const BODY_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone)]
pub(crate) struct Control {
    store: Arc<Store>,
    faults: Faults,
    holds: Arc<Mutex<Holds>>,
}

#[derive(Default)]
struct Holds {
    last_id: u64,
    held: BTreeMap<u64, Held>,
}

/// A status and a document, or no document.
struct Answer(StatusCode, Option<Value>);

impl Control {
    pub(crate) fn new(store: Arc<Store>, faults: Faults) -> Control {
        Control { store, faults, holds: Arc::default() }
    }

    /// `None` where a request is not for this endpoint.
    pub(crate) fn path_of(request: &Request<Incoming>) -> Option<String> {
        request.uri().path().strip_prefix(PREFIX).map(str::to_owned)
    }

    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        path: &str,
        peer: SocketAddr,
    ) -> Response<Body> {
        if !is_local(peer.ip()) {
            return refusal(StatusCode::FORBIDDEN, "only loopback is answered here").into();
        }
        let method = request.method().clone();
        match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
            Ok(body) => self.obey(&method, path, &body.to_bytes()).await.into(),
            Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()).into(),
        }
    }

    async fn obey(&self, method: &Method, path: &str, body: &[u8]) -> Answer {
        let done = match command::parse(method, path, body) {
            Ok(command) => self.run(command).await,
            Err(error @ NoCommand::Unknown) => {
                return refusal(StatusCode::NOT_FOUND, &error.to_string());
            }
            Err(error @ NoCommand::Body(_)) => {
                return refusal(StatusCode::BAD_REQUEST, &error.to_string());
            }
        };
        done.unwrap_or_else(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
    }

    async fn run(&self, command: Command) -> io::Result<Answer> {
        let faults = &self.faults;
        Ok(match command {
            Command::ListUnfired => found(json!({ "unfired": faults.unfired() })),
            Command::Inject(inject) => {
                made(json!(faults.inject_told(inject.op, inject.nth.get(), inject.fault)))
            }
            Command::ClearFaults => {
                faults.clear();
                nothing()
            }
            Command::CountCalls => found(json!({
                "total": faults.calls_total(),
                "by_operation": faults.counts(),
            })),
            Command::Hold(hold) => made(json!({ "id": self.hold(&hold) })),
            Command::LookAtHold(id) => self.look_at_hold(id),
            Command::AwaitHold(id) => self.await_hold(id).await,
            Command::ReleaseHold(id) => match self.holds().held.remove(&id) {
                Some(held) => {
                    held.release();
                    nothing()
                }
                None => no_hold(),
            },
            Command::SetNetwork(network) => {
                faults.set_latency(Duration::from_millis(network.latency_ms));
                faults.set_bandwidth(network.bytes_per_second);
                nothing()
            }
            Command::TellTime => self.tell_time(),
            Command::Advance(by) => {
                self.advance(Duration::from_secs(by.advance_seconds)).await?;
                self.tell_time()
            }
            Command::SetRestore(restore) => {
                self.store.set_restore_delay(Duration::from_secs(restore.delay_seconds));
                nothing()
            }
        })
    }

    fn hold(&self, wanted: &command::Hold) -> u64 {
        let held = match wanted.op {
            Some(op) => self.faults.hold_op(op, wanted.nth.get()),
            None => self.faults.hold(wanted.nth.get()),
        };
        let mut holds = self.holds();
        holds.last_id += 1;
        let id = holds.last_id;
        holds.held.insert(id, held);
        id
    }

    fn look_at_hold(&self, id: u64) -> Answer {
        match self.holds().held.get(&id) {
            Some(held) => found(json!({ "has_fired": held.has_fired() })),
            None => no_hold(),
        }
    }

    async fn await_hold(&self, id: u64) -> Answer {
        let outcome = self.holds().held.get(&id).map(Held::outcome);
        let Some(outcome) = outcome else { return no_hold() };
        if outcome.await { found(json!({ "has_fired": true })) } else { no_hold() }
    }

    fn tell_time(&self) -> Answer {
        found(json!({ "now": self.store.clock.now() }))
    }

    async fn advance(&self, by: Duration) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.advance(by)).await.map_err(io::Error::other)?
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().expect("no holder of this lock panics")
    }
}

fn found(document: Value) -> Answer {
    Answer(StatusCode::OK, Some(document))
}

fn made(document: Value) -> Answer {
    Answer(StatusCode::CREATED, Some(document))
}

fn nothing() -> Answer {
    Answer(StatusCode::NO_CONTENT, None)
}

fn no_hold() -> Answer {
    refusal(StatusCode::NOT_FOUND, "no such hold, or it was released")
}

fn refusal(status: StatusCode, message: &str) -> Answer {
    Answer(status, Some(json!({ "error": message })))
}

/// An IPv4 address may come in the clothes of an IPv6 one.
fn is_local(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

impl From<Answer> for Response<Body> {
    fn from(Answer(status, document): Answer) -> Response<Body> {
        let body = document.map_or_else(Body::empty, |document| Body::from(document.to_string()));
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_local() {
        #[rustfmt::skip]
        let cases = [
            ("127.0.0.1",          true),
            ("127.1.2.3",          true),
            ("::1",                true),
            ("::ffff:127.0.0.1",   true),
            ("192.168.0.1",        false),
            ("::ffff:192.168.0.1", false),
            ("0.0.0.0",            false),
        ];
        for (address, want) in cases {
            assert_eq!(is_local(address.parse().unwrap()), want, "{address}");
        }
    }
}

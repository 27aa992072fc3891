//! The control endpoint, which offers the Rust API to other processes.
//!
//! Its paths are below `/_control/`, which is no valid bucket name. It answers
//! only peers on loopback, since it requires no signature. The documentation of
//! the crate lists the commands.

mod command;

use s3up_core::error_chain;
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

use self::command::{Command, CommandError};
use crate::faults::{Faults, HeldCall};
use crate::storage::store::Store;

const PREFIX: &str = "/_control/";
/// Maximum length of a command.
const BODY_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone)]
pub(crate) struct Control {
    store: Arc<Store>,
    faults: Faults,
    holds: Arc<Mutex<HeldCalls>>,
}

#[derive(Default)]
struct HeldCalls {
    last_id: u64,
    held: BTreeMap<u64, HeldCall>,
}

/// A status, and a JSON document if there is one.
struct Answer(StatusCode, Option<Value>);

impl Control {
    pub(crate) fn new(store: Arc<Store>, faults: Faults) -> Control {
        Control { store, faults, holds: Arc::default() }
    }

    /// Returns the path below the endpoint; `None` for any other request.
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
            return refusal(
                StatusCode::FORBIDDEN,
                "the control endpoint answers only requests from this machine (loopback)",
            )
            .into();
        }
        let method = request.method().clone();
        match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
            Ok(body) => self.execute(&method, path, &body.to_bytes()).await.into(),
            Err(error) => {
                refusal(StatusCode::BAD_REQUEST, &format!("read the command: {error}")).into()
            }
        }
    }

    async fn execute(&self, method: &Method, path: &str, body: &[u8]) -> Answer {
        let done = match command::parse(method, path, body) {
            Ok(command) => self.run(command).await,
            Err(error @ CommandError::Unknown) => {
                return refusal(StatusCode::NOT_FOUND, &error.to_string());
            }
            Err(error @ CommandError::Body(_)) => {
                return refusal(StatusCode::BAD_REQUEST, &error_chain(&error));
            }
        };
        done.unwrap_or_else(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
    }

    async fn run(&self, command: Command) -> io::Result<Answer> {
        let faults = &self.faults;
        Ok(match command {
            Command::ListUnfired => ok(json!({ "unfired": faults.unfired() })),
            Command::Inject(inject) => {
                created(json!(faults.schedule(inject.op, inject.nth.get(), inject.fault)))
            }
            Command::ClearFaults => {
                faults.clear();
                no_content()
            }
            Command::CountCalls => ok(json!({
                "total": faults.calls_total(),
                "by_operation": faults.counts(),
            })),
            Command::Hold(hold) => created(json!({ "id": self.hold(&hold) })),
            Command::GetHold(id) => self.get_hold(id),
            Command::AwaitHold(id) => self.await_hold(id).await,
            Command::ReleaseHold(id) => match self.holds().held.remove(&id) {
                Some(held) => {
                    held.release();
                    no_content()
                }
                None => no_such_hold(),
            },
            Command::SetNetwork(network) => {
                faults.set_latency(Duration::from_millis(network.latency_ms));
                faults.set_bandwidth(network.bytes_per_second);
                no_content()
            }
            Command::GetClock => self.clock(),
            Command::AdvanceClock(by) => {
                self.advance(Duration::from_secs(by.advance_seconds)).await?;
                self.clock()
            }
            Command::SetRestoreDelay(restore) => {
                self.store.set_restore_delay(Duration::from_secs(restore.delay_seconds));
                no_content()
            }
        })
    }

    fn hold(&self, request: &command::Hold) -> u64 {
        let held = match request.op {
            Some(op) => self.faults.hold_op(op, request.nth.get()),
            None => self.faults.hold(request.nth.get()),
        };
        let mut holds = self.holds();
        holds.last_id += 1;
        let id = holds.last_id;
        holds.held.insert(id, held);
        id
    }

    fn get_hold(&self, id: u64) -> Answer {
        match self.holds().held.get(&id) {
            Some(held) => ok(json!({ "has_fired": held.has_fired() })),
            None => no_such_hold(),
        }
    }

    async fn await_hold(&self, id: u64) -> Answer {
        let reached = self.holds().held.get(&id).map(HeldCall::reached_or_released);
        let Some(reached) = reached else { return no_such_hold() };
        if reached.await { ok(json!({ "has_fired": true })) } else { no_such_hold() }
    }

    fn clock(&self) -> Answer {
        ok(json!({ "now": self.store.clock.now() }))
    }

    async fn advance(&self, by: Duration) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.advance(by)).await.map_err(io::Error::other)?
    }

    fn holds(&self) -> MutexGuard<'_, HeldCalls> {
        self.holds.lock().expect("no holder of this lock panics")
    }
}

fn ok(document: Value) -> Answer {
    Answer(StatusCode::OK, Some(document))
}

fn created(document: Value) -> Answer {
    Answer(StatusCode::CREATED, Some(document))
}

fn no_content() -> Answer {
    Answer(StatusCode::NO_CONTENT, None)
}

fn no_such_hold() -> Answer {
    refusal(StatusCode::NOT_FOUND, "no such hold: it never existed or was released")
}

fn refusal(status: StatusCode, message: &str) -> Answer {
    Answer(status, Some(json!({ "error": message })))
}

/// Returns true if the peer is on loopback, also as an IPv4-mapped IPv6 address.
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
    fn only_loopback_addresses_are_local() {
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

//! Judges the fleet each minute: records changes of states, and lets [`Observer`] look for incidents.

use std::time::Duration;

use s3up_core::wire::ClientState;

use super::observe::Observer;
use super::overview::{StateChange, change};
use crate::database::client_facts::ClientFacts;
use crate::database::record::Record;
use crate::gateway::Gateway;

/// Pause before the first time, in which agents that waited for the gateway send heartbeats.
const AFTER_START: Duration = Duration::from_secs(90);

/// Pause between two times. An incident is noticed within two of them.
const JUDGED_EVERY: Duration = Duration::from_secs(60);

/// Judges all clients, until the gateway stops. Never returns.
pub(crate) async fn watch(gateway: Gateway) {
    let mut observer = Observer::new().await;
    tokio::time::sleep(AFTER_START).await;
    loop {
        judge_once(&gateway, &mut observer).await;
        tokio::time::sleep(JUDGED_EVERY).await;
    }
}

/// Judges all clients and this gateway once. Without an answer of the database nothing is judged: it is no
/// fact that a client was not heard of.
pub(super) async fn judge_once(gateway: &Gateway, observer: &mut Observer) {
    // The error is reported by those who need an answer.
    let Ok(facts) = gateway.database().client_facts().await else { return };
    record_states(gateway, &facts);
    observer.observe(gateway, &facts).await;
}

fn record_states(gateway: &Gateway, facts: &[ClientFacts]) {
    let database = gateway.database();
    let now = database.now();
    let live = gateway.live();
    for policy in live.clients.policies() {
        let facts = facts.iter().find(|facts| facts.name == policy.name);
        let Some(change) = facts.and_then(|facts| change(policy, facts, now)) else { continue };
        log(&change);
        let StateChange { client, before, recorded: state, reason } = change;
        database.record(Record::ClientState { client, before, state, reason });
    }
}

fn log(change: &StateChange) {
    let (client, state) = (&change.client, change.recorded.state.as_str());
    let before = change.before.map(ClientState::as_str);
    let reason = change.reason.as_deref();
    if change.recorded.state == ClientState::Ok {
        // The first state of a client that is well is no news.
        if before.is_some() {
            tracing::info!(event = "client_state_changed", %client, state, before);
        }
    } else {
        tracing::warn!(event = "client_state_changed", %client, state, before, reason);
    }
}

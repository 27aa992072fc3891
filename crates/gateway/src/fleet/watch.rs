//! Records the changes of states each minute, and logs them.

use std::time::Duration;

use s3up_core::wire::ClientState;

use super::overview::{StateChange, change};
use crate::database::record::Record;
use crate::gateway::Gateway;

/// Pause before the first time, in which agents that waited for the gateway send heartbeats.
const AFTER_START: Duration = Duration::from_secs(90);

/// Pause between two times. An incident is noticed within two of them.
const JUDGED_EVERY: Duration = Duration::from_secs(60);

/// Judges all clients, until the gateway stops. Never returns.
pub(crate) async fn watch(gateway: Gateway) {
    tokio::time::sleep(AFTER_START).await;
    loop {
        record_changes(&gateway).await;
        tokio::time::sleep(JUDGED_EVERY).await;
    }
}

/// Judges all clients once. Without an answer of the database nothing is judged: it is no fact that a
/// client was not heard of.
pub(crate) async fn record_changes(gateway: &Gateway) {
    let database = gateway.database();
    // The error is reported by those who need an answer.
    let Ok(facts) = database.client_facts().await else { return };
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

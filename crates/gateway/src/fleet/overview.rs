//! The answer to `GET /clients`, which `s3up-server fleet` prints as well. Pure.

use std::collections::BTreeMap;

use s3up_core::ClientName;
use s3up_core::wire::{
    self, AgentFacts, ClientList, ClientState, ClientStatus, Drill, Frozen, Watches,
};

use super::backups::aged;
use super::incidents::{IncidentKey, OpenIncident};
use super::judge::{Thresholds, age, judge};
use crate::clients::ClientPolicy;
use crate::clock::{Millis, time_text};
use crate::database::client_facts::{ClientFacts, ReceivedHeartbeat};
use crate::database::record::RecordedState;

/// Returns the clients of the configuration, the worst state first. A client that the database does
/// not have yet is new.
pub(crate) fn overview<'p>(
    policies: impl Iterator<Item = &'p ClientPolicy>,
    facts: Vec<ClientFacts>,
    open: &BTreeMap<IncidentKey, OpenIncident>,
    now: Millis,
) -> ClientList {
    let mut facts: BTreeMap<ClientName, ClientFacts> =
        facts.into_iter().map(|facts| (facts.name.clone(), facts)).collect();
    let mut clients: Vec<_> = policies
        .map(|policy| {
            let facts = facts.remove(&policy.name);
            let facts = facts.unwrap_or_else(|| ClientFacts::unknown(&policy.name, now));
            status(policy, facts, open, now)
        })
        .collect();
    clients.sort_by(|a, b| b.state.cmp(&a.state).then_with(|| a.name.cmp(&b.name)));
    ClientList { at: time_text(now), clients }
}

/// Returns what is known of one client.
pub(crate) fn status(
    policy: &ClientPolicy,
    facts: ClientFacts,
    open: &BTreeMap<IncidentKey, OpenIncident>,
    now: Millis,
) -> ClientStatus {
    let judgement = judge(&facts, thresholds(policy), now);
    let since = match facts.recorded {
        Some(recorded) if recorded.state == judgement.state => recorded.since,
        // It changed within the last minute, or is the first.
        _ => now,
    };
    let received = facts.heartbeat.as_ref();
    let heartbeat = received.map(|received| &received.body);
    ClientStatus {
        name: facts.name.to_string(),
        state: judgement.state,
        reason: judgement.reason,
        since: time_text(since),
        last_seen_at: facts.last_seen_at.map(time_text),
        last_heartbeat_at: received.map(|received| time_text(received.at)),
        last_stored_at: facts.last_stored_at.map(time_text),
        last_report_day: facts.last_report_day,
        last_report_at: facts.last_report_at.map(time_text),
        last_backup_report_at: facts.backup_report.as_ref().map(|received| time_text(received.at)),
        subvolumes: facts.backup_report.as_ref().map(|it| aged(it, now)).unwrap_or_default(),
        backup_program: facts.backup_report.map(|received| received.body.program),
        stored: facts.stored,
        quota_bytes: policy.quota_bytes,
        last_scan_at: received.and_then(last_scan_at),
        oldest_pending_seconds: heartbeat.and_then(|it| it.oldest_pending_seconds),
        files: heartbeat.map(|it| it.files),
        watcher: heartbeat.map(|it| it.watcher.clone()),
        watches: None,
        last_drill: received.and_then(|it| last_drill(it, now)),
        agent: received.map(agent),
        frozen: facts.frozen.map(|it| Frozen { since: time_text(it.since), reason: it.reason }),
        incidents: incidents_of(&policy.name, open),
    }
}

fn last_scan_at(received: &ReceivedHeartbeat) -> Option<String> {
    let of_gateway = received.time_of(received.body.last_scan_age_seconds).map(time_text);
    of_gateway.or_else(|| received.body.last_scan_at.clone())
}

/// Returns the last drill with the times of the gateway, and the ages that they have now.
fn last_drill(received: &ReceivedHeartbeat, now: Millis) -> Option<Drill> {
    let mut drill = received.body.last_drill.clone()?;
    let aged =
        |seconds| received.time_of(seconds).map(|at| (time_text(at), age(at, now).as_secs()));
    if let Some((at, age)) = aged(drill.age_seconds) {
        (drill.at, drill.age_seconds) = (at, Some(age));
    }
    if let Some((at, age)) = aged(drill.last_good_age_seconds) {
        (drill.last_good_at, drill.last_good_age_seconds) = (Some(at), Some(age));
    }
    Some(drill)
}

/// Returns watches that arrived at a time, with the ages that their scans have now.
pub(crate) fn watches_now(mut watches: Watches, received_at: Millis, now: Millis) -> Watches {
    let since = age(received_at, now).as_secs();
    for watch in &mut watches.list {
        watch.last_scan_age_seconds =
            watch.last_scan_age_seconds.map(|seconds| seconds.saturating_add(since));
    }
    watches
}

fn agent(received: &ReceivedHeartbeat) -> AgentFacts {
    let mut agent = received.body.agent.clone();
    if let Some(at) = received.time_of(received.body.running_seconds) {
        agent.started_at = time_text(at);
    }
    agent
}

fn incidents_of(
    client: &ClientName,
    open: &BTreeMap<IncidentKey, OpenIncident>,
) -> Vec<wire::Incident> {
    let own = open
        .iter()
        .filter(|((topic, subject), _)| topic.is_of_client() && subject == client.as_str());
    own.map(|((topic, _), incident)| wire::Incident {
        topic: topic.as_str().to_owned(),
        since: time_text(incident.since),
        reason: incident.reason.clone(),
    })
    .collect()
}

/// Returns the change of the state of a client since a gateway last recorded it.
pub(crate) fn change(
    policy: &ClientPolicy,
    facts: &ClientFacts,
    now: Millis,
) -> Option<StateChange> {
    let judgement = judge(facts, thresholds(policy), now);
    let before = facts.recorded.map(|recorded| recorded.state);
    (before != Some(judgement.state)).then(|| StateChange {
        client: policy.name.clone(),
        before,
        recorded: RecordedState { state: judgement.state, since: now },
        reason: judgement.reason,
    })
}

/// A client came into another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateChange {
    pub client: ClientName,
    /// `None` for a new client.
    pub before: Option<ClientState>,
    pub recorded: RecordedState,
    pub reason: Option<String>,
}

fn thresholds(policy: &ClientPolicy) -> Thresholds {
    Thresholds {
        silent_after: policy.silent_after,
        lag_after: policy.lag_after,
        backup_late_after: policy.backup_late_after,
    }
}

/// Returns one sentence for the whole fleet.
pub(crate) fn headline(list: &ClientList) -> String {
    let safe = |state| matches!(state, ClientState::Ok | ClientState::Degraded);
    let count = list.clients.iter().filter(|client| safe(client.state)).count();
    let total = list.clients.len();
    let noun = if total == 1 { "client is" } else { "clients are" };
    let worst = list.clients.first().filter(|client| client.state != ClientState::Ok);
    let worst = worst.map(|client| {
        let reason = client.reason.as_deref().unwrap_or("no reason is known");
        format!("; {}: {reason}", client.name)
    });
    format!("{count} of {total} {noun} safe{}", worst.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use s3up_core::wire::Total;

    use super::*;

    const NOW: Millis = 1_769_860_800_000;

    fn policy(name: &str) -> ClientPolicy {
        ClientPolicy::unlimited(ClientName::parse(name).unwrap(), Vec::new())
    }

    fn facts(name: &str, last_seen_at: Option<Millis>, state: ClientState) -> ClientFacts {
        ClientFacts {
            last_seen_at,
            stored: Total { files: 1, bytes: 2 },
            recorded: Some(RecordedState { state, since: 1000 }),
            ..ClientFacts::unknown(&ClientName::parse(name).unwrap(), 0)
        }
    }

    #[test]
    fn the_worst_client_is_first_and_a_state_keeps_its_time() {
        let day = 86_400_000;
        let policies = [policy("a"), policy("b"), policy("c"), policy("new")];
        let facts = vec![
            facts("a", Some(NOW), ClientState::Ok),
            facts("b", Some(NOW - 2 * day), ClientState::Ok),
            facts("c", Some(NOW - 3 * day), ClientState::Silent),
            facts("removed", Some(NOW), ClientState::Ok),
        ];

        let list = overview(policies.iter(), facts, &BTreeMap::new(), NOW);

        let seen: Vec<_> =
            list.clients.iter().map(|it| (it.name.as_str(), it.state, it.since.as_str())).collect();
        let now = "2026-01-31T12:00:00Z";
        let want = [
            ("b", ClientState::Silent, now),
            ("c", ClientState::Silent, "1970-01-01T00:00:01Z"),
            ("new", ClientState::Never, now),
            ("a", ClientState::Ok, "1970-01-01T00:00:01Z"),
        ];
        assert_eq!(seen, want);
        let want = "1 of 4 clients are safe; b: no request for 2 d, since 2026-01-29T12:00:00Z";
        assert_eq!(headline(&list), want);
    }

    #[test]
    fn only_another_state_is_a_change() {
        let policy = policy("a");
        let facts = facts("a", Some(NOW), ClientState::Ok);
        assert_eq!(change(&policy, &facts, NOW), None);
        let later = NOW + 30 * 3_600_000;
        let change = change(&policy, &facts, later).unwrap();
        assert_eq!(
            (change.before, change.recorded.state),
            (Some(ClientState::Ok), ClientState::Silent)
        );
    }
}

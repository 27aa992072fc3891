//! `GET /metrics`: the fleet and the gateway in the text format of Prometheus, for an admin key.
//!
//! Labels are the client and a state, a result or a topic, never a path, so that the number of series is
//! bounded. All series of a client exist from the start, so that a rule can see the first increase; those of
//! subvolumes exist from the first backup report.

mod backups;
mod labels;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use s3up_core::Code;
use s3up_core::wire::{self, ClientState, ClientStatus, FileTotals, Part, Readiness};

use self::labels::{ClientLabels, Value, float, seconds};
use crate::alert::{Channel, Topic};
use crate::clock::{Millis, millis};
use crate::counters::{Counters, UploadResult};
use crate::fleet::incidents::{IncidentKey, OpenIncident, by_subject};
use crate::fleet::overview::overview;
use crate::gateway::Gateway;
use crate::openapi::AdminRefusals;
use crate::refusal::Refusal;

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

type Sum = Counter<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    client: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientResultLabels {
    client: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientTopicLabels {
    client: String,
    topic: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabels {
    channel: &'static str,
}

/// Returns metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics",
    responses(
        (status = 200, description = "Prometheus text", body = String, content_type = "text/plain"),
        AdminRefusals
    ),
    security(("admin_key" = []))
)]
pub(crate) async fn metrics(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    gateway.authenticate_admin(request.headers())?;
    let readiness = gateway.readiness().await;
    let mut text = Exposition::default();
    text.add(|registry| add_gateway(registry, &readiness))?;
    text.add(|registry| add_work(registry, &gateway))?;
    text.add(|registry| add_s3_calls(registry, &gateway))?;
    text.add(|registry| add_uploads(registry, &gateway))?;
    // Without the database the series of clients are absent, and `s3up_database_ok` says why.
    if let (Ok(facts), Ok(open)) =
        (gateway.database().client_facts().await, gateway.database().open_incidents().await)
    {
        let open = by_subject(open);
        let list =
            overview(gateway.live().clients.policies(), facts, &open, gateway.database().now());
        add_clients(&mut text, &list.clients)?;
        text.add(|registry| backups::add(registry, &list.clients))?;
        text.add(|registry| add_incidents(registry, &list.clients, &open))?;
    }
    let waiting = waiting_alerts(&gateway).await;
    let help = "Alerts that wait for their receiver, up to 100";
    text.add(|registry| registry.register("alerts_undelivered", help, waiting))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text.0).into_response())
}

/// The text of all metrics. A family takes many times the memory of its text, so few of them exist at once.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    /// Adds the families that `register` registers.
    fn add(&mut self, register: impl FnOnce(&mut Registry)) -> Result<(), Refusal> {
        let mut registry = Registry::with_prefix("s3up");
        register(&mut registry);
        let mut text = String::new();
        encode_registry(&mut text, &registry).map_err(|err| Refusal::new(Code::Internal, err))?;
        self.0.push_str(&prometheus_text(&text));
        Ok(())
    }
}

/// Returns OpenMetrics text in the text format of Prometheus, which gives the type and the help of a counter
/// under the name of its samples.
fn prometheus_text(open_metrics: &str) -> String {
    let counter = |line: &str| -> Option<String> {
        let name = line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?;
        Some(name.to_owned())
    };
    let counters: BTreeSet<String> = open_metrics.lines().filter_map(counter).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let renamed = ["# HELP ", "# TYPE "].iter().find_map(|start| {
            let (name, rest) = line.strip_prefix(start)?.split_once(' ')?;
            counters.contains(name).then(|| format!("{start}{name}_total {rest}"))
        });
        text.push_str(renamed.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

/// Adds what the gateway does now, and the ages of what it depends on.
fn add_work(registry: &mut Registry, gateway: &Gateway) {
    let (database, pool) = (gateway.database(), gateway.store().pool().clone());
    let records = database.record_counts();
    let certificate = gateway.certificate().ends_at().map_or(0, millis);
    let gauges = [
        ("requests_in_flight", "Requests in progress", float(database.counters().requests())),
        ("buffer_used_bytes", "Part buffers in use", float(pool.used_bytes())),
        ("buffer_budget_bytes", "`server.buffer_budget_mb` in bytes", float(pool.budget_bytes())),
        ("records_pending", "Records that wait for the database", float(records.pending)),
        (
            "certificate_end_timestamp_seconds",
            "End of the TLS certificate; 0: none",
            in_seconds(certificate),
        ),
        (
            "config_accepted_timestamp_seconds",
            "The start, or the last reload that was accepted",
            in_seconds(gateway.reloads().accepted_at()),
        ),
    ];
    for (name, help, value) in gauges {
        let gauge = Value::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    let counters = [
        ("records_dropped", "Records that the database could not take", records.dropped),
        ("database_write_failures", "Writes to the database that failed", records.failed_writes),
        ("failed_keys", "Requests without a valid key", gateway.failed_keys().total()),
        (
            "connections_closed",
            "Idle connections that were closed for new ones",
            database.counters().closed_connections(),
        ),
    ];
    for (name, help, value) in counters {
        let counter = Sum::default();
        counter.inc_by(float(value));
        registry.register(name, help, counter);
    }
}

/// Adds the calls to S3. Their seconds divided by their number are the mean latency.
fn add_s3_calls(registry: &mut Registry, gateway: &Gateway) {
    let (calls, seconds) =
        (Family::<ResultLabels, Sum>::default(), Family::<ResultLabels, Sum>::default());
    let totals = gateway.store().call_totals();
    for (result, total) in [("ok", totals.succeeded), ("failed", totals.failed)] {
        let label = ResultLabels { result };
        calls.get_or_create(&label).inc_by(float(total.calls));
        seconds.get_or_create(&label).inc_by(total.elapsed.as_secs_f64());
    }
    registry.register("s3_calls", "Calls to S3; one that is repeated counts again", calls);
    registry.register("s3_call_seconds", "Time until their answers, with their bodies", seconds);
}

fn add_uploads(registry: &mut Registry, gateway: &Gateway) {
    let uploads = Family::<ClientResultLabels, Sum>::default();
    let bytes = Family::<ClientLabels, Sum>::default();
    let counters: &Counters = gateway.database().counters();
    for policy in gateway.live().clients.policies() {
        let client = policy.name.to_string();
        for result in UploadResult::ALL {
            let count = counters.uploads(&policy.name, result);
            let label = ClientResultLabels { client: client.clone(), result: result.as_str() };
            uploads.get_or_create(&label).inc_by(float(count));
        }
        let stored = float(counters.stored_bytes(&policy.name));
        bytes.get_or_create(&ClientLabels { client }).inc_by(stored);
    }
    registry.register("uploads", "Uploads that have ended, by result", uploads);
    registry.register("uploaded_bytes", "Bytes of the uploads that stored a file", bytes);
}

/// Adds a series for each topic, which is 1 while there is an incident.
fn add_incidents(
    registry: &mut Registry,
    clients: &[ClientStatus],
    open: &BTreeMap<IncidentKey, OpenIncident>,
) {
    let of_clients = Family::<ClientTopicLabels, Value>::default();
    let of_gateways = Family::<TopicLabels, Value>::default();
    for topic in Topic::ALL {
        let of_topic = || open.keys().filter(|(other, _)| *other == topic);
        let value = |is_open| if is_open { 1.0 } else { 0.0 };
        if !topic.is_of_client() {
            let label = TopicLabels { topic: topic.as_str() };
            of_gateways.get_or_create(&label).set(value(of_topic().next().is_some()));
            continue;
        }
        for client in clients {
            let label = ClientTopicLabels { client: client.name.clone(), topic: topic.as_str() };
            let is_open = of_topic().any(|(_, subject)| *subject == client.name);
            of_clients.get_or_create(&label).set(value(is_open));
        }
    }
    registry.register("client_incident", "1 while there is such an incident", of_clients);
    registry.register("gateway_incident", "1 while there is such an incident", of_gateways);
}

/// Returns the number of alerts that wait for each receiver of the configuration.
async fn waiting_alerts(gateway: &Gateway) -> Family<ChannelLabels, Value> {
    let waiting = Family::<ChannelLabels, Value>::default();
    let alerts = gateway.live().alerts.clone();
    for channel in Channel::ALL {
        let has_receiver = match channel {
            Channel::Webhook => alerts.webhook_url.is_some(),
            Channel::Mail => alerts.mail.is_some(),
        };
        if has_receiver && let Ok(alerts) = gateway.database().undelivered_alerts(channel).await {
            let label = ChannelLabels { channel: channel.as_str() };
            waiting.get_or_create(&label).set(alerts.len() as f64);
        }
    }
    waiting
}

fn add_gateway(registry: &mut Registry, readiness: &Readiness) {
    let gauges = [
        ("ready", "1 if the gateway can store files and record them", readiness.ready),
        ("s3_ok", "1 if S3 answers", readiness.s3 == Part::Ok),
        ("database_ok", "1 if the database answers", readiness.database == Part::Ok),
        ("config_ok", "1 if the last reload was accepted", readiness.config == Part::Ok),
        (
            "temporary_files_ok",
            "1 if temporary files of forms can be written",
            readiness.temporary_files == Part::Ok,
        ),
    ];
    for (name, help, is_ok) in gauges {
        let gauge = Value::default();
        gauge.set(if is_ok { 1.0 } else { 0.0 });
        registry.register(name, help, gauge);
    }
    let refused = Value::default();
    refused.set(float(readiness.configs_refused));
    let help = "Configurations that were refused at a reload since the start";
    registry.register("config_reloads_refused", help, refused);
}

fn add_clients(text: &mut Exposition, clients: &[ClientStatus]) -> Result<(), Refusal> {
    let gauges = [
        ("client_last_seen_timestamp_seconds", "Last request with a key of the client; 0: never"),
        ("client_last_heartbeat_timestamp_seconds", "Last heartbeat; 0: never"),
        ("client_last_scan_timestamp_seconds", "End of the last complete scan; 0: none"),
        ("client_last_stored_timestamp_seconds", "Last upload that stored a file; 0: none"),
        ("client_last_report_timestamp_seconds", "Arrival of the newest report; 0: none"),
        ("client_oldest_pending_seconds", "Age of the oldest pending file"),
        ("client_stored_files", "Files that the gateway stored, in their newest versions"),
        ("client_stored_bytes", "Their bytes"),
        ("client_quota_bytes", "Quota of the client; 0: none"),
        ("client_frozen", "1 while an operator has stopped its uploads"),
    ];
    for (n, (name, help)) in gauges.into_iter().enumerate() {
        let family = Family::<ClientLabels, Value>::default();
        for client in clients {
            let value = values(client).get(n).copied().unwrap_or_default();
            family.get_or_create(&ClientLabels { client: client.name.clone() }).set(value);
        }
        text.add(|registry| registry.register(name, help, family))?;
    }
    let state_of = |client: &ClientStatus| {
        let value = |known| if known == client.state { 1.0 } else { 0.0 };
        ClientState::ALL.map(|known| (known.as_str(), value(known)))
    };
    add_states(text, "client_state", "1 for the state of the client", clients, state_of)?;
    let totals_of = |client: &ClientStatus| totals(&client.files.unwrap_or_default());
    let files =
        |client: &ClientStatus| totals_of(client).map(|(state, total)| (state, float(total.files)));
    add_states(text, "client_files", "Files on the host by state", clients, files)?;
    let bytes =
        |client: &ClientStatus| totals_of(client).map(|(state, total)| (state, float(total.bytes)));
    let help = "Bytes of the files on the host by state";
    add_states(text, "client_file_bytes", help, clients, bytes)
}

/// Adds a family with a series for each client and state.
fn add_states<const N: usize>(
    text: &mut Exposition,
    name: &str,
    help: &str,
    clients: &[ClientStatus],
    values: impl Fn(&ClientStatus) -> [(&'static str, f64); N],
) -> Result<(), Refusal> {
    let family = Family::<StateLabels, Value>::default();
    for client in clients {
        for (state, value) in values(client) {
            let label = StateLabels { client: client.name.clone(), state };
            family.get_or_create(&label).set(value);
        }
    }
    text.add(|registry| registry.register(name, help, family))
}

/// Returns the values in the order of the gauges of [`add_clients`].
fn values(client: &ClientStatus) -> [f64; 10] {
    let time = |text: &Option<String>| text.as_deref().map_or(0.0, seconds);
    [
        time(&client.last_seen_at),
        time(&client.last_heartbeat_at),
        time(&client.last_scan_at),
        time(&client.last_stored_at),
        time(&client.last_report_at),
        float(client.oldest_pending_seconds.unwrap_or(0)),
        float(client.stored.files),
        float(client.stored.bytes),
        float(client.quota_bytes.unwrap_or(0)),
        if client.frozen.is_some() { 1.0 } else { 0.0 },
    ]
}

fn totals(files: &FileTotals) -> [(&'static str, wire::Total); 5] {
    [
        ("protected", files.protected),
        ("pending", files.pending),
        ("baseline", files.baseline),
        ("excluded", files.excluded),
        ("problem", files.problems),
    ]
}

fn in_seconds(at: Millis) -> f64 {
    at as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_their_help_under_the_name_of_their_samples() {
        let open_metrics = "# HELP a Some a.\n# TYPE a counter\na_total{x=\"y\"} 1.0\n\
                            # HELP b Some b.\n# TYPE b gauge\nb 2.0\n# EOF\n";
        let want = "# HELP a_total Some a.\n# TYPE a_total counter\na_total{x=\"y\"} 1.0\n\
                    # HELP b Some b.\n# TYPE b gauge\nb 2.0\n";
        assert_eq!(prometheus_text(open_metrics), want);
    }
}

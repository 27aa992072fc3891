//! `GET /metrics`: the fleet and the gateway in the text format of Prometheus, for an admin key.
//!
//! Labels are the client and a state, never a path, so that the number of series is bounded.

mod backups;
mod labels;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use s3up_core::Code;
use s3up_core::wire::{ClientState, ClientStatus, FileTotals, Part, Readiness, Total};

use self::labels::{ClientLabels, Value, float, seconds};
use crate::alert::Channel;
use crate::fleet::overview::overview;
use crate::gateway::Gateway;
use crate::openapi::AdminRefusals;
use crate::refusal::Refusal;

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    client: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabels {
    channel: &'static str,
}

/// Returns metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics",
    responses(
        (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
        AdminRefusals
    ),
    security(("admin_key" = []))
)]
pub(crate) async fn metrics(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    gateway.authenticate_admin(request.headers())?;
    let mut registry = Registry::with_prefix("s3up");
    let readiness = gateway.readiness().await;
    add_gateway(&mut registry, &readiness);
    // Without the database the series of clients are absent, and `s3up_database_ok` says why.
    if let Ok(facts) = gateway.database().client_facts().await {
        let list = overview(gateway.live().clients.policies(), facts, gateway.database().now());
        add_clients(&mut registry, &list.clients);
        backups::add(&mut registry, &list.clients);
    }
    add_alerts(&mut registry, &gateway).await;
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|err| Refusal::new(Code::Internal, err))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Adds the alerts that wait for each receiver of the configuration.
async fn add_alerts(registry: &mut Registry, gateway: &Gateway) {
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
    let help = "Alerts that wait for their receiver, up to 100";
    registry.register("alerts_undelivered", help, waiting);
}

fn add_gateway(registry: &mut Registry, readiness: &Readiness) {
    let gauges = [
        ("ready", "1 if the gateway can store files and record them", readiness.ready),
        ("s3_ok", "1 if S3 answers", readiness.s3 == Part::Ok),
        ("database_ok", "1 if the database answers", readiness.database == Part::Ok),
        ("config_ok", "1 if the last reload was accepted", readiness.config == Part::Ok),
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

fn add_clients(registry: &mut Registry, clients: &[ClientStatus]) {
    let state = Family::<StateLabels, Value>::default();
    let (files, bytes) =
        (Family::<StateLabels, Value>::default(), Family::<StateLabels, Value>::default());
    let gauges = [
        ("client_last_seen_timestamp_seconds", "Last request with a key of the client; 0: never"),
        ("client_last_heartbeat_timestamp_seconds", "Last heartbeat; 0: never"),
        ("client_last_scan_timestamp_seconds", "End of the last complete scan; 0: none"),
        ("client_last_stored_timestamp_seconds", "Last upload that stored a file; 0: none"),
        ("client_last_report_timestamp_seconds", "Day of the newest report; 0: none"),
        ("client_oldest_pending_seconds", "Age of the oldest pending file"),
        ("client_stored_files", "Files that the gateway stored, in their newest versions"),
        ("client_stored_bytes", "Their bytes"),
        ("client_quota_bytes", "Quota of the client; 0: none"),
    ];
    let families = gauges.map(|(name, help)| {
        let family = Family::<ClientLabels, Value>::default();
        registry.register(name, help, family.clone());
        family
    });
    registry.register("client_state", "1 for the state of the client", state.clone());
    registry.register("client_files", "Files on the host by state", files.clone());
    registry.register(
        "client_file_bytes",
        "Bytes of the files on the host by state",
        bytes.clone(),
    );
    for client in clients {
        for (family, value) in families.iter().zip(values(client)) {
            family.get_or_create(&ClientLabels { client: client.name.clone() }).set(value);
        }
        let label = |state| StateLabels { client: client.name.clone(), state };
        for known in ClientState::ALL {
            let value = if known == client.state { 1.0 } else { 0.0 };
            state.get_or_create(&label(known.as_str())).set(value);
        }
        for (name, total) in totals(&client.files.unwrap_or_default()) {
            files.get_or_create(&label(name)).set(float(total.files));
            bytes.get_or_create(&label(name)).set(float(total.bytes));
        }
    }
}

/// Returns the values in the order of the gauges of [`add_clients`].
fn values(client: &ClientStatus) -> [f64; 9] {
    let time = |text: &Option<String>| text.as_deref().map_or(0.0, seconds);
    let report = client.last_report_day.as_ref().map(|day| format!("{day}T00:00:00Z"));
    [
        time(&client.last_seen_at),
        time(&client.last_heartbeat_at),
        time(&client.last_scan_at),
        time(&client.last_stored_at),
        time(&report),
        float(client.oldest_pending_seconds.unwrap_or(0)),
        float(client.stored.files),
        float(client.stored.bytes),
        float(client.quota_bytes.unwrap_or(0)),
    ]
}

fn totals(files: &FileTotals) -> [(&'static str, Total); 5] {
    [
        ("protected", files.protected),
        ("pending", files.pending),
        ("baseline", files.baseline),
        ("excluded", files.excluded),
        ("problem", files.problems),
    ]
}

//! `GET /dashboard/gateway`: this gateway, its bucket and its database.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use s3up_core::wire::Readiness;
use s3up_store::findings;

use super::gateway_view::{self, GatewayPageFacts};
use super::layout::{Frame, Section};
use super::visit::{NotShown, visit};
use crate::clock::millis;
use crate::fleet::observe::host_name;
use crate::gateway::Gateway;

/// Longest wait of the page for the answer of S3. The check continues, and the next page has its answer.
const READINESS_WAIT_MAX: Duration = Duration::from_millis(150);

pub(super) async fn gateway(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, NotShown> {
    let visit = visit(&gateway, &request)?;
    let facts = read(&gateway).await;
    let title = "Gateway".to_owned();
    let frame =
        Frame { visit: &visit, section: Section::Gateway, title, now: facts.now, is_live: true };
    Ok(frame.page(gateway_view::content(&facts)))
}

/// Gathers the facts. A part that fails is not known, and the others are shown.
async fn read(gateway: &Gateway) -> GatewayPageFacts {
    let (database, live) = (gateway.database(), gateway.live());
    let open = database.open_incidents().await;
    let incidents = open.ok().map(|open| {
        let mut open: Vec<_> = open
            .into_iter()
            .filter(|row| !row.topic.is_of_client())
            .map(|row| (row.topic, row.subject, row.since, row.reason))
            .collect();
        open.sort_by_key(|(_, _, since, _)| *since);
        open
    });
    let pool = live.store.pool();
    GatewayPageFacts {
        now: database.now(),
        host: host_name().await,
        readiness: readiness(gateway).await,
        config_refused: gateway.reloads().refused(),
        config_accepted_at: gateway.reloads().accepted_at(),
        certificate_ends_at: gateway.certificate().ends_at().map(millis),
        serves_tls: gateway.certificate().is_present(),
        requests: database.counters().requests(),
        buffers: (pool.used_bytes(), pool.budget_bytes()),
        records: database.record_counts(),
        failed_keys: gateway.failed_keys().total(),
        since_start: live.store.call_totals(),
        rates: gateway.dashboard().work.rates(),
        bucket_name: live.store.settings().bucket.clone(),
        findings: findings(&live.store.capabilities()),
        bucket: gateway.dashboard().bucket.last(),
        database_place: database.place(),
        database_bytes: database.size_bytes().await.ok(),
        incidents,
        clients: live.clients.policies().count(),
    }
}

/// Returns `None` if S3 has not answered yet.
async fn readiness(gateway: &Gateway) -> Option<Readiness> {
    let asked = gateway.clone();
    let check = tokio::spawn(async move { asked.readiness().await });
    tokio::time::timeout(READINESS_WAIT_MAX, check).await.ok()?.ok()
}

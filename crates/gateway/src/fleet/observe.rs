//! Gathers the facts for incidents, records the incidents that begin and end, and writes the daily report.
//! The decisions are those of [`super::incidents`] and [`super::daily_report`].

use std::collections::{BTreeMap, VecDeque};

use s3up_core::error_chain;
use s3up_store::Versioning;

use super::daily_report;
use super::incidents::{
    GatewayFacts, IncidentKey, OpenIncident, by_subject, judge_all, transitions,
};
use super::overview::overview;
use crate::clock::millis;
use crate::database::DatabaseError;
use crate::database::client_facts::ClientFacts;
use crate::gateway::Gateway;

/// Number of minutes over which requests without a valid key are counted.
const MINUTES: usize = 10;

/// The memory of one gateway between two observations.
pub(crate) struct Observer {
    host: String,
    /// Total of the requests without a valid key at each of the last observations.
    failed_keys: VecDeque<u64>,
}

impl Observer {
    pub(crate) async fn new() -> Observer {
        let host = tokio::fs::read_to_string("/proc/sys/kernel/hostname").await;
        // Without a name, all gateways share their incidents.
        let host = host.map_or_else(|_| "gateway".to_owned(), |name| name.trim().to_owned());
        Observer { host, failed_keys: VecDeque::new() }
    }

    /// Observes once. What the database does not answer is asked again the next time.
    pub(crate) async fn observe(&mut self, gateway: &Gateway, facts: &[ClientFacts]) {
        let recorded = self.record_incidents(gateway, facts).await;
        let reported = match &recorded {
            Ok(()) => write_daily_report(gateway, facts).await,
            Err(_) => Ok(()),
        };
        for result in [recorded, reported] {
            if let Err(err) = result {
                let error = error_chain(&err);
                tracing::warn!(
                    event = "incidents_not_recorded",
                    error,
                    "cannot record incidents or the daily report in the database; trying again in a minute"
                );
            }
        }
    }

    async fn record_incidents(
        &mut self,
        gateway: &Gateway,
        facts: &[ClientFacts],
    ) -> Result<(), DatabaseError> {
        let database = gateway.database();
        let own = self.facts_of(gateway).await?;
        let changes = database.changes().await?;
        let open = by_subject(database.open_incidents().await?);
        let live = gateway.live();
        let policies = live.clients.policies();
        let judged = judge_all(policies, facts, &changes, &own, &open, database.now());
        for change in transitions(&open, judged) {
            let (topic, subject) = (change.topic.as_str(), &change.subject);
            match &change.begun {
                Some(reason) => {
                    if database.begin_incident(change.topic, subject, reason).await? {
                        tracing::warn!(event = "incident_begun", topic, subject, reason);
                    }
                }
                None => {
                    if database.end_incident(change.topic, subject).await? {
                        tracing::info!(event = "incident_over", topic, subject);
                    }
                }
            }
        }
        Ok(())
    }

    async fn facts_of(&mut self, gateway: &Gateway) -> Result<GatewayFacts, DatabaseError> {
        let total = gateway.failed_keys().total();
        self.failed_keys.push_back(total);
        if self.failed_keys.len() > MINUTES + 1 {
            self.failed_keys.pop_front();
        }
        let before = self.failed_keys.front().copied().unwrap_or(total);
        let live = gateway.live();
        let bucket = format!("{}/{}", live.store.settings().bucket, gateway.prefix());
        let versioning = match gateway.readiness().await.versioning.as_str() {
            "enabled" => Some(Versioning::Enabled),
            "off" => Some(Versioning::Off),
            _ => None,
        };
        let database = gateway.database();
        if versioning == Some(Versioning::Enabled) {
            database.remember_versions(&bucket).await?;
        }
        let kept_versions = database.kept_versions(&bucket).await?;
        Ok(GatewayFacts {
            host: self.host.clone(),
            failed_keys: total.saturating_sub(before),
            certificate_ends_at: gateway.certificate().ends_at().map(millis),
            bucket,
            versioning,
            kept_versions,
        })
    }
}

/// Writes the daily report if it is due. Of several gateways, one does.
async fn write_daily_report(gateway: &Gateway, facts: &[ClientFacts]) -> Result<(), DatabaseError> {
    let (database, live) = (gateway.database(), gateway.live());
    let Some(at) = live.alerts.report_at else { return Ok(()) };
    let last = database.last_daily_report().await?;
    let Some(day) = daily_report::due(last.as_ref(), at, database.now()) else { return Ok(()) };
    let open: BTreeMap<IncidentKey, OpenIncident> = by_subject(database.open_incidents().await?);
    let list = overview(live.clients.policies(), facts.to_vec(), &open, database.now());
    let text = daily_report::text(&list, &open, last.as_ref());
    let (day, clients) = (day.to_string(), daily_report::reported(&list));
    if database.write_daily_report(&day, &text, &clients).await? {
        tracing::info!(event = "daily_report_written", day);
    }
    Ok(())
}

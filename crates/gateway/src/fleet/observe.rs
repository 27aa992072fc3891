//! Gathers the facts for incidents, records the incidents that begin and end, and writes the daily report.
//! The decisions are those of [`super::incidents`] and [`super::daily_report`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use s3up_core::error_chain;
use s3up_store::{ExpiryRules, VersionExpiry, Versioning};

use super::daily_report;
use super::incidents::{
    GatewayFacts, IncidentKey, OpenIncident, by_subject, judge_all, still_open, transitions,
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
    /// True while S3 does not say which lifecycle rules there are.
    is_expiry_unknown: bool,
}

impl Observer {
    pub(crate) async fn new() -> Observer {
        // Without a name, all gateways share their incidents.
        let host = host_name().await.unwrap_or_else(|| "gateway".to_owned());
        Observer { host, failed_keys: VecDeque::new(), is_expiry_unknown: false }
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
        for (topic, subject) in still_open(&open, &judged) {
            database.incident_seen(topic, &subject).await?;
        }
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
            expiry: self.expiry(gateway).await,
        })
    }

    /// Returns what lifecycle rules delete of the clients; `None` if S3 does not say.
    async fn expiry(&mut self, gateway: &Gateway) -> Option<VersionExpiry> {
        let rules = gateway.store().expiry_rules(Duration::ZERO).await;
        if let ExpiryRules::Unknown { reason } = &rules
            && !self.is_expiry_unknown
        {
            tracing::warn!(
                event = "lifecycle_rules_unknown",
                error = reason,
                "cannot read the lifecycle rules of the bucket, so one that deletes files is not noticed; \
                 allow s3:GetLifecycleConfiguration"
            );
        }
        self.is_expiry_unknown = matches!(rules, ExpiryRules::Unknown { .. });
        let (live, prefix) = (gateway.live(), gateway.prefix());
        let prefixes: Vec<_> =
            live.clients.policies().map(|policy| format!("{prefix}{}/", policy.name)).collect();
        let rules = rules.without(&live.accepted_rules);
        rules.below(prefixes.iter().map(String::as_str)).ok()
    }
}

/// Returns the name of this host.
pub(crate) async fn host_name() -> Option<String> {
    let name = tokio::fs::read_to_string("/proc/sys/kernel/hostname").await.ok()?;
    Some(name.trim().to_owned())
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

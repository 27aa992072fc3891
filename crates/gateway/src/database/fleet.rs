//! Facts, reports and alerts: the questions of the fleet to the database.

use s3up_core::ClientName;
use s3up_core::wire::ClientReport;

use super::client_facts::ClientFacts;
use super::record::{BackupReportRecord, Record};
use super::{Database, DatabaseError, Location, alerts, read_fleet};
use crate::alert::{Alert, Channel};
use crate::refusal::Refusal;

impl Database {
    /// Returns the facts about all clients, without a running gateway.
    pub(crate) async fn client_facts_at(
        location: &Location,
    ) -> Result<Vec<ClientFacts>, DatabaseError> {
        // The tables are brought up to date first.
        Database::examine(location).await?;
        let readers = location.readers()?;
        let facts = read_fleet::client_facts(&readers).await;
        readers.close().await;
        facts
    }

    /// Returns the facts about all clients.
    pub(crate) async fn client_facts(&self) -> Result<Vec<ClientFacts>, DatabaseError> {
        read_fleet::client_facts(&self.0.readers).await
    }

    /// Records a backup report and waits for its commit: the host sends it again until it is safe.
    pub(crate) async fn record_backup_report(
        &self,
        client: &ClientName,
        body: String,
    ) -> Result<(), Refusal> {
        let (client, at) = (client.clone(), self.now());
        let record = |committed| {
            Record::BackupReport(Box::new(BackupReportRecord { client, body, at, committed }))
        };
        self.record_and_wait("the backup report", record).await
    }

    /// Returns alerts that a channel has not delivered yet, the oldest first.
    pub(crate) async fn undelivered_alerts(
        &self,
        channel: Channel,
    ) -> Result<Vec<Alert>, DatabaseError> {
        alerts::undelivered(&self.0.readers, channel, self.now()).await
    }

    /// Takes an alert for one attempt. Returns false if another gateway took it since it was read.
    pub(crate) async fn claim_alert(
        &self,
        alert: &Alert,
        channel: Channel,
    ) -> Result<bool, DatabaseError> {
        alerts::claim(&self.0.readers, alert, channel, self.now()).await
    }

    pub(crate) async fn alert_delivered(
        &self,
        alert: &Alert,
        channel: Channel,
    ) -> Result<(), DatabaseError> {
        alerts::delivered(&self.0.readers, alert, channel, self.now()).await
    }

    /// Returns reports, the newest day first, of one day or one client if they are given.
    pub(crate) async fn reports(
        &self,
        day: Option<&str>,
        client: Option<&ClientName>,
    ) -> Result<Vec<ClientReport>, DatabaseError> {
        read_fleet::reports(&self.0.readers, day, client).await
    }
}

//! Facts, reports and alerts: the questions of the fleet to the database.

use std::collections::BTreeMap;

use s3up_core::ClientName;
use s3up_core::wire::{ClientReport, Watches};

use super::changes::Changes;
use super::client_facts::ClientFacts;
use super::freezes::{self, Freeze, Remembered};
use super::incidents::{IncidentRow, ReportedClient};
use super::record::{BackupReportRecord, Record};
use super::{Database, DatabaseError, Location, alerts, changes, incidents, read_fleet};
use crate::alert::{Alert, Channel, Topic};
use crate::clock::Millis;
use crate::refusal::Refusal;

impl Database {
    /// Returns the facts about all clients and the open incidents, without a running gateway.
    pub(crate) async fn client_facts_at(
        location: &Location,
    ) -> Result<(Vec<ClientFacts>, Vec<IncidentRow>), DatabaseError> {
        // The tables are brought up to date first.
        Database::examine(location).await?;
        let readers = location.readers()?;
        let facts = read_fleet::client_facts(&readers).await;
        let open = incidents::open(&readers).await;
        readers.close().await;
        Ok((facts?, open?))
    }

    /// Returns the facts about all clients.
    pub(crate) async fn client_facts(&self) -> Result<Vec<ClientFacts>, DatabaseError> {
        read_fleet::client_facts(&self.0.readers).await
    }

    /// Returns the facts about one client; `None` if the database does not have it yet.
    pub(crate) async fn facts_of(
        &self,
        client: &ClientName,
    ) -> Result<Option<ClientFacts>, DatabaseError> {
        read_fleet::facts_of(&self.0.readers, client).await
    }

    /// Returns the watches in the last heartbeat of a client, with the time at which it arrived.
    pub(crate) async fn watches_of(
        &self,
        client: &ClientName,
    ) -> Result<Option<(Millis, Watches)>, DatabaseError> {
        read_fleet::watches_of(&self.0.readers, client).await
    }

    /// Records a backup report and waits for its commit: the host sends it again until it is safe.
    pub(crate) async fn record_backup_report(
        &self,
        client: &ClientName,
        body: String,
    ) -> Result<(), Refusal> {
        let (client, body, at) = (client.clone(), body.into(), self.now());
        let record =
            |ended| Record::BackupReport(Box::new(BackupReportRecord { client, body, at, ended }));
        self.record_and_wait("the backup report", record).await
    }

    /// Returns the freeze of a client, as this gateway last read it.
    pub(crate) fn freeze_of(&self, client: &ClientName) -> Option<Freeze> {
        self.0.freezes.get(client)
    }

    /// Reads the freezes of all clients.
    pub(crate) async fn read_freezes(&self) -> Result<(), DatabaseError> {
        self.0.freezes.read(&self.0.readers).await
    }

    /// Puts the freezes into force that this gateway knew when its database last answered.
    pub(crate) async fn remember_freezes(&self) -> Remembered {
        self.0.freezes.remember().await
    }

    /// Returns the changes of the files of each client within about the last hour.
    pub(crate) async fn changes(&self) -> Result<BTreeMap<ClientName, Changes>, DatabaseError> {
        changes::within_an_hour(&self.0.readers, self.now()).await
    }

    /// Returns the incidents that are not over.
    pub(crate) async fn open_incidents(&self) -> Result<Vec<IncidentRow>, DatabaseError> {
        incidents::open(&self.0.readers).await
    }

    /// Begins an incident, with its alert. Returns false if another gateway did.
    pub(crate) async fn begin_incident(
        &self,
        topic: Topic,
        subject: &str,
        reason: &str,
    ) -> Result<bool, DatabaseError> {
        incidents::begin(&self.0.readers, topic, subject, reason, self.now()).await
    }

    /// Notes that an incident is not over.
    pub(crate) async fn incident_seen(
        &self,
        topic: Topic,
        subject: &str,
    ) -> Result<(), DatabaseError> {
        incidents::seen(&self.0.readers, topic, subject, self.now()).await
    }

    /// Ends an incident, with its alert. Returns false if another gateway did.
    pub(crate) async fn end_incident(
        &self,
        topic: Topic,
        subject: &str,
    ) -> Result<bool, DatabaseError> {
        incidents::end(&self.0.readers, topic, subject, self.now()).await
    }

    /// Remembers that a bucket keeps versions.
    pub(crate) async fn remember_versions(&self, bucket: &str) -> Result<(), DatabaseError> {
        incidents::remember_versions(&self.0.readers, bucket, self.now()).await
    }

    /// Returns true if a bucket was once seen to keep versions.
    pub(crate) async fn kept_versions(&self, bucket: &str) -> Result<bool, DatabaseError> {
        incidents::kept_versions(&self.0.readers, bucket).await
    }

    /// Returns the day of the last daily report and the clients that it showed.
    pub(crate) async fn last_daily_report(
        &self,
    ) -> Result<Option<(String, BTreeMap<String, ReportedClient>)>, DatabaseError> {
        incidents::last_report(&self.0.readers).await
    }

    /// Writes the daily report, to be delivered. Returns false if another gateway did.
    pub(crate) async fn write_daily_report(
        &self,
        day: &str,
        text: &str,
        clients: &[ReportedClient],
    ) -> Result<bool, DatabaseError> {
        incidents::write_report(&self.0.readers, day, text, clients, self.now()).await
    }

    /// Freezes a client: at once here, and within some seconds at other gateways.
    pub(crate) async fn freeze(
        &self,
        client: &ClientName,
        reason: String,
    ) -> Result<(), DatabaseError> {
        let freeze = Freeze { since: self.now(), reason };
        freezes::insert(&self.0.readers, client, &freeze).await?;
        self.0.freezes.add(client, freeze);
        // It is recorded and in force. The task that reads all freezes reports a failure.
        self.read_freezes().await.ok();
        Ok(())
    }

    /// Releases a client. Returns false if it was not frozen.
    pub(crate) async fn release(&self, client: &ClientName) -> Result<bool, DatabaseError> {
        let released = freezes::delete(&self.0.readers, client).await?;
        self.read_freezes().await?;
        Ok(released)
    }

    /// Freezes a client, without a running gateway.
    pub(crate) async fn freeze_at(
        location: &Location,
        client: &ClientName,
        freeze: &Freeze,
    ) -> Result<(), DatabaseError> {
        Database::examine(location).await?;
        let pool = location.readers()?;
        let frozen = freezes::insert(&pool, client, freeze).await;
        pool.close().await;
        frozen
    }

    /// Releases a client, without a running gateway. Returns false if it was not frozen.
    pub(crate) async fn release_at(
        location: &Location,
        client: &ClientName,
    ) -> Result<bool, DatabaseError> {
        Database::examine(location).await?;
        let pool = location.readers()?;
        let released = freezes::delete(&pool, client).await;
        pool.close().await;
        released
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

//! The task that sends heartbeats and reports.
//!
//! An unreachable gateway loses no report: it waits in the database. A gateway that refuses one
//! for good (it is too old to know the call, or the day is too long ago) gets the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use s3up_cli::notify_status;
use s3up_core::wire::{AgentFacts, Report};
use s3up_core::{Code, error_chain};
use tokio::sync::{mpsc, oneshot, watch};

use super::messages::{self, HostClocks};
use super::schedule::{CountNews, HEARTBEAT_EVERY, count_is_due, due_report};
use crate::clock;
use crate::database::recorder::{OnCommit, WriteRequest};
use crate::database::{Change, DatabaseError, REPORTS_MAX};
use crate::gateway::client::GatewayClient;
use crate::gateway::error::GatewayError;
use crate::scanning::scan::ScanReport;
use crate::states::agent_fact::AgentFact;
use crate::states::gateway_state::GatewayStatus;
use crate::status::{Status, StatusReader};

/// Longest wait of the first heartbeat for the first scan, which it would slow down.
const FIRST_SCAN_WAIT: Duration = HEARTBEAT_EVERY;

/// Minimum time between two heartbeats, if a watch fails or is back.
const TURN_PAUSE: Duration = Duration::from_secs(1);

/// Result of a call, which tells the daemon how the gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    pub status: GatewayStatus,
    pub reason: Option<String>,
}

#[derive(Debug)]
pub struct Reporter {
    pub status: StatusReader,
    pub gateway: GatewayClient,
    pub requests: mpsc::Sender<WriteRequest>,
    pub calls: mpsc::Sender<CallResult>,
    /// Grows with each change of a file or of the database.
    pub changes: Arc<AtomicU64>,
    /// Notified each time that scans of a watch begin to fail, or to succeed again.
    pub watch_turned: watch::Receiver<()>,
    /// True once all watches were scanned.
    pub scanned: watch::Receiver<bool>,
    /// Time of day (UTC) from which the day before is reported.
    pub report_time: Time,
    pub agent: AgentFacts,
    /// Start of the agent.
    pub started: tokio::time::Instant,
    /// Time since when this agent has had its database.
    pub agent_since: Timestamp,
}

/// The last count of the files.
#[derive(Debug)]
struct LastCount {
    status: Status,
    ended: tokio::time::Instant,
    took: Duration,
    changes: u64,
    /// True if a scan has just ended that counted them.
    is_of_scan: bool,
}

#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl Reporter {
    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let scanned = self.scanned.wait_for(|scanned| *scanned);
        // The sender lives as long as the daemon, and a late scan changes nothing here.
        drop(tokio::time::timeout(FIRST_SCAN_WAIT, scanned).await);
        let mut counted = None;
        let mut failing = false;
        loop {
            let result = self.tick(&mut counted).await;
            if let Err(err) = &result
                && !failing
            {
                log_failed(err, "cannot send a heartbeat; trying again each minute");
            }
            failing = result.is_err();
            let took = counted.as_ref().map_or(Duration::ZERO, |counted| counted.took);
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT_EVERY) => {}
                // The gateway hears of it soon, and a root that comes and goes costs at most half of
                // the time.
                Ok(()) = self.watch_turned.changed() => {
                    self.watch_turned.mark_changed();
                    tokio::time::sleep(took.max(TURN_PAUSE)).await;
                }
            }
        }
    }

    /// Sends one heartbeat, and the reports that are due or wait. The files are counted again, unless
    /// `reports` say how many there are.
    pub async fn run_once(mut self, reports: Option<Vec<ScanReport>>) {
        let mut counted = reports.map(|reports| LastCount {
            status: self.status.of_reports(reports),
            ended: clock::timer_now(),
            took: Duration::ZERO,
            changes: self.changes.load(Ordering::Relaxed),
            is_of_scan: true,
        });
        if let Err(err) = self.tick(&mut counted).await {
            log_failed(&err, "cannot send a heartbeat; the next s3up scan tries again");
        }
    }

    async fn tick(&mut self, counted: &mut Option<LastCount>) -> Result<(), ReportError> {
        let now = clock::wall_seconds();
        self.publish_alive(now);
        let due = self.due(now).await?;
        let status = self.count(counted, due.is_some()).await?;
        notify_status(&messages::service_status(status));
        // The count may have taken minutes.
        let now = self.clocks();
        let sent = self.gateway.heartbeat(&messages::heartbeat(&self.agent, status, now)).await;
        self.report_call(sent.as_ref().err()).await;
        if let Some(day) = due {
            let uploaded = self.status.reader.uploaded_on(&day.to_string()).await?;
            let report = messages::report(&self.agent, status, (day, uploaded), now);
            let body = serde_json::to_string(&report).expect("plain data is JSON");
            self.record(Change::ReportCreated { day: day.to_string(), body }).await;
        }
        match sent {
            Err(err) if !knows_no_such_call(&err) => Err(err.into()),
            Ok(_) | Err(_) => self.deliver().await,
        }
    }

    fn clocks(&self) -> HostClocks {
        HostClocks {
            wall: clock::wall_seconds(),
            running: clock::timer_now().saturating_duration_since(self.started),
            has_scanned: *self.scanned.borrow(),
        }
    }

    /// Requests a record of the time without waiting for it: a heartbeat must not depend on the
    /// database.
    fn publish_alive(&self, now: i64) {
        let change = Change::AgentFact(AgentFact::AliveAt(now));
        // Fails if the database is behind, and then the time stays old, as it should.
        self.requests.try_send(WriteRequest { change, on_commit: OnCommit::Ignore }).ok();
    }

    async fn due(&self, now: i64) -> Result<Option<Date>, DatabaseError> {
        let reported = self.status.reader.last_report().await?;
        let reported = reported.and_then(|day| day.parse().ok());
        let now = Timestamp::from_second(now).unwrap_or_default();
        Ok(due_report(now, self.report_time, self.agent_since, reported))
    }

    /// Counts the files if that is due; otherwise only the state of the agent is read again.
    async fn count<'c>(
        &mut self,
        counted: &'c mut Option<LastCount>,
        must: bool,
    ) -> Result<&'c Status, DatabaseError> {
        let (start, changes) = (clock::timer_now(), self.changes.load(Ordering::Relaxed));
        let last = counted.as_ref();
        let news = match last {
            // An error means that the daemon ends.
            _ if self.watch_turned.has_changed().unwrap_or(false) => CountNews::WatchTurned,
            Some(last) if last.changes == changes => CountNews::Nothing,
            Some(_) | None => CountNews::Changes,
        };
        self.watch_turned.mark_unchanged();
        let ago = last.map(|last| (start.saturating_duration_since(last.ended), last.took));
        match counted.take() {
            Some(mut last) if last.is_of_scan || (!must && !count_is_due(news, ago)) => {
                self.status.refresh(&mut last.status).await?;
                Ok(&counted.insert(last).status)
            }
            Some(_) | None => {
                let status = self.status.read().await?;
                let ended = clock::timer_now();
                let took = ended.saturating_duration_since(start);
                Ok(&counted
                    .insert(LastCount { status, ended, took, changes, is_of_scan: false })
                    .status)
            }
        }
    }

    /// Sends the reports that wait, the oldest first.
    async fn deliver(&self) -> Result<(), ReportError> {
        for (day, body) in self.status.reader.unsent_reports(REPORTS_MAX).await? {
            let refused = match serde_json::from_str::<Report>(&body) {
                Err(err) => Some(err.to_string()),
                Ok(report) => match self.gateway.report(&report).await {
                    Ok(_) => None,
                    Err(err) if is_refused(&err) => Some(error_chain(&err)),
                    Err(err) => return Err(err.into()),
                },
            };
            if let Some(error) = refused {
                tracing::warn!(
                    event = "report_refused",
                    day,
                    error,
                    "the gateway refused this report; it is dropped"
                );
            }
            let sent_at = clock::wall_seconds();
            self.record(Change::ReportSent { day, at: sent_at }).await;
        }
        Ok(())
    }

    /// Waits for the commit, so that what follows reads it. Fails only if the agent stops.
    async fn record(&self, change: Change) {
        let (reply, committed) = oneshot::channel();
        let request = WriteRequest { change, on_commit: OnCommit::Reply(reply) };
        if self.requests.send(request).await.is_ok() {
            committed.await.ok();
        }
    }

    async fn report_call(&self, err: Option<&GatewayError>) {
        let (status, reason) = match err {
            None => (GatewayStatus::Ok, None),
            Some(err) => (status_of(err), Some(error_chain(err))),
        };
        // Fails if the agent stops.
        self.calls.send(CallResult { status, reason }).await.ok();
    }
}

fn log_failed(err: &ReportError, message: &str) {
    tracing::warn!(event = "heartbeat_failed", error = error_chain(err), "{message}");
}

/// Returns the state of the gateway that a failed call shows.
fn status_of(err: &GatewayError) -> GatewayStatus {
    match err {
        GatewayError::Refused(refusal) | GatewayError::NotTheGateway(refusal)
            if refusal.status == 401 =>
        {
            GatewayStatus::KeyRefused
        }
        GatewayError::Refused(refusal) if refusal.status < 500 => GatewayStatus::Ok,
        GatewayError::Refused(_)
        | GatewayError::NotTheGateway(_)
        | GatewayError::Redirected { .. }
        | GatewayError::Handshake(_)
        | GatewayError::Unreachable(_)
        | GatewayError::Stalled(_)
        | GatewayError::InvalidAnswer { .. } => GatewayStatus::Unavailable,
    }
}

/// True for a gateway that is too old for heartbeats.
fn knows_no_such_call(err: &GatewayError) -> bool {
    matches!(err, GatewayError::Refused(refusal)
        if matches!(refusal.code, Code::NotFound | Code::MethodNotAllowed))
}

/// Returns true if the gateway would refuse the report again.
fn is_refused(err: &GatewayError) -> bool {
    match err {
        GatewayError::Refused(refusal) => {
            matches!(refusal.code, Code::BadRequest | Code::TooLarge) || knows_no_such_call(err)
        }
        GatewayError::InvalidAnswer { .. }
        | GatewayError::NotTheGateway(_)
        | GatewayError::Redirected { .. }
        | GatewayError::Handshake(_)
        | GatewayError::Unreachable(_)
        | GatewayError::Stalled(_) => false,
    }
}

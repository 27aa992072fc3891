//! Decides in which state a client is, and why. Pure.
//!
//! The worst state wins. A client that was late or silent counts as well only once it is clearly
//! better, so that a value near its threshold does not change the state each minute.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use s3up_core::age_text;
use s3up_core::wire::{ClientState, Heartbeat};

use super::backups::backups;
use super::complaint::{Complaint, exit_threshold};
use crate::clock::{Millis, time_text};
use crate::database::client_facts::{ClientFacts, ReceivedHeartbeat};

/// An agent sends a report each day. One may wait for a gateway that is away.
const REPORT_WAIT_MAX: Duration = Duration::from_secs(50 * 3600);

/// The thresholds of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Longest time without a heartbeat, without a complete scan, or without any request of a client
    /// that sends no heartbeats.
    pub silent_after: Duration,
    /// Longest wait of a pending file.
    pub lag_after: Duration,
    /// Maximum age of the newest backup of a subvolume; `None`: by the schedule of its host.
    pub backup_late_after: Option<Duration>,
}

/// A state with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub state: ClientState,
    /// One sentence; `None` if all is well.
    pub reason: Option<String>,
}

/// Returns the state of a client at `now`.
pub(crate) fn judge(facts: &ClientFacts, thresholds: Thresholds, now: Millis) -> Judgement {
    let before = facts.recorded.map(|recorded| recorded.state);
    let of_files = match (&facts.heartbeat, &facts.backup_report, facts.last_seen_at) {
        (None, None, None) => Some(never_seen(facts.created_at, thresholds, now)),
        (None, None, Some(seen_at)) => {
            silence("request", seen_at, thresholds, before, now).or_else(|| frozen(facts))
        }
        // A host that only sends backup reports is judged by them.
        (None, Some(_), _) => frozen(facts),
        (Some(received), _, _) => silence("heartbeat", received.at, thresholds, before, now)
            .or_else(|| frozen(facts))
            .or_else(|| not_scanned(&received.body))
            .or_else(|| failing(&received.body))
            .or_else(|| lag(&received.body, thresholds, before))
            .or_else(|| old_scan(received, thresholds))
            .or_else(|| degraded(&received.body))
            .or_else(|| failed_drill(received))
            .or_else(|| missed_report(facts, received, now)),
    };
    let of_backups = facts.backup_report.as_ref().and_then(|received| {
        let age = age(received.at, now);
        silence("backup report", received.at, thresholds, before, now)
            .or_else(|| backups(&received.body, age, thresholds.backup_late_after, before))
    });
    // Of two with the same state, that of the files is named.
    let worst = [of_backups, of_files].into_iter().flatten().max_by_key(|it| it.state);
    match worst {
        Some(Complaint { state, reason }) => Judgement { state, reason: Some(reason) },
        None => Judgement { state: ClientState::Ok, reason: None },
    }
}

/// A client that was configured just now is no incident. Later its agent was never started, or cannot
/// reach the gateway, or was lost together with the database that knew it.
fn never_seen(created_at: Millis, thresholds: Thresholds, now: Millis) -> Complaint {
    let reason = format!("no request since it was configured on {}", day_of(created_at));
    match age(created_at, now) > thresholds.silent_after {
        true => Complaint::new(ClientState::Silent, reason),
        false => Complaint::new(ClientState::Never, reason),
    }
}

fn silence(
    what: &str,
    last_at: Millis,
    thresholds: Thresholds,
    before: Option<ClientState>,
    now: Millis,
) -> Option<Complaint> {
    let age = age(last_at, now);
    let limit = exit_threshold(thresholds.silent_after, before == Some(ClientState::Silent));
    (age > limit).then(|| {
        let reason = format!("no {what} for {}, since {}", age_text(age), time_text(last_at));
        Complaint::new(ClientState::Silent, reason)
    })
}

/// Nothing of the client is stored until it is released.
fn frozen(facts: &ClientFacts) -> Option<Complaint> {
    let freeze = facts.frozen.as_ref()?;
    Some(Complaint::new(ClientState::Failing, freeze.sentence()))
}

fn not_scanned(heartbeat: &Heartbeat) -> Option<Complaint> {
    let error = heartbeat.watch_error.as_deref()?;
    Some(Complaint::new(ClientState::Failing, format!("a watch cannot be scanned: {error}")))
}

fn failing(heartbeat: &Heartbeat) -> Option<Complaint> {
    let reason = match heartbeat.files.problems.files {
        0 => return None,
        1 => "1 file cannot be uploaded; its report names it".to_owned(),
        count => format!("{count} files cannot be uploaded; its report names them"),
    };
    Some(Complaint::new(ClientState::Failing, reason))
}

fn lag(
    heartbeat: &Heartbeat,
    thresholds: Thresholds,
    before: Option<ClientState>,
) -> Option<Complaint> {
    let wait = Duration::from_secs(heartbeat.oldest_pending_seconds?);
    let limit = exit_threshold(thresholds.lag_after, before == Some(ClientState::Late));
    (wait > limit).then(|| {
        let files = heartbeat.files.pending.files;
        let reason = format!("{files} pending, the oldest for {}", age_text(wait));
        Complaint::new(ClientState::Late, reason)
    })
}

/// The age counts that the scan had when the heartbeat was sent: after that, the client is silent at most.
fn old_scan(received: &ReceivedHeartbeat, thresholds: Thresholds) -> Option<Complaint> {
    let body = &received.body;
    let (seconds, what) = match body.last_scan_age_seconds {
        Some(seconds) => (seconds, "no complete scan since"),
        // Without one, the scan of the start is still running.
        None => (body.running_seconds?, "no complete scan since its start on"),
    };
    (Duration::from_secs(seconds) > thresholds.silent_after).then(|| {
        let since = received.time_of(Some(seconds)).map(time_text).unwrap_or_default();
        Complaint::new(ClientState::Late, format!("{what} {since}"))
    })
}

fn degraded(heartbeat: &Heartbeat) -> Option<Complaint> {
    let watcher = &heartbeat.watcher;
    // It is off for `s3up scan`, which needs none.
    (!matches!(watcher.state.as_str(), "ok" | "off")).then(|| {
        let detail = watcher.detail.as_deref().map(|detail| format!(": {detail}"));
        let reason = format!("the watcher is {}{}", watcher.state, detail.unwrap_or_default());
        Complaint::new(ClientState::Degraded, reason)
    })
}

/// The files are in the bucket, but some of them could not be restored.
fn failed_drill(received: &ReceivedHeartbeat) -> Option<Complaint> {
    let drill = received.body.last_drill.as_ref().filter(|drill| drill.failed > 0)?;
    let files =
        if drill.failed == 1 { "1 file".to_owned() } else { format!("{} files", drill.failed) };
    let at = received.time_of(drill.age_seconds).map_or_else(|| drill.at.clone(), time_text);
    let reason = format!("the drill of {at} could not restore {files}");
    Some(Complaint::new(ClientState::Degraded, reason))
}

fn missed_report(
    facts: &ClientFacts,
    received: &ReceivedHeartbeat,
    now: Millis,
) -> Option<Complaint> {
    let since = match facts.last_report_at {
        Some(at) => at,
        // The first report comes a day after the first start of the agent.
        None => {
            let started_at = received.time_of(received.body.running_seconds);
            started_at.map_or(facts.created_at, |at| at.max(facts.created_at))
        }
    };
    (age(since, now) > REPORT_WAIT_MAX).then(|| {
        Complaint::new(ClientState::Degraded, format!("no report since {}", time_text(since)))
    })
}

/// Returns the age of a time; one in the future is now.
pub(super) fn age(at: Millis, now: Millis) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(at)).unwrap_or(0))
}

fn day_of(at: Millis) -> String {
    datetime_of(at).date().to_string()
}

pub(super) fn datetime_of(at: Millis) -> DateTime {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    at.to_zoned(TimeZone::UTC).datetime()
}

#[cfg(test)]
mod tests;

//! Decides which incidents have begun and which are over. Pure.
//!
//! An incident is something that needs attention beside the state of a client: a quota that is nearly used,
//! files that change as ransomware changes them, a certificate that ends. Each has a limit that begins it and
//! a lower one that ends it, so that a value near its limit makes one alert. What cannot be observed
//! neither begins nor ends an incident.

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::wire::Total;
use s3up_core::{ClientName, Count, Size, age_text};
use s3up_store::{VersionExpiry, Versioning};

use super::judge::age;
use crate::alert::Topic;
use crate::clients::ClientPolicy;
use crate::clock::{Millis, time_text};
use crate::database::changes::Changes;
use crate::database::client_facts::{ClientFacts, ReceivedHeartbeat};
use crate::database::incidents::IncidentRow;

/// Percent of a quota that begin and end an incident.
const QUOTA_PERCENT: (u64, u64) = (90, 85);
/// Requests without a valid key within ten minutes.
const FAILED_KEYS: (u64, u64) = (100, 20);
/// Rest of the validity of a certificate below which it should be renewed. Most automatic renewals come a
/// month before the end.
pub(crate) const CERTIFICATE_REST_MIN: Duration = Duration::from_secs(14 * 24 * 3600);

/// Days for which overwritten versions must stay: what is overwritten on a Friday evening can still be brought
/// back after a week.
pub(crate) const OLD_VERSIONS_DAYS_MIN: u32 = 7;

/// Time after which an incident of a gateway or a bucket ends if no gateway sees it any more. A gateway that stops
/// for a shorter time finds its own again.
const GONE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Identifies an incident: its topic, then its subject.
pub(crate) type IncidentKey = (Topic, String);

/// An incident that has begun and is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenIncident {
    pub since: Millis,
    /// Time at which a gateway last saw it.
    pub seen_at: Millis,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IncidentVerdict {
    /// One sentence that says why.
    Incident(String),
    Well,
    /// It could not be observed.
    Unknown,
}

/// An incident begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    pub topic: Topic,
    pub subject: String,
    /// The reason of an incident that begins; `None` if it ends.
    pub begun: Option<String>,
}

/// The observations of one gateway about itself and its bucket.
#[derive(Clone, Debug)]
pub(crate) struct GatewayFacts {
    /// Name of the host.
    pub host: String,
    /// Requests without a valid key within the last ten minutes.
    pub failed_keys: u64,
    /// `None`: without TLS there is no certificate.
    pub certificate_ends_at: Option<Millis>,
    pub bucket: String,
    /// `None`: S3 does not answer.
    pub versioning: Option<Versioning>,
    /// True if the bucket was once seen to keep versions.
    pub kept_versions: bool,
    /// The lifecycle rules that delete versions of files of the clients. `None`: S3 does not report them.
    pub expiry: Option<VersionExpiry>,
}

/// Returns the incidents of the database by topic and subject.
pub(crate) fn by_subject(rows: Vec<IncidentRow>) -> BTreeMap<IncidentKey, OpenIncident> {
    let incident = |row: IncidentRow| {
        let IncidentRow { topic, subject, since, seen_at, reason } = row;
        ((topic, subject), OpenIncident { since, seen_at, reason })
    };
    rows.into_iter().map(incident).collect()
}

/// Judges all clients of the configuration and this gateway.
pub(crate) fn judge_all<'p>(
    policies: impl Iterator<Item = &'p ClientPolicy>,
    facts: &[ClientFacts],
    changes: &BTreeMap<ClientName, Changes>,
    gateway: &GatewayFacts,
    open: &BTreeMap<IncidentKey, OpenIncident>,
    now: Millis,
) -> Vec<(IncidentKey, IncidentVerdict)> {
    let is_open = |topic, subject: &str| open.contains_key(&(topic, subject.to_owned()));
    let mut judged = Vec::new();
    for policy in policies {
        let name = policy.name.as_str();
        let facts = facts.iter().find(|facts| facts.name == policy.name);
        let stored = facts.map(|facts| facts.stored).unwrap_or_default();
        let changes = changes.get(&policy.name).copied().unwrap_or_default();
        let heartbeat = facts.and_then(|facts| facts.heartbeat.as_ref());
        for (topic, verdict) in [
            (Topic::Quota, quota(stored.bytes, policy.quota_bytes, is_open(Topic::Quota, name))),
            (Topic::Changes, suspicion(&changes, stored, policy, is_open(Topic::Changes, name))),
            (Topic::Drill, old_drill(heartbeat, policy.drill_after, now)),
        ] {
            judged.push(((topic, name.to_owned()), verdict));
        }
    }
    let is_attacked = is_open(Topic::Authentication, &gateway.host);
    let versions = lost_versions(gateway.versioning, gateway.kept_versions);
    let expiry = early_expiry(gateway.expiry.as_ref());
    for (topic, subject, verdict) in [
        (Topic::Authentication, &gateway.host, failed_keys(gateway.failed_keys, is_attacked)),
        (Topic::Certificate, &gateway.host, certificate(gateway.certificate_ends_at, now)),
        (Topic::Versions, &gateway.bucket, versions),
        (Topic::Expiry, &gateway.bucket, expiry),
    ] {
        judged.push(((topic, subject.clone()), verdict));
    }
    // A client that was removed has no incidents, and neither has a gateway that is gone.
    let is_judged = |incident: &IncidentKey| judged.iter().any(|(known, _)| known == incident);
    let others = open.iter().filter(|(incident, _)| !is_judged(incident));
    let over = others.filter(|((topic, _), incident)| {
        topic.is_of_client() || age(incident.seen_at, now) > GONE_AFTER
    });
    let over: Vec<_> =
        over.map(|(incident, _)| (incident.clone(), IncidentVerdict::Well)).collect();
    judged.extend(over);
    judged
}

/// Returns the open incidents of this gateway that it has not seen to be over.
pub(crate) fn still_open(
    open: &BTreeMap<IncidentKey, OpenIncident>,
    judged: &[(IncidentKey, IncidentVerdict)],
) -> Vec<IncidentKey> {
    let is_open = |(incident, verdict): &&(IncidentKey, IncidentVerdict)| {
        *verdict != IncidentVerdict::Well
            && !incident.0.is_of_client()
            && open.contains_key(incident)
    };
    judged.iter().filter(is_open).map(|(incident, _)| incident.clone()).collect()
}

/// Returns the incidents that begin and end.
pub(crate) fn transitions(
    open: &BTreeMap<IncidentKey, OpenIncident>,
    judged: Vec<(IncidentKey, IncidentVerdict)>,
) -> Vec<Transition> {
    let changed = judged.into_iter().filter_map(|(incident, verdict)| {
        let is_open = open.contains_key(&incident);
        let begun = match verdict {
            IncidentVerdict::Incident(reason) if !is_open => Some(reason),
            IncidentVerdict::Well if is_open => None,
            IncidentVerdict::Incident(_) | IncidentVerdict::Well | IncidentVerdict::Unknown => {
                return None;
            }
        };
        let (topic, subject) = incident;
        Some(Transition { topic, subject, begun })
    });
    changed.collect()
}

fn verdict(reason: Option<String>) -> IncidentVerdict {
    reason.map_or(IncidentVerdict::Well, IncidentVerdict::Incident)
}

fn quota(bytes: u64, quota_bytes: Option<u64>, is_open: bool) -> IncidentVerdict {
    let Some(quota) = quota_bytes else { return IncidentVerdict::Well };
    let percent = percent(bytes, quota);
    let (begin, end) = QUOTA_PERCENT;
    verdict((percent >= if is_open { end } else { begin }).then(|| {
        let (bytes, quota) = (Size(bytes), Size(quota));
        format!("it has stored {bytes}, {percent} % of its quota of {quota}; uploads over the quota are refused")
    }))
}

/// Many known files that are replaced within an hour, or many new ones of a kind that the client never had:
/// encrypted files often get another extension.
fn suspicion(
    changes: &Changes,
    stored: Total,
    policy: &ClientPolicy,
    is_open: bool,
) -> IncidentVerdict {
    if policy.changed_percent == 0 {
        return IncidentVerdict::Well;
    }
    let known = stored.files.saturating_sub(changes.created);
    let easing = if is_open { 2 } else { 1 };
    let (share_min, files_min) =
        (policy.changed_percent / easing, policy.changed_files_min / easing);
    let is_much =
        |files: u64| known > 0 && files >= files_min && percent(files, known) >= share_min;
    if is_much(changes.replaced) {
        let (replaced, share) = (changes.replaced, percent(changes.replaced, known));
        let emptied = match changes.emptied {
            0 => String::new(),
            count => format!(", {count} of them are empty now"),
        };
        return IncidentVerdict::Incident(format!(
            "{replaced} of its {known} files ({share} %) were replaced within an hour{emptied}; if that is \
             ransomware, stop its uploads with `s3up-server freeze {}`",
            policy.name
        ));
    }
    if is_much(changes.unfamiliar) {
        return IncidentVerdict::Incident(format!(
            "{} new files within an hour have extensions that its {known} files did not have; if that is \
             ransomware, stop its uploads with `s3up-server freeze {}`",
            changes.unfamiliar, policy.name
        ));
    }
    IncidentVerdict::Well
}

/// A host that makes no drills is well: nothing says that it should.
fn old_drill(
    heartbeat: Option<&ReceivedHeartbeat>,
    drill_after: Duration,
    now: Millis,
) -> IncidentVerdict {
    let Some(received) = heartbeat else { return IncidentVerdict::Unknown };
    let Some(drill) = &received.body.last_drill else { return IncidentVerdict::Well };
    if drill.last_good_at.is_none() {
        return IncidentVerdict::Incident("none of its drills could restore all files".to_owned());
    }
    let Some(at) = received.time_of(drill.last_good_age_seconds) else {
        return IncidentVerdict::Unknown;
    };
    let age = age(at, now);
    verdict(
        (age > drill_after).then(|| {
            format!("its last drill that could restore all files was {} ago", age_text(age))
        }),
    )
}

fn failed_keys(count: u64, is_open: bool) -> IncidentVerdict {
    let (begin, end) = FAILED_KEYS;
    verdict((count >= if is_open { end } else { begin }).then(|| {
        format!(
            "{count} requests within ten minutes had no valid key; the log names their addresses \
             (event `request_refused`)"
        )
    }))
}

fn certificate(ends_at: Option<Millis>, now: Millis) -> IncidentVerdict {
    let Some(ends_at) = ends_at else { return IncidentVerdict::Well };
    let end = time_text(ends_at);
    if ends_at <= now {
        return IncidentVerdict::Incident(format!(
            "its certificate ended on {end}; clients refuse it"
        ));
    }
    // The age of now at that time.
    let left = age(now, ends_at);
    verdict(
        (left < CERTIFICATE_REST_MIN)
            .then(|| format!("its certificate ends in {}, on {end}; renew it", age_text(left))),
    )
}

fn lost_versions(now: Option<Versioning>, kept_versions: bool) -> IncidentVerdict {
    match now {
        None | Some(Versioning::Unknown) => IncidentVerdict::Unknown,
        Some(Versioning::Off) if kept_versions => IncidentVerdict::Incident(
            "the bucket does not keep versions any more: overwritten files cannot be recovered; switch \
             versioning on again"
                .to_owned(),
        ),
        Some(Versioning::Off | Versioning::Enabled) => IncidentVerdict::Well,
    }
}

/// An agent takes a file for protected, also after a rule has deleted it.
fn early_expiry(found: Option<&VersionExpiry>) -> IncidentVerdict {
    let Some(found) = found else { return IncidentVerdict::Unknown };
    if let Some(rule) = &found.newest {
        return IncidentVerdict::Incident(format!(
            "the lifecycle rule {rule} deletes files by their age, also those that clients still have; remove \
             it, limit it to old versions, or accept it with `s3.accepted_rules`"
        ));
    }
    let early = found.old.as_ref().filter(|(_, days)| *days < OLD_VERSIONS_DAYS_MIN);
    verdict(early.map(|(rule, days)| {
        format!(
            "the lifecycle rule {rule} deletes overwritten versions after {}, too early to bring back what was \
             overwritten by mistake or by an attacker; keep them for {OLD_VERSIONS_DAYS_MIN} days at least, or \
             accept the rule with `s3.accepted_rules`",
            Count(u64::from(*days), "day")
        )
    }))
}

fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

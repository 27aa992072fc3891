//! The sections `fleet` and `alerts`, and the admin keys.

use std::time::Duration;

use jiff::civil::Time;
use s3up_cli::config::{ConfigError, Source};
use s3up_cli::{Secret, SecretUrl, parse_age};

use super::keys::{digest_of, parse_digest};
use super::raw::{self, Raw};
use crate::clients::{AdminKeys, Clients};
use crate::mail::{MailSettings, MailTls, parse_address};
use crate::webhook::Alerts;

/// One day and two hours: a host that is rebooted or moved within a day is not silent.
const SILENT_AFTER: Duration = Duration::from_secs(26 * 3600);
/// One hour: longer than the upload of a few gigabytes on a slow line.
const LAG_AFTER: Duration = Duration::from_secs(3600);
/// One monthly drill may fail.
const DRILL_AFTER: Duration = Duration::from_secs(62 * 24 * 3600);
/// A quarter of all files changes within an hour only if something rewrites them all.
const CHANGED_PERCENT: u64 = 25;
/// A quarter of fewer files is a deployment.
const CHANGED_FILES_MIN: u64 = 100;
/// An agent sends a heartbeat each minute, and states are judged each minute.
const THRESHOLD_MIN: Duration = Duration::from_secs(5 * 60);

/// The thresholds of clients that have none of their own.
#[derive(Clone, Copy)]
pub(super) struct DefaultThresholds {
    pub silent_after: Duration,
    pub lag_after: Duration,
    pub backup_late_after: Option<Duration>,
    pub drill_after: Duration,
    pub changed_percent: u64,
    pub changed_files_min: u64,
}

pub(super) fn thresholds(
    raw: &raw::Fleet,
    source: &Source,
) -> Result<DefaultThresholds, ConfigError> {
    Ok(DefaultThresholds {
        silent_after: threshold(&raw.silent_after, SILENT_AFTER, source, "fleet.silent_after")?,
        lag_after: threshold(&raw.lag_after, LAG_AFTER, source, "fleet.lag_after")?,
        backup_late_after: optional_threshold(
            &raw.backup_late_after,
            source,
            "fleet.backup_late_after",
        )?,
        drill_after: threshold(&raw.drill_after, DRILL_AFTER, source, "fleet.drill_after")?,
        changed_percent: changed_percent(
            raw.changed_percent,
            CHANGED_PERCENT,
            source,
            "fleet.changed_percent",
        )?,
        changed_files_min: raw.changed_files_min.unwrap_or(CHANGED_FILES_MIN),
    })
}

/// Returns the percentage that a key sets, or the default.
pub(super) fn changed_percent(
    percent: Option<u64>,
    default: u64,
    source: &Source,
    key: &str,
) -> Result<u64, ConfigError> {
    match percent {
        Some(percent) if percent > 100 => {
            Err(source.invalid(key, format!("expected 0 to 100, found {percent}")))
        }
        percent => Ok(percent.unwrap_or(default)),
    }
}

/// Returns the threshold that a key sets, or the default.
pub(super) fn threshold(
    text: &Option<String>,
    default: Duration,
    source: &Source,
    key: &str,
) -> Result<Duration, ConfigError> {
    Ok(optional_threshold(text, source, key)?.unwrap_or(default))
}

/// Returns the threshold that a key sets.
pub(super) fn optional_threshold(
    text: &Option<String>,
    source: &Source,
    key: &str,
) -> Result<Option<Duration>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let threshold = parse_age(text).map_err(|what| source.invalid(key, what))?;
    if threshold < THRESHOLD_MIN {
        let what = format!("expected at least 5m, found {text}");
        return Err(source.invalid(key, what));
    }
    Ok(Some(threshold))
}

/// Returns the receivers of alerts. A URL that is not valid is not repeated: it may be a secret.
pub(super) fn alerts(raw: &raw::Alerts, source: &Source) -> Result<Alerts, ConfigError> {
    let url = |url: &Option<Secret>, key| {
        let url = url.clone().map(SecretUrl::new).transpose();
        url.map_err(|err| source.invalid(key, err))
    };
    Ok(Alerts {
        webhook_url: url(&raw.webhook_url, "alerts.webhook_url")?,
        ping_url: url(&raw.ping_url, "alerts.ping_url")?,
        report_at: raw.report_at.as_deref().map(|text| report_time(text, source)).transpose()?,
        mail: raw.mail.as_ref().map(|mail| mail_settings(mail, source)).transpose()?,
    })
}

fn report_time(text: &str, source: &Source) -> Result<Time, ConfigError> {
    Time::strptime("%H:%M", text).map_err(|_| {
        let what = format!("expected a time of day in UTC like 07:00, found {text:?}");
        source.invalid("alerts.report_at", what)
    })
}

fn mail_settings(raw: &raw::Mail, source: &Source) -> Result<MailSettings, ConfigError> {
    let address = |text: &str, key: &str| {
        parse_address(text).map_err(|_| {
            let what = format!("expected an address like ops@example.org, found {text:?}");
            source.invalid(key, what)
        })
    };
    if raw.to.is_empty() {
        return Err(source.invalid("alerts.mail.to", "expected at least one address"));
    }
    let to = raw.to.iter().enumerate();
    let to = to.map(|(n, text)| address(text, &format!("alerts.mail.to[{n}]")));
    let (tls, port) = match raw.tls.unwrap_or(raw::MailTls::Starttls) {
        raw::MailTls::Implicit => (MailTls::Implicit, 465),
        raw::MailTls::Starttls => (MailTls::Starttls, 587),
        raw::MailTls::None => (MailTls::None, 25),
    };
    let user = match (&raw.user, &raw.password) {
        (None, None) => None,
        (Some(user), Some(password)) => Some((user.clone(), password.clone())),
        (Some(_), None) | (None, Some(_)) => {
            let what = "expected `user` and `password`, found one of them";
            return Err(source.invalid("alerts.mail.user", what));
        }
    };
    if user.is_some() && tls == MailTls::None {
        let what = "expected `starttls` or `implicit`: a password is not sent without TLS";
        return Err(source.invalid("alerts.mail.tls", what));
    }
    Ok(MailSettings {
        host: raw.host.clone(),
        port: raw.port.unwrap_or(port),
        tls,
        from: address(&raw.from, "alerts.mail.from")?,
        to: to.collect::<Result<_, _>>()?,
        user,
    })
}

/// Returns the admin keys. None of them may be the key of a client.
pub(super) fn admin_keys(
    raw: &Raw,
    source: &Source,
    clients: &Clients,
) -> Result<AdminKeys, ConfigError> {
    let mut digests = Vec::new();
    for (n, secret) in raw.admin_keys.iter().enumerate() {
        let key = format!("admin_keys[{n}]");
        digests.push((digest_of(secret, source, &key)?, key));
    }
    for (n, hex) in raw.admin_keys_sha256.iter().enumerate() {
        let key = format!("admin_keys_sha256[{n}]");
        digests.push((parse_digest(hex, source, &key)?, key));
    }
    for (digest, key) in &digests {
        if let Some((client, ..)) = clients.keys().find(|(_, known, _)| known == digest) {
            let what =
                format!("expected another key than those of clients, found that of {client}");
            return Err(source.invalid(key, what));
        }
    }
    Ok(AdminKeys::new(digests.into_iter().map(|(digest, _)| digest).collect()))
}

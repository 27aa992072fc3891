//! `s3up-server doctor`: examines everything that the gateway depends on, and says what is wrong with it.
//!
//! One part that fails hides no other: each has a line of its own.

use std::path::Path;
use std::time::{Duration, SystemTime};

use s3up_cli::{Exit, FindingLine, LogArgs, finding_table};
use s3up_core::{Count, KeyPrefix, Severity, error_chain};
use s3up_store::{ProbeUpload, Store, UploadError, findings};

use super::{check_config, show};
use crate::clock::CLOCK;
use crate::config::{Config, ConfigFiles};
use crate::database::Database;
use crate::fleet::incidents::CERTIFICATE_REST_MIN;
use crate::posture::{abort_rule, expiry, finding};
use crate::tls::{self, TlsFiles};

/// Time for which a failing request is retried.
const RETRY_FOR: Duration = Duration::from_secs(10);

/// Prints what was found. Fails if a guarantee is lost.
#[tokio::main]
pub(super) async fn run(files: &ConfigFiles, log: LogArgs, json: bool) -> anyhow::Result<Exit> {
    let config = files.load()?;
    log.with_config(None, config.log_format).init()?;
    let (lines, failed) = examine(config, &files.config).await;
    let problems = lines.iter().filter(|line| line.severity == Severity::Problem).count();
    if json {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "findings": lines }))?;
        show::print(&format!("{text}\n"))?;
    } else {
        show::print(&finding_table(&lines))?;
    }
    if let Some(failed) = failed {
        return Err(anyhow::anyhow!(failed).context("doctor: probe upload"));
    }
    if problems > 0 {
        anyhow::bail!("doctor: problems found: {problems}; see the fixes above");
    }
    Ok(Exit::Done)
}

/// Examines configuration, certificate, database and S3 server. Writes probe objects below the
/// prefix. Returns also why an upload as the gateway makes it failed.
async fn examine(config: Config, file: &Path) -> (Vec<FindingLine>, Option<UploadError>) {
    let mut lines = vec![configuration(s3up_cli::is_open_to_all_users(file))];
    lines.push(certificate(config.tls.as_ref(), CLOCK.now()));
    lines.extend(clients(&config));
    lines.push(database(&config).await);
    let store = match Store::connect(config.store).await {
        Ok(store) => store,
        Err(err) => {
            lines.push(s3(Some(error_chain(&err))));
            return (lines, None);
        }
    };
    let probe = ProbeUpload { prefix: &config.prefix, storage_class: None, retry_for: RETRY_FOR };
    let (capabilities, failed) = match store.examine(&probe).await {
        Ok(examined) => examined,
        Err(err) => {
            lines.push(s3(Some(error_chain(&err))));
            return (lines, None);
        }
    };
    lines.push(s3(None));
    lines.extend(findings(&capabilities).iter().map(check_config::line));
    lines.push(abort_rule(store.abort_rule(&config.prefix, RETRY_FOR).await));
    let rules = store.expiry_rules(RETRY_FOR).await;
    lines.push(expiry(&rules, &config.accepted_rules, &config.prefix));
    lines.push(uploads(&store, &config.prefix).await);
    (lines, failed)
}

fn configuration(is_open: bool) -> FindingLine {
    let subject = "configuration file";
    match is_open {
        false => finding(
            Severity::Ok,
            subject,
            "readable by its owner only",
            "other users cannot read it",
            None,
        ),
        true => finding(
            Severity::Warning,
            subject,
            "every user of this host can read or change it",
            "it may hold client keys and S3 credentials",
            Some("run chmod 600 on it"),
        ),
    }
}

/// Reads the validity of the certificate. That it fits its key was checked with the configuration.
fn certificate(files: Option<&TlsFiles>, now: SystemTime) -> FindingLine {
    let subject = "TLS certificate";
    let Some(files) = files else {
        let means = "a proxy in front of the gateway has to encrypt";
        return finding(Severity::Note, subject, "no TLS", means, None);
    };
    let not_after = match tls::own_certificate(files).map(|der| tls::not_after(&der)) {
        Ok(Some(at)) => at,
        Ok(None) => return unreadable_certificate("cannot parse its validity".to_owned()),
        Err(err) => return unreadable_certificate(error_chain(&err)),
    };
    validity(not_after, now)
}

fn unreadable_certificate(found: String) -> FindingLine {
    let fix = Some("check the file with `openssl x509 -noout -dates -in FILE`");
    let means = "its expiry is unknown";
    finding(Severity::Warning, "TLS certificate", found, means, fix)
}

fn validity(not_after: SystemTime, now: SystemTime) -> FindingLine {
    let subject = "TLS certificate";
    let fix = Some("renew it; check the timer or the service that should do so");
    let until = jiff::Timestamp::try_from(not_after).map(|at| at.to_string()).unwrap_or_default();
    match not_after.duration_since(now) {
        Err(_) => {
            let means = "agents refuse to connect";
            finding(Severity::Problem, subject, format!("expired at {until}"), means, fix)
        }
        Ok(rest) if rest < CERTIFICATE_REST_MIN => {
            let means = format!("it ends in {}", Count(rest.as_secs() / 86_400, "day"));
            finding(Severity::Warning, subject, format!("valid until {until}"), means, fix)
        }
        Ok(_) => finding(
            Severity::Ok,
            subject,
            format!("valid until {until}"),
            "agents can check the name of the gateway",
            None,
        ),
    }
}

/// Names the clients that one stolen key could use to fill the bucket.
fn clients(config: &Config) -> Vec<FindingLine> {
    let unlimited: Vec<_> = config
        .clients
        .policies()
        .filter(|policy| policy.file_bytes_max.is_none())
        .map(|policy| policy.name.to_string())
        .collect();
    if unlimited.is_empty() {
        return Vec::new();
    }
    let found = format!("no `max_file_size_mb`: {}", unlimited.join(", "));
    vec![finding(
        Severity::Note,
        "limits of clients",
        found,
        "one request of such a client may store a file of any size",
        None,
    )]
}

async fn database(config: &Config) -> FindingLine {
    let subject = "database";
    match Database::examine(&config.database.location).await {
        Ok(()) => finding(
            Severity::Ok,
            subject,
            config.database.location.to_string(),
            "clients, files and reports are recorded",
            None,
        ),
        Err(err) => finding(
            Severity::Problem,
            subject,
            error_chain(&err),
            "uploads work, but heartbeats, reports and the catalogue are lost",
            Some("check `database.path` or `database.url`, the disk and the rights on it"),
        ),
    }
}

fn s3(failed: Option<String>) -> FindingLine {
    match failed {
        None => finding(Severity::Ok, "S3", "answers", "the bucket can be listed", None),
        Some(found) => finding(
            Severity::Problem,
            "S3",
            found,
            "no file can be stored, and nothing else of the server could be examined",
            Some("check `s3.endpoint`, `s3.region`, `s3.bucket` and the credentials"),
        ),
    }
}

/// Finds out whether the credentials may list multipart uploads, without which nothing is swept.
async fn uploads(store: &Store, prefix: &KeyPrefix) -> FindingLine {
    let subject = "abandoned uploads";
    let mut uploads = store.abandoned_uploads(prefix.as_str(), SystemTime::UNIX_EPOCH, RETRY_FOR);
    match uploads.next_page().await {
        Ok(_) => {
            let means = "a gateway that starts aborts those of earlier runs";
            finding(Severity::Ok, subject, "can be listed", means, None)
        }
        Err(err) => finding(
            Severity::Warning,
            subject,
            error_chain(&err),
            "a gateway cannot abort those of earlier runs",
            Some(
                "allow s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, or rely on the rule",
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_before_it_ends() {
        let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
        #[rustfmt::skip]
        let cases = [
            // ends      now       severity             found
            (day(100),  day(50),  Severity::Ok,    "valid until 1970-04-11T00:00:00Z"),
            (day(100),  day(86),  Severity::Ok,    "valid until 1970-04-11T00:00:00Z"),
            (day(100),  day(87),  Severity::Warning, "valid until 1970-04-11T00:00:00Z"),
            (day(100),  day(101), Severity::Problem, "expired at 1970-04-11T00:00:00Z"),
        ];
        for (ends, now, severity, found) in cases {
            let finding = validity(ends, now);
            assert_eq!((finding.severity, &*finding.found), (severity, found), "{finding:?}");
            assert_eq!(finding.fix.is_some(), severity >= Severity::Warning);
        }
    }

    #[test]
    fn the_end_of_a_certificate_is_read_from_it() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();

        let found = tls::not_after(cert.der()).unwrap();

        assert_eq!(jiff::Timestamp::try_from(found).unwrap().to_string(), "2030-01-02T00:00:00Z");
        assert_eq!(tls::not_after(b"no certificate"), None);
    }
}

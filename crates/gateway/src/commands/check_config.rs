//! `s3up-server check-config`: prints the effective configuration. With `--online` it
//! also connects to S3, and prints what the server does and what that means for the
//! guarantees of the gateway.

use std::time::Duration;

use s3up_cli::{Exit, FindingLine, LogArgs, finding_table};
use s3up_core::Severity;
use s3up_store::{Finding, ProbeUpload, Store, findings};

use super::exit_code::start_error;
use super::show;
use crate::config::{Config, ConfigFiles};
use crate::start::error::StartError;

/// Time for which a failing request is retried.
const RETRY_FOR: Duration = Duration::from_secs(30);

pub(super) fn run(files: &ConfigFiles, log: LogArgs, online: bool) -> anyhow::Result<Exit> {
    let config = files.load()?;
    show::print(&show::config::to_yaml(&config))?;
    if online { check_server(config, log) } else { Ok(Exit::Done) }
}

/// Examines the server. Writes probe objects below the prefix.
#[tokio::main]
pub(super) async fn check_server(config: Config, log: LogArgs) -> anyhow::Result<Exit> {
    log.with_config(None, config.log_format).init()?;
    let connected = Store::connect(config.store).await;
    let store = connected.map_err(|err| start_error(StartError::Connect(err)))?;
    let probe = ProbeUpload { prefix: &config.prefix, storage_class: None, retry_for: RETRY_FOR };
    let examined = store.examine(&probe).await;
    let (capabilities, failed) = examined.map_err(|err| start_error(StartError::Probe(err)))?;
    let findings = findings(&capabilities);
    let lines: Vec<_> = findings.iter().map(line).collect();
    show::print(&finding_table(&lines))?;
    if let Some(failed) = failed {
        return Err(anyhow::anyhow!(failed).context("check-config: probe upload"));
    }
    let problems = findings.iter().filter(|finding| finding.severity == Severity::Problem).count();
    if problems > 0 {
        anyhow::bail!("check-config: problems found: {problems}; see the fixes above");
    }
    Ok(Exit::Done)
}

/// Returns a finding as the table and the JSON output have it.
pub(super) fn line(finding: &Finding) -> FindingLine {
    FindingLine {
        capability: finding.subject.to_string(),
        severity: finding.severity,
        found: finding.found.clone(),
        means: finding.means.clone(),
        fix: finding.fix,
    }
}

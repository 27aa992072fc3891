//! `doctor`: finds out what the S3 server does, and prints what that means.

use anyhow::anyhow;
use s3up_cli::{Exit, FindingLine, ShutdownSignal, finding_table};
use s3up_core::Count;
use s3up_core::Severity;
use s3up_store::{Finding, findings};

use super::bucket_args::BucketAccess;
use super::server_checks::probe_of;
use super::show::json;
use super::{Output, connect, print, stopped_by};

/// Takes no lock and needs no root. Writes probe objects below the prefix.
pub async fn run(access: &BucketAccess, output: Output) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let bucket = connect(&access.bucket, &shutdown).await?;
    let probe = probe_of(&access.bucket);
    let examined = tokio::select! {
        examined = bucket.store.examine(&probe) => examined?,
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    };
    let (capabilities, failed) = examined;
    let found = findings(&capabilities);
    let lines: Vec<_> = found.iter().map(line).collect();
    print(&match output {
        Output::Table => finding_table(&lines),
        Output::Json => json(&lines),
    })?;
    if let Some(failed) = failed {
        return Err(anyhow!(failed).context("doctor: probe upload"));
    }
    match found.iter().filter(|finding| finding.severity == Severity::Problem).count() {
        0 => Ok(Exit::Done),
        count => Err(anyhow!("doctor: found {}; see the fixes above", Count::of(count, "problem"))),
    }
}

fn line(finding: &Finding) -> FindingLine {
    FindingLine {
        capability: finding.subject.to_string(),
        severity: finding.severity,
        found: finding.found.clone(),
        means: finding.means.clone(),
        fix: finding.fix,
    }
}

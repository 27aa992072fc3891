//! `s3up verify`: prints which files are not known to be protected.

use std::sync::Arc;

use s3up_cli::{Exit, one_line, progress};
use s3up_core::Count;
use serde::Serialize;

use super::output::{Output, OutputReader};
use crate::config::Config;
use crate::gateway::client::GatewayClient;
use crate::verify::judge::Finding;
use crate::verify::run::{VerifySummary, verify};

pub(super) const EXAMPLES: &str = "\
Each file that the database calls protected is hashed, and the gateway is asked
whether it has this content. All files that are not protected are listed.

Exit codes: 0 every file is protected or excluded, 1 a file is not, or the
command failed.

Examples:
  s3up verify

  # Hash 100 files only, chosen at random
  s3up verify --sample 100";

#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Hash only N of the protected files, chosen at random
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// Print JSON
    #[arg(long, help_heading = super::headings::OUTPUT)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct VerifyLine<'f> {
    path: &'f str,
    finding: String,
}

pub(super) async fn run(config: &Config, args: &VerifyArgs) -> anyhow::Result<Exit> {
    let gateway = GatewayClient::new(&config.server)?;
    let mut output = Output::new();
    let mut printed = Ok(OutputReader::Open);
    let mut findings = |path: &str, finding: &Finding| {
        if !matches!(printed, Ok(OutputReader::Open)) {
            return;
        }
        printed = match args.json {
            true => output.json_line(&VerifyLine { path, finding: finding.to_string() }),
            false => output.line(&format!("{}: {finding}", one_line(path))),
        };
    };
    let bar = Arc::new(progress::bytes("verify", None));
    let hashed = bar.clone();
    let hashed = Arc::new(move |bytes| hashed.inc(bytes));
    let sample = args.sample.map(|count| count as usize);
    let verified = verify(config, &gateway, sample, hashed, &mut findings).await;
    drop(bar);
    let summary = verified?;
    let exit = if summary.findings == 0 { Exit::Done } else { Exit::Failed };
    if printed? == OutputReader::Closed {
        return Ok(exit);
    }
    let end = match args.json {
        true => output.json_line(&summary)?,
        false => output.line(&line(&summary))?,
    };
    match end {
        OutputReader::Closed => Ok(exit),
        OutputReader::Open => output.flush().map(|_| exit),
    }
}

fn line(summary: &VerifySummary) -> String {
    let VerifySummary { verified, not_sampled, locally_deleted, excluded, findings } = *summary;
    let deleted = match locally_deleted {
        0 => String::new(),
        count => format!(", {count} deleted by cleanup and in S3"),
    };
    let sampled = match not_sampled {
        0 => String::new(),
        count => format!(", {count} not in the sample"),
    };
    format!(
        "{} verified{sampled}{deleted}, {excluded} excluded, {}",
        Count(verified, "file"),
        Count(findings, "finding")
    )
}

//! `s3up list`: lists the files that the gateway has.

use anyhow::Context;
use s3up_cli::Exit;
use s3up_core::RemotePath;

use super::file_lines::{FileLines, LineFormat};
use super::gateway_args::GatewayArgs;
use super::output::OutputReader;
use crate::gateway::client::GatewayClient;
use crate::remote_files::pages::{Moment, Pages};
use crate::remote_files::remote_file::RemoteFile;

pub(super) const EXAMPLES: &str = "\
Times are in UTC. The output of --json has one object per line.

Examples:
  # All files below a directory
  s3up list uploads

  # With their earlier versions, and the files that were deleted
  s3up list uploads --versions

  # On a host without a configuration file
  s3up list --url https://backup.example.com --key-file key --json";

#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Remote directory, or one file (default: all files)
    pub(super) prefix: Option<String>,
    /// List all versions of each file
    #[arg(long)]
    versions: bool,
    /// Print JSON
    #[arg(long, help_heading = super::headings::OUTPUT)]
    json: bool,
    #[command(flatten)]
    pub(super) gateway: GatewayArgs,
}

pub(super) async fn run(gateway: GatewayClient, args: &ListArgs) -> anyhow::Result<Exit> {
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let format = if args.json { LineFormat::Json } else { LineFormat::Table };
    let mut lines = FileLines::new(format);
    let reader = match args.versions {
        false => print_files(&gateway, prefix, &mut lines).await,
        true => print_versions(&gateway, prefix, &mut lines).await,
    };
    match reader.with_context(|| format!("list {prefix:?}"))? {
        OutputReader::Open => lines.finish()?,
        OutputReader::Closed => {}
    }
    Ok(Exit::Done)
}

async fn print_files(
    gateway: &GatewayClient,
    prefix: &str,
    lines: &mut FileLines,
) -> anyhow::Result<OutputReader> {
    let mut pages = Pages::new(gateway, prefix, Moment::Newest);
    while let Some(page) = pages.next().await? {
        for file in page {
            if lines.file(&file)? == OutputReader::Closed {
                return Ok(OutputReader::Closed);
            }
        }
    }
    match one_file(gateway, prefix, lines.files).await? {
        Some(file) => lines.file(&file),
        None => Ok(OutputReader::Open),
    }
}

/// Returns the file `prefix`, if it is not a directory but a file.
async fn one_file(
    gateway: &GatewayClient,
    prefix: &str,
    files_below: u64,
) -> anyhow::Result<Option<RemoteFile>> {
    if files_below > 0 {
        return Ok(None);
    }
    let Ok(path) = RemotePath::parse(prefix) else { return Ok(None) };
    let Some(stored) = gateway.exists(&path).await?.file else { return Ok(None) };
    Ok(Some(RemoteFile {
        path,
        size: stored.size,
        uploaded_at: stored.uploaded_at.parse().context("parse the time of the upload")?,
        sha256: stored.sha256,
        mtime_ns: stored.mtime_ns,
        mode: None,
        storage_class: None,
        version_id: None,
    }))
}

async fn print_versions(
    gateway: &GatewayClient,
    prefix: &str,
    lines: &mut FileLines,
) -> anyhow::Result<OutputReader> {
    let mut cursor = None;
    loop {
        let page = gateway.versions_below(prefix, cursor.as_deref()).await?;
        for version in &page.versions {
            if lines.version(version)? == OutputReader::Closed {
                return Ok(OutputReader::Closed);
            }
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    let path = RemotePath::parse(prefix).ok().filter(|_| lines.files == 0);
    let Some(path) = path else { return Ok(OutputReader::Open) };
    for version in gateway.versions(&path).await?.versions {
        if lines.version(&version)? == OutputReader::Closed {
            return Ok(OutputReader::Closed);
        }
    }
    Ok(OutputReader::Open)
}

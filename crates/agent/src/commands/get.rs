//! `s3up get`: downloads one file and shows its progress.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use s3up_cli::{Exit, progress};
use s3up_core::{Sha256Digest, Size};
use serde::Serialize;

use super::at_arg::moment;
use super::gateway_args::GatewayArgs;
use super::show;
use crate::download::{self, Existing, Target, VersionChoice};
use crate::gateway::client::GatewayClient;
use crate::remote_files::pages::Moment;

pub(super) const EXAMPLES: &str = "\
FILE appears under its name only after its length and SHA-256 are verified. It
gets the mode and the modification time of the original. A pipe or a device is
written to while the content arrives.

Examples:
  # Write a.jpg in the current directory, and print what was written
  s3up get uploads/a.jpg --json

  # Write to another file, as it was at the end of a day
  s3up get uploads/a.jpg --at 2026-01-31 -o /tmp/b.jpg

  # Write to standard output
  s3up get uploads/dump.sql -o - | psql";

#[derive(Clone, Debug, clap::Args)]
pub struct GetArgs {
    /// Remote path of the file, as in uploads/a.jpg
    path: String,
    /// Write to FILE, or to standard output if FILE is -
    /// (default: the name of the remote file)
    #[arg(
        short,
        long,
        value_name = "FILE",
        verbatim_doc_comment,
        help_heading = super::headings::OUTPUT
    )]
    output: Option<PathBuf>,
    /// Download an earlier version
    /// (`s3up list PATH --versions` lists them)
    #[arg(long, value_name = "ID", conflicts_with = "at", verbatim_doc_comment)]
    version: Option<String>,
    /// Download the file as it was at TIME
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Replace FILE if it exists
    #[arg(long, help_heading = super::headings::OUTPUT)]
    overwrite: bool,
    /// Print JSON about the file
    #[arg(long, help_heading = super::headings::OUTPUT)]
    json: bool,
    #[command(flatten)]
    pub(super) gateway: GatewayArgs,
}

/// The output with `--json`.
#[derive(Debug, Serialize)]
struct FileLine<'f> {
    path: &'f str,
    /// Name of the file that was written; other bytes than UTF-8 are replaced.
    file: String,
    bytes: u64,
    sha256: Sha256Digest,
    /// False if the gateway does not know the SHA-256, so that only the length was checked.
    verified: bool,
    /// Absent if mode and time could be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_error: Option<String>,
}

pub(super) async fn run(gateway: GatewayClient, args: &GetArgs) -> anyhow::Result<Exit> {
    let path = download::parse_path(&args.path)?;
    let existing = if args.overwrite { Existing::Overwrite } else { Existing::Keep };
    let version = match (&args.version, moment(args.at.as_deref())?) {
        (Some(id), _) => VersionChoice::Id(id.clone()),
        (None, Moment::At(at)) => VersionChoice::At(at),
        (None, Moment::Newest) => VersionChoice::Newest,
    };
    let target = Target::of(args.output.as_deref(), &path, existing);
    if args.json && target == Target::Stdout {
        return Err(Exit::Usage.with(anyhow!(
            "standard output cannot take both the file and --json; write the file to another place \
             with -o FILE"
        )));
    }
    let (mut bar, mut shown) = (None, 0);
    let mut progress = |received: u64, expected: u64| {
        let bar = bar.get_or_insert_with(|| progress::bytes(path.file_name(), Some(expected)));
        bar.inc(received - shown);
        shown = received;
    };
    let result = download::download(
        &gateway,
        (&path, &version),
        &target,
        &mut tokio::io::stdout(),
        &mut progress,
    )
    .await;
    drop(bar);
    let file = result?;
    let checked = if file.verified { "sha256" } else { "length" };
    tracing::info!(
        event = "download_done",
        path = path.as_str(),
        bytes = file.bytes,
        checked,
        "{}",
        Size(file.bytes)
    );
    if let (true, Target::File(name, _)) = (args.json, &target) {
        let line = FileLine {
            path: path.as_str(),
            file: name.to_string_lossy().into_owned(),
            bytes: file.bytes,
            sha256: file.sha256,
            verified: file.verified,
            metadata_error: file.metadata_error.as_ref().map(ToString::to_string),
        };
        let json = serde_json::to_string(&line).context("format the result as JSON")?;
        show::print(&format!("{json}\n"))?;
    }
    if let Some(err) = file.metadata_error {
        tracing::warn!(
            event = "metadata_not_set",
            path = path.as_str(),
            error = %err,
            "the file is complete, but its filesystem refused the mode or the time",
        );
    }
    Ok(Exit::Done)
}

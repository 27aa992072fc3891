//! `s3up drill`: restores files into a scratch directory and compares them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3up_cli::{Exit, progress};

use super::output_args::OutputArgs;
use crate::clock;
use crate::config::Config;
use crate::database::{self, DatabaseError, record_fact};
use crate::drill::run::{DrillError, DrillRequest, DrillSummary, HostRecords, drill};
use crate::gateway::client::GatewayClient;
use crate::states::agent_fact::AgentFact;
use crate::states::drill_record::DrillRecord;

/// Number of files of a drill, unless a number or a prefix is given. A few files show whether key,
/// gateway and bucket work; that they are random finds damaged ones over time.
const SAMPLE: usize = 20;

pub(super) const EXAMPLES: &str = "\
The files are restored into a scratch directory, read back, compared with what
this host uploaded and removed. A file of this host that S3 does not have any
more fails. s3up status shows when a drill last succeeded, and the agent reports
it to the gateway. The client key needs the rights list and download.

Exit codes: 0 every file was restored, 1 a file was not, or the drill
failed.

Examples:
  # 20 files, chosen at random; for a timer
  s3up drill

  # All files of a directory
  s3up drill uploads/2026 --scratch /mnt/scratch";

#[derive(Clone, Debug, clap::Args)]
pub struct DrillArgs {
    /// Restore all files of this remote directory
    prefix: Option<String>,
    /// Restore N files, chosen at random
    /// (default: 20 without a prefix, all with one)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), verbatim_doc_comment)]
    sample: Option<u32>,
    /// Make the scratch directory in DIR
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    scratch: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

impl DrillArgs {
    fn request(&self) -> DrillRequest {
        let sample = self.sample.map(|count| count as usize);
        DrillRequest {
            sample: if self.prefix.is_none() { sample.or(Some(SAMPLE)) } else { sample },
            prefix: self.prefix.clone().unwrap_or_default(),
            scratch: self.scratch.clone(),
        }
    }
}

pub(super) async fn run(config: &Config, args: &DrillArgs) -> anyhow::Result<Exit> {
    let gateway = GatewayClient::new(&config.server)?;
    let host = host(config).await?;
    let bar = Arc::new(progress::bytes("drill", None));
    let received = bar.clone();
    let received = Arc::new(move |bytes| received.inc(bytes));
    let result = drill(&gateway, host.as_ref(), &args.request(), received).await;
    drop(bar);
    if let Some(host) = host {
        record(&config.database, &host, &result).await?;
        host.reader.close().await;
    }
    let summary = result?;
    args.output.print(&summary, || summary.to_string())?;
    Ok(if summary.failed.files == 0 { Exit::Done } else { Exit::Failed })
}

/// Returns what this host knows of its files; `None` if no agent has run here.
async fn host(config: &Config) -> anyhow::Result<Option<HostRecords>> {
    match database::open_read_only(&config.database).await {
        Ok(reader) => Ok(Some(HostRecords { reader, watches: config.watches.clone() })),
        Err(DatabaseError::Missing { .. }) => Ok(None),
        Err(err) => Err(err.into()),
    }
}

/// Records the drill in the database, also one that failed as a whole.
async fn record(
    database: &Path,
    host: &HostRecords,
    result: &Result<DrillSummary, DrillError>,
) -> anyhow::Result<()> {
    let counts = match result {
        Ok(DrillSummary { passed, failed, .. }) => {
            (passed.files + failed.files, passed.bytes + failed.bytes, failed.files)
        }
        Err(_) => (0, 0, 0),
    };
    let facts = host.reader.agent_facts().await?;
    let previous = facts.into_iter().find_map(|fact| match fact {
        AgentFact::Drill(record) => Some(record),
        AgentFact::Watcher(_) | AgentFact::Gateway(_) | AgentFact::AliveAt(_) => None,
    });
    let drill = DrillRecord::after(previous.as_ref(), clock::wall_seconds(), counts);
    Ok(record_fact(database, &AgentFact::Drill(drill)).await?)
}

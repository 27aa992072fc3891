//! `s3up scan`: scans once, uploads all pending files and exits.

use std::path::Path;

use s3up_cli::{Exit, ShutdownSignal};

use super::output_args::OutputArgs;
use super::show::scan_json::ScanLine;
use super::start::start;
use crate::config::Config;
use crate::daemon::{self, Cause, RunEnd, Summary};

pub(super) async fn run(config: Config, file: &Path, output: OutputArgs) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let agent = start(config, file).await?;
    let RunEnd { summary, cause } = daemon::scan_once(agent, shutdown.wait()).await;
    output.print(&ScanLine::of(&summary), || summary.to_string())?;
    match cause {
        Cause::Done => Ok(exit_of(&summary)),
        Cause::Stopped(signal) => Ok(signal.into()),
        Cause::DatabaseLost | Cause::DatabaseStillOpen => {
            let what = "the database was removed during the scan; run s3up scan again, which asks \
                        the gateway for every file";
            Err(anyhow::anyhow!(what))
        }
    }
}

fn exit_of(summary: &Summary) -> Exit {
    if summary.is_clean() {
        Exit::Done
    } else if summary.is_partial() {
        Exit::Partial
    } else {
        Exit::Failed
    }
}

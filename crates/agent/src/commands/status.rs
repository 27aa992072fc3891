//! `s3up status`: prints the state of all files.

use anyhow::Context;
use s3up_cli::Exit;

use super::show;
use crate::config::Config;
use crate::status;

pub(super) async fn run(config: Config, json: bool) -> anyhow::Result<Exit> {
    let status = status::status(&config).await?;
    if json {
        let json = serde_json::to_string_pretty(&status).context("format the status as JSON")?;
        show::print(&format!("{json}\n"))?;
    } else {
        show::print(&status.to_string())?;
    }
    Ok(Exit::Done)
}

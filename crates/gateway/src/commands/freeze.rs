//! `s3up-server freeze` and `s3up-server release`: stop the uploads of a client, and release it.

use anyhow::{Context, bail};
use s3up_cli::{Exit, LogArgs};
use s3up_core::ClientName;

use super::show;
use crate::clock::{CLOCK, millis};
use crate::config::{Config, ConfigFiles};
use crate::database::Database;
use crate::database::freezes::Freeze;

#[tokio::main]
pub(super) async fn freeze(
    files: &ConfigFiles,
    log: LogArgs,
    client: &ClientName,
    reason: String,
) -> anyhow::Result<Exit> {
    let config = load(files, log, client)?;
    let freeze = Freeze { since: millis(CLOCK.now()), reason };
    let frozen = Database::freeze_at(&config.database.location, client, &freeze).await;
    frozen.with_context(|| format!("freeze {client}"))?;
    show::print(&format!(
        "{client} is frozen: gateways refuse its uploads within some seconds.\n\
         s3up-server release {client} ends that.\n"
    ))?;
    Ok(Exit::Done)
}

#[tokio::main]
pub(super) async fn release(
    files: &ConfigFiles,
    log: LogArgs,
    client: &ClientName,
) -> anyhow::Result<Exit> {
    let config = load(files, log, client)?;
    let released = Database::release_at(&config.database.location, client).await;
    let text = match released.with_context(|| format!("release {client}"))? {
        true => format!("{client} is released: gateways take its uploads within some seconds.\n"),
        false => format!("{client} was not frozen.\n"),
    };
    show::print(&text)?;
    Ok(Exit::Done)
}

fn load(files: &ConfigFiles, log: LogArgs, client: &ClientName) -> anyhow::Result<Config> {
    let config = files.load()?;
    log.with_config(None, config.log_format).init()?;
    if !config.clients.policies().any(|policy| policy.name == *client) {
        bail!("expected a client of {}, found {client}", files.config.display());
    }
    Ok(config)
}

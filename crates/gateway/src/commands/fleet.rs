//! `s3up-server fleet`: prints the state of all clients, from the database.

use anyhow::Context;
use s3up_cli::{Exit, LogArgs};
use s3up_core::wire::{ClientList, ClientState};

use super::show;
use crate::clock::CLOCK;
use crate::clock::millis;
use crate::config::ConfigFiles;
use crate::database::Database;
use crate::fleet::incidents::by_subject;
use crate::fleet::overview::{headline, overview};

#[tokio::main]
pub(super) async fn run(
    files: &ConfigFiles,
    log: LogArgs,
    check: bool,
    json: bool,
) -> anyhow::Result<Exit> {
    let config = files.load()?;
    log.with_config(None, config.log_format).init()?;
    let facts = Database::client_facts_at(&config.database.location).await;
    let (facts, open) = facts.context("read the state of the clients")?;
    let open = by_subject(open);
    let list = overview(config.clients.policies(), facts, &open, millis(CLOCK.now()));
    if json {
        show::print(&format!("{}\n", serde_json::to_string_pretty(&list)?))?;
    } else if check {
        show::print(&format!("{}\n", check_line(&list)))?;
    } else {
        show::print(&show::fleet::to_text(&list))?;
    }
    Ok(if check && !all_are_well(&list) { Exit::Failed } else { Exit::Done })
}

/// Returns true if no client needs attention. A degraded one is safe, and needs it.
fn all_are_well(list: &ClientList) -> bool {
    list.clients.iter().all(|client| client.state == ClientState::Ok)
}

fn check_line(list: &ClientList) -> String {
    let result = if all_are_well(list) { "OK" } else { "PROBLEM" };
    format!("{result}: {}", headline(list))
}

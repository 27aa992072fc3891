//! `s3up-server rebuild`: fills the catalogue from the bucket, and prints for each client what was changed.

use std::io::{BufWriter, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use s3up_cli::{Exit, LogArgs, progress};
use s3up_core::{ClientName, Size};
use s3up_store::Store;

use super::exit_code::start_error;
use crate::clock::CLOCK;
use crate::config::{Config, ConfigFiles};
use crate::database::rebuild::RebuildDatabase;
use crate::database::rebuild::rows::FileTotal;
use crate::rebuild::{RebuildCounts, RebuildError, RebuildResult, Rebuilder};
use crate::start::error::StartError;

/// Time between two lines of the log about the progress of a rebuild.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Options of `rebuild`.
pub(super) struct RebuildArgs {
    /// `None`: all clients of the configuration.
    pub client: Option<ClientName>,
    pub dry_run: bool,
    pub json: bool,
}

/// A line of the output.
struct Line<'l> {
    client: &'l ClientName,
    counts: RebuildCounts,
    is_resumed: bool,
    /// `None`: nothing was changed.
    total: Option<FileTotal>,
}

#[tokio::main]
pub(super) async fn run(
    files: &ConfigFiles,
    log: LogArgs,
    args: RebuildArgs,
) -> anyhow::Result<Exit> {
    let config = files.load()?;
    log.with_config(None, config.log_format).init()?;
    let clients = clients(&config, args.client.as_ref())?;
    let mut rebuilder = connect(config).await.map_err(start_error)?;
    let mut output = BufWriter::new(std::io::stdout());
    let mut not_examined = 0;
    for client in &clients {
        let failed = || match args.dry_run {
            true => format!("compare the catalogue of client {client} with the bucket"),
            false => {
                format!("rebuild the catalogue of client {client}; the same command resumes it")
            }
        };
        let line = rebuild(&mut rebuilder, client, args.dry_run).await.with_context(failed)?;
        not_examined += line.counts.not_examined;
        let text = if args.json { line.to_json() } else { line.to_text() };
        writeln!(output, "{text}")
            .and_then(|()| output.flush())
            .context("write to standard output")?;
    }
    Ok(if not_examined == 0 { Exit::Done } else { Exit::Partial })
}

/// Returns the clients whose catalogue is rebuilt.
fn clients(config: &Config, only: Option<&ClientName>) -> anyhow::Result<Vec<ClientName>> {
    let names: Vec<_> = config.clients.policies().map(|policy| policy.name.clone()).collect();
    let Some(only) = only else { return Ok(names) };
    if names.contains(only) {
        return Ok(vec![only.clone()]);
    }
    let known: Vec<_> = names.iter().map(ClientName::as_str).collect();
    let what = format!(
        "--client: expected a client of the configuration ({}), found {only}",
        known.join(", ")
    );
    Err(Exit::Usage.with(anyhow::anyhow!(what)))
}

async fn connect(config: Config) -> Result<Rebuilder, StartError> {
    let endpoint = config.store.endpoint.clone();
    let store = Store::connect(config.store).await?;
    let database = RebuildDatabase::open(config.database.location, CLOCK).await?;
    Ok(Rebuilder::new(store, endpoint.as_deref(), config.prefix, database))
}

async fn rebuild<'c>(
    rebuilder: &mut Rebuilder,
    client: &'c ClientName,
    dry_run: bool,
) -> Result<Line<'c>, RebuildError> {
    let bar = progress::count(&format!("rebuild {client}: files"));
    // A bar shows the same on a terminal.
    let logs = !std::io::stderr().is_terminal();
    let (began, mut logged_at, mut shown) = (CLOCK.start(), Duration::ZERO, 0);
    let progress = |counts: &RebuildCounts| {
        bar.inc(counts.listed - shown);
        shown = counts.listed;
        if logs && began.elapsed() >= logged_at + LOG_EVERY {
            logged_at = began.elapsed();
            let RebuildCounts { listed, changed, .. } = counts;
            tracing::info!(
                event = "rebuild_progress",
                %client,
                listed,
                added = changed.added,
                updated = changed.updated,
                removed = changed.removed
            );
        }
    };
    if dry_run {
        let counts = rebuilder.compare(client, progress).await?;
        return Ok(Line { client, counts, is_resumed: false, total: None });
    }
    let RebuildResult { counts, is_resumed, total } = rebuilder.rebuild(client, progress).await?;
    Ok(Line { client, counts, is_resumed, total: Some(total) })
}

impl Line<'_> {
    fn to_text(&self) -> String {
        let Line { client, counts, is_resumed, total } = self;
        let RebuildCounts { listed, changed, foreign, not_examined } = counts;
        let (added, updated, removed) = (changed.added, changed.updated, changed.removed);
        let mut text = match total {
            Some(FileTotal { files, bytes }) => format!(
                "{client}: {files} files, {}; added {added}, updated {updated}, removed {removed}",
                Size(*bytes)
            ),
            None => format!(
                "{client}: {listed} files in the bucket; to add {added}, to update {updated}, \
                 to remove {removed}"
            ),
        };
        if *foreign > 0 {
            text.push_str(&format!(", ignored {foreign} other objects"));
        }
        if *not_examined > 0 {
            text.push_str(&format!(", not examined {not_examined}"));
        }
        if *is_resumed {
            text.push_str(" (resumed)");
        }
        text
    }

    fn to_json(&self) -> String {
        let Line { client, counts, is_resumed, total } = self;
        let line = serde_json::json!({
            "client": client.as_str(),
            "dry_run": total.is_none(),
            "resumed": is_resumed,
            "listed": counts.listed,
            "added": counts.changed.added,
            "updated": counts.changed.updated,
            "removed": counts.changed.removed,
            "foreign": counts.foreign,
            "not_examined": counts.not_examined,
            "files": total.map(|total| total.files),
            "bytes": total.map(|total| total.bytes),
        });
        line.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::rebuild::rows::ChangedRows;

    #[test]
    fn a_line_names_what_was_changed_and_what_was_not_examined() {
        let client = ClientName::parse("web").unwrap();
        let changed = ChangedRows { added: 3, updated: 2, removed: 1 };
        let counts = RebuildCounts { listed: 9, changed, foreign: 0, not_examined: 0 };
        let more = RebuildCounts { foreign: 4, not_examined: 5, ..counts };
        let total = FileTotal { files: 9, bytes: 2048 };
        let text = |counts, is_resumed, total| {
            Line { client: &client, counts, is_resumed, total }.to_text()
        };

        assert_eq!(
            text(counts, false, Some(total)),
            "web: 9 files, 2.0 KiB; added 3, updated 2, removed 1"
        );
        assert_eq!(
            text(more, true, Some(total)),
            "web: 9 files, 2.0 KiB; added 3, updated 2, removed 1, ignored 4 other objects, \
             not examined 5 (resumed)"
        );
        assert_eq!(
            text(counts, false, None),
            "web: 9 files in the bucket; to add 3, to update 2, to remove 1"
        );
    }
}

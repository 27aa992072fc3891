//! `s3up get`: downloads one file and shows its progress.

use std::path::PathBuf;

use s3up_cli::{Exit, progress};
use s3up_core::Size;

use crate::config::Config;
use crate::download::{self, Existing, Target};
use crate::gateway::client::GatewayClient;

pub(super) async fn run(
    config: Config,
    path: &str,
    output: Option<PathBuf>,
    existing: Existing,
) -> anyhow::Result<Exit> {
    let path = download::parse_path(path)?;
    let gateway = GatewayClient::new(&config.server)?;
    let target = Target::of(output.as_deref(), &path, existing);
    let (mut bar, mut shown) = (None, 0);
    let mut progress = |received: u64, expected: u64| {
        let bar = bar.get_or_insert_with(|| progress::bytes(path.file_name(), Some(expected)));
        bar.inc(received - shown);
        shown = received;
    };
    let result =
        download::download(&gateway, &path, &target, &mut tokio::io::stdout(), &mut progress).await;
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

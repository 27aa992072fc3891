//! `list`: prints what the bucket holds.

use s3up_cli::{Exit, ShutdownSignal};
use s3up_repository::catalogue::Catalogue;

use super::bucket_args::BucketAccess;
use super::{Output, connect, now, print, stopped_by};
use crate::commands::show::json;
use crate::commands::show::list::{Contents, to_table};

/// Takes no lock, writes nothing, and needs no root.
pub async fn run(access: &BucketAccess, names: &[String], output: Output) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let bucket = connect(&access.bucket, &shutdown).await?;
    let layout = &access.bucket.layout;
    let now = now().timestamp();
    let mut all = Vec::new();
    for name in access.subvolumes(&bucket, names, &shutdown).await? {
        let catalogue = tokio::select! {
            catalogue = Catalogue::read(&bucket, layout, &name) => catalogue?,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
        all.push(Contents::of(&catalogue, layout, now));
    }
    if all.is_empty() {
        let prefix = layout.prefix();
        tracing::warn!(
            event = "no_backups_found",
            "found no backups below the prefix {prefix}; check bucket and prefix"
        );
    }
    print(&match output {
        Output::Table => to_table(&all),
        Output::Json => json(&all),
    })
}

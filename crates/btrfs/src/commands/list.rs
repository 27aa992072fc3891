//! `list`: prints what the bucket holds.

use btrfs_to_s3::status::Proofs;
use btrfs_to_s3::status::last_drills::Drills;
use btrfs_to_s3::status::last_verified::LastVerifies;
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
    // Without a configuration there are no state files.
    let files = access.config.as_ref().map(|config| {
        let (path, location) = (&config.state_path, config.bucket.location());
        (Drills::open(path, location.clone()), LastVerifies::open(path, location))
    });
    let mut all = Vec::new();
    for name in access.subvolumes(&bucket, names, &shutdown).await? {
        let catalogue = tokio::select! {
            catalogue = Catalogue::read(&bucket, layout, &name) => catalogue?,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
        let proofs = Proofs {
            drill: files.as_ref().and_then(|(drills, _)| drills.last(&name)),
            verifies: files.as_ref().map(|(_, verifies)| verifies),
            subvolume: &name,
        };
        all.push(Contents::of(&catalogue, layout, &proofs, now));
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

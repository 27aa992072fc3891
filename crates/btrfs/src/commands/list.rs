//! `list`: prints what the bucket holds.

use anyhow::anyhow;
use btrfs_to_s3::status::LastChecks;
use btrfs_to_s3::status::last_drills::Drills;
use btrfs_to_s3::status::last_verified::LastVerifies;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::error_chain;
use s3up_repository::catalogue::Catalogue;
use s3up_repository::catalogue::prefixes::{Prefixes, prefixes};
use s3up_repository::documents::Bucket;

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
        let proofs = LastChecks {
            drill: files.as_ref().and_then(|(drills, _)| drills.last(&name)),
            verifies: files.as_ref().map(|(_, verifies)| verifies),
            subvolume: &name,
        };
        all.push(Contents::of(&catalogue, layout, &proofs, now));
    }
    print(&match output {
        Output::Table => to_table(&all),
        Output::Json => json(&all),
    })?;
    if !all.iter().all(Contents::is_empty) {
        return Ok(Exit::Done);
    }
    let elsewhere = tokio::select! {
        elsewhere = elsewhere(&bucket) => elsewhere,
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    };
    let prefix = layout.prefix();
    match (elsewhere, all.is_empty()) {
        (Some(elsewhere), _) => {
            Err(anyhow!("found no backups below the prefix {prefix}; {elsewhere}"))
        }
        (None, true) => {
            Err(anyhow!("found no backups below the prefix {prefix}; check bucket and prefix"))
        }
        // A configured host before its first backup.
        (None, false) => Ok(Exit::Done),
    }
}

/// Returns a sentence that names the other prefixes with backups in the bucket.
async fn elsewhere(bucket: &Bucket) -> Option<String> {
    let Prefixes { found, is_complete } = match prefixes(bucket).await {
        Ok(prefixes) => prefixes,
        Err(err) => {
            let error = error_chain(&err);
            tracing::info!(
                event = "prefixes_not_listed",
                "cannot look for other prefixes: {error}"
            );
            return None;
        }
    };
    if found.is_empty() {
        return None;
    }
    let shown =
        |prefix: &String| if prefix.is_empty() { "\"\"".to_owned() } else { prefix.clone() };
    let names: Vec<_> = found.iter().map(shown).collect();
    let more = if is_complete { "" } else { " and perhaps others" };
    Some(format!("the bucket has backups below: {}{more}", names.join(", ")))
}

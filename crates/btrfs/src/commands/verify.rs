//! `verify`: checks that everything exists and is what was sent.

use anyhow::anyhow;
use btrfs_to_s3::status::last_verified::{LastVerified, LastVerifies};
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::Count;
use s3up_repository::audit::ExpectedSettings;
use s3up_repository::verify::{Depth, Verify};

use super::bucket_args::BucketAccess;
use super::show::progress::bars;
use super::{CLOCK, Output, connect, now, print, stopped_by};
use crate::commands::show::json;
use crate::commands::show::verify::{VerifyLine, to_table};

/// Takes no lock and needs no root. It writes only what `status` shows of it.
pub async fn run(
    access: &BucketAccess,
    names: &[String],
    depth: Depth,
    output: Output,
) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let bucket = connect(&access.bucket, &shutdown).await?;
    let settings = &access.bucket.settings;
    let verify = Verify {
        bucket: &bucket,
        layout: &access.bucket.layout,
        expected: ExpectedSettings::ClassAndEncryption {
            sse: settings.sse.clone(),
            profile: settings.profile,
        },
        depth,
        clock: CLOCK,
        progress: &bars(),
    };
    // Without a configuration there is no state file.
    let mut verifies = access
        .config
        .as_ref()
        .map(|config| LastVerifies::open(&config.state_path, config.bucket.location()));
    let mut all = Vec::new();
    for name in access.subvolumes(&bucket, names, &shutdown).await? {
        let verified = tokio::select! {
            verified = verify.run(&name) => verified?,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
        if let Some(verifies) = &mut verifies {
            verifies.note(&name, LastVerified::of(&verified, depth, now().timestamp()));
        }
        all.push(VerifyLine::of(&verified, depth));
    }
    print(&match output {
        Output::Table => to_table(&all),
        Output::Json => json(&all),
    })?;
    exit_of(&all)
}

fn exit_of(all: &[VerifyLine]) -> anyhow::Result<Exit> {
    if all.is_empty() {
        return Err(anyhow!("verify: found no backups below this prefix; check bucket and prefix"));
    }
    let bad = all.iter().filter(|line| !line.sound);
    let bad: Vec<_> = bad.map(|line| line.subvolume.as_str()).collect();
    if !bad.is_empty() {
        return Err(anyhow!("verify: found problems in {}", bad.join(", ")));
    }
    let archived: usize = all.iter().map(|line| line.archived.len()).sum();
    if archived > 0 {
        let what = Count::of(archived, "archived chunk");
        let err =
            anyhow!("verify: could not read {what}; run `btrfs-to-s3 thaw`, then verify again");
        return Err(Exit::WaitingForThaw.with(err));
    }
    Ok(Exit::Done)
}

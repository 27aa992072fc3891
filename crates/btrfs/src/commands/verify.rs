//! `verify`: checks that everything exists and is what was sent.

use anyhow::anyhow;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_repository::audit::Expected;
use s3up_repository::verify::{Depth, Verify};

use super::bucket_args::BucketAccess;
use super::show::progress::bars;
use super::{CLOCK, Output, connect, print, stopped_by};
use crate::commands::show::json;
use crate::commands::show::verify::{VerifyLine, to_table};

/// Takes no lock, writes nothing, and needs no root.
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
        expected: Expected::ClassAndEncryption {
            sse: settings.sse.clone(),
            profile: settings.profile,
        },
        depth,
        clock: CLOCK,
        progress: &bars(),
    };
    let mut all = Vec::new();
    for name in access.subvolumes(&bucket, names, &shutdown).await? {
        let verified = tokio::select! {
            verified = verify.run(&name) => verified?,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
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
        let what =
            format!("verify: {archived} chunks are archived and were not read; thaw them first");
        return Err(Exit::WaitingForThaw.with(anyhow!(what)));
    }
    Ok(Exit::Done)
}

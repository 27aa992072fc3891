//! `verify`: checks that everything exists and is what was sent.

use anyhow::anyhow;
use btrfs_to_s3::backup_report::known::CheckKind;
use btrfs_to_s3::config::Config;
use btrfs_to_s3::status::last_verified::{LastVerified, LastVerifies};
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::Count;
use s3up_repository::audit::ExpectedSettings;
use s3up_repository::names::SubvolumeName;
use s3up_repository::verify::{Depth, Verify};

use super::backup_report::{note_check, report_end};
use super::bucket_args::BucketAccess;
use super::show::progress::bars;
use super::{CLOCK, Output, connect, now, print, stopped_by};
use crate::commands::show::json;
use crate::commands::show::verify::{AuditLine, VerifyLine, to_table};

/// Verifies, and reports the end to the gateway of `[report]`.
pub async fn run(
    access: &BucketAccess,
    names: &[String],
    depth: Depth,
    output: Output,
) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let outcome = verify(access, names, depth, output, &shutdown).await;
    if let Some(config) = &access.config {
        report_end(config, "verify", &shutdown).await;
    }
    outcome
}

/// Takes no lock and needs no root. It writes only what `status` and the reports show of it.
async fn verify(
    access: &BucketAccess,
    names: &[String],
    depth: Depth,
    output: Output,
    shutdown: &ShutdownSignal,
) -> anyhow::Result<Exit> {
    let bucket = connect(&access.bucket, shutdown).await?;
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
    for name in access.subvolumes(&bucket, names, shutdown).await? {
        let verified = tokio::select! {
            verified = verify.run(&name) => verified?,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
        if let Some(verifies) = &mut verifies {
            verifies.note(&name, LastVerified::of(&verified, depth, now().timestamp()));
        }
        let line = VerifyLine::of(&verified, depth);
        if let Some(config) = &access.config {
            note(config, &name, &line, depth);
        }
        all.push(line);
    }
    print(&match output {
        Output::Table => to_table(&all),
        Output::Json => json(&all),
    })?;
    exit_of(&all)
}

/// Notes the result, unless chunks were not read: then it is not known.
fn note(config: &Config, name: &SubvolumeName, line: &VerifyLine, depth: Depth) {
    let kind = (CheckKind::Verify, depth != Depth::Reported);
    match line.findings.first() {
        Some(AuditLine { key, detail, .. }) => {
            let count = Count::of(line.findings.len(), "problem");
            note_check(config, name, kind, Err(&format!("{count}, the first is {key}: {detail}")));
        }
        None if line.archived.is_empty() => note_check(config, name, kind, Ok(())),
        None => {}
    }
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

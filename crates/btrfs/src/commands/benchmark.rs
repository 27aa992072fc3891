//! `benchmark`: measures how fast this host sends, hashes and uploads.

use anyhow::{Context, anyhow};
use btrfs_to_s3::benchmark::{Benchmark, BenchmarkError};
use btrfs_to_s3::config::{CONCURRENCY_MAX, Config};
use btrfs_to_s3::snapshots::dir::snapshots_in;
use btrfs_to_s3::snapshots::record::RunId;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::storage_class::StorageClass;
use s3up_core::{Count, Size};

use super::lock::lock;
use super::show::benchmark::{Lines, to_table};
use super::{CLOCK, Output, connect, find_btrfs, log_start, need_root, print, select};
use crate::commands::show::json;

/// The arguments as typed.
pub struct BenchmarkRequest {
    pub subvolume: Option<String>,
    pub bytes: u64,
    pub concurrencies: Vec<usize>,
    pub storage_class: String,
}

pub async fn run(
    config: &Config,
    request: BenchmarkRequest,
    output: Output,
) -> anyhow::Result<Exit> {
    log_start("benchmark");
    let shutdown = ShutdownSignal::listen();
    check(&request).map_err(|err| Exit::Usage.with(err))?;
    let btrfs = find_btrfs()?;
    let snapshot = match &request.subvolume {
        None => None,
        Some(name) => Some(newest_snapshot(config, name)?),
    };
    let _lock = lock(config)?;
    let mut bucket_config = config.bucket.clone();
    let most = request.concurrencies.iter().copied().max().unwrap_or(1);
    bucket_config.hold_parts(most);
    log_uploads(&request, bucket_config.layout.prefix().as_str());
    warn_of_cost(&request);
    let bucket = connect(&bucket_config, &shutdown).await?;
    let benchmark = Benchmark {
        layout: &bucket_config.layout,
        chunk_bytes: bucket_config.chunk_bytes,
        part_bytes: bucket_config.part_bytes,
        retry_for: bucket_config.retry_for,
        store: bucket.store,
        btrfs: &btrfs,
        shutdown,
        run: RunId::random().context("choose a name for this run")?,
        snapshot,
        bytes: request.bytes,
        concurrencies: request.concurrencies,
        storage_class: request.storage_class,
        clock: CLOCK,
    };
    let report = benchmark.run().await.map_err(failed)?;
    print(&match output {
        Output::Table => to_table(&report),
        Output::Json => json(&Lines::of(&report)),
    })?;
    Ok(Exit::Done)
}

fn failed(err: BenchmarkError) -> anyhow::Error {
    if let BenchmarkError::Stopped(stop) = err {
        return Exit::from(stop).with(err);
    }
    anyhow!(err).context("benchmark")
}

fn check(request: &BenchmarkRequest) -> anyhow::Result<()> {
    let BenchmarkRequest { bytes, concurrencies, storage_class, .. } = request;
    if *bytes == 0 {
        return Err(anyhow!("--bytes: expected at least 1"));
    }
    let is_good = |count: &usize| (1..=CONCURRENCY_MAX).contains(count);
    if concurrencies.is_empty() || !concurrencies.iter().all(is_good) {
        return Err(anyhow!("--concurrency: expected numbers from 1 to {CONCURRENCY_MAX}"));
    }
    if StorageClass::find(storage_class).is_none() {
        return Err(anyhow!("--storage-class: unknown storage class {storage_class:?}"));
    }
    Ok(())
}

fn newest_snapshot(config: &Config, name: &str) -> anyhow::Result<std::path::PathBuf> {
    need_root()?;
    let names = [name.to_owned()];
    let subvolumes = select(config, &names)?;
    let of = |name| subvolumes.iter().any(|subvolume| subvolume.name == name);
    let snapshots = snapshots_in(&config.base_dir)?;
    let newest = snapshots.into_iter().rfind(|snapshot| of(snapshot.subvolume.clone()));
    let newest = newest.ok_or_else(|| {
        let what = "has no snapshot to send; make one with `backup --no-s3`, or omit --subvolume";
        Exit::Usage.with(anyhow!("subvolume {name} {what}"))
    })?;
    Ok(config.base_dir.join(newest.to_string()))
}

/// Says what will be uploaded, before anything is.
fn log_uploads(request: &BenchmarkRequest, prefix: &str) {
    let BenchmarkRequest { bytes, concurrencies, storage_class, .. } = request;
    let uploads = concurrencies.len() as u64;
    let total = bytes.saturating_mul(uploads);
    tracing::info!(
        event = "benchmark_planned",
        total_bytes = total,
        class = %storage_class,
        "will upload {} in {} of {} each, below {prefix}benchmark/ in class {storage_class}, and \
         delete it again",
        Size(total),
        Count(uploads, "measurement"),
        Size(*bytes)
    );
}

fn warn_of_cost(request: &BenchmarkRequest) {
    let class = &request.storage_class;
    if class != "STANDARD" && class != "EXPRESS_ONEZONE" && class != "REDUCED_REDUNDANCY" {
        tracing::warn!(
            event = "benchmark_costs",
            %class,
            "S3 charges for a minimum storage time of this class, even though the benchmark \
             deletes its objects"
        );
    }
}

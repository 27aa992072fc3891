//! `benchmark`: measures how fast this host sends, hashes and uploads.

use anyhow::{Context, anyhow};
use btrfs_to_s3::benchmark::{Benchmark, BenchmarkError, Report};
use btrfs_to_s3::config::{CONCURRENCY_MAX, Config, is_storage_class};
use btrfs_to_s3::planner::show::json;
use btrfs_to_s3::record::RunId;
use btrfs_to_s3::selection;
use btrfs_to_s3::stopping::ShutdownSignal;
use btrfs_to_s3::subvolume::snapshots_in;
use s3up_cli::{Exit, table};
use s3up_core::Size;
use serde::Serialize;

use super::backup::lock;
use super::{Output, connect, find_btrfs, need_root, print};

/// The arguments as typed.
pub struct Request {
    pub subvolume: Option<String>,
    pub bytes: u64,
    pub concurrencies: Vec<usize>,
    pub storage_class: String,
}

#[derive(Serialize)]
struct Line {
    what: &'static str,
    concurrency: Option<usize>,
    bytes: u64,
    elapsed_seconds: f64,
    bytes_per_second: f64,
}

#[derive(Serialize)]
struct Lines {
    measured: Vec<Line>,
    concurrency: usize,
    reason: String,
}

pub async fn run(config: &Config, request: Request, output: Output) -> anyhow::Result<Exit> {
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
    warn_of_cost(&request);
    let bucket = connect(&bucket_config, &shutdown).await?;
    let benchmark = Benchmark {
        config: &bucket_config,
        store: bucket.store,
        btrfs: &btrfs,
        shutdown,
        run: RunId::random().context("choose a name for this run")?,
        snapshot,
        bytes: request.bytes,
        concurrencies: request.concurrencies,
        storage_class: request.storage_class,
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

fn check(request: &Request) -> anyhow::Result<()> {
    let Request { bytes, concurrencies, storage_class, .. } = request;
    if *bytes == 0 {
        return Err(anyhow!("--bytes: expected at least 1"));
    }
    let is_good = |count: &usize| (1..=CONCURRENCY_MAX).contains(count);
    if concurrencies.is_empty() || !concurrencies.iter().all(is_good) {
        return Err(anyhow!("--concurrency: expected numbers from 1 to {CONCURRENCY_MAX}"));
    }
    if !is_storage_class(storage_class) {
        return Err(anyhow!("--storage-class: unknown storage class {storage_class:?}"));
    }
    Ok(())
}

fn newest_snapshot(config: &Config, name: &str) -> anyhow::Result<std::path::PathBuf> {
    need_root()?;
    let names = [name.to_owned()];
    let subvolumes = selection::select(config, &names).map_err(|err| Exit::Usage.with(err))?;
    let of = |name| subvolumes.iter().any(|subvolume| subvolume.name == name);
    let snapshots = snapshots_in(&config.base_dir)?;
    let newest = snapshots.into_iter().rfind(|snapshot| of(snapshot.subvolume.clone()));
    let newest = newest.ok_or_else(|| {
        let what = "has no snapshot to send; make one with `backup --no-s3`, or omit --subvolume";
        Exit::Usage.with(anyhow!("subvolume {name} {what}"))
    })?;
    Ok(config.base_dir.join(newest.to_string()))
}

fn warn_of_cost(request: &Request) {
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

fn to_table(report: &Report) -> String {
    let rows = report.measured.iter().map(|found| {
        let throughput = found.throughput;
        [
            found.what.word().to_owned(),
            found.concurrency.map_or_else(|| "-".to_owned(), |count| count.to_string()),
            Size(throughput.bytes).to_string(),
            format!("{:.2}", throughput.elapsed.as_secs_f64()),
            throughput.to_string(),
        ]
    });
    let table = table(["MEASURED", "CONCURRENCY", "SIZE", "SECONDS", "THROUGHPUT"], rows);
    format!("{table}\n{}\n", report.suggestion)
}

impl Lines {
    fn of(report: &Report) -> Lines {
        let line = |found: &btrfs_to_s3::benchmark::Measured| Line {
            what: found.what.word(),
            concurrency: found.concurrency,
            bytes: found.throughput.bytes,
            elapsed_seconds: found.throughput.elapsed.as_secs_f64(),
            bytes_per_second: found.throughput.bytes_per_second().round(),
        };
        Lines {
            measured: report.measured.iter().map(line).collect(),
            concurrency: report.suggestion.concurrency,
            reason: report.suggestion.to_string(),
        }
    }
}

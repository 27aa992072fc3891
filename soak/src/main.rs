//! `s3up-soak`: runs all programs as processes in a storm of kills, faults and changes, lets everything
//! come to rest, and compares what they stored with a plain model.
//!
//! Every decision of the storm is made by a seed, so that a run that failed can be repeated; the moments
//! are those of the machine. Not here: tests of single faults, which are in the crates.

mod btrfs;
mod daemon;
mod events;
mod files;
mod link;
mod random;
mod report;
mod rest;
mod storm;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tempfile::TempDir;

use crate::btrfs::BtrfsHost;
use crate::files::FileStorm;
use crate::random::Random;
use crate::report::Report;
use crate::storm::Counts;
use crate::world::World;

/// Run all programs in a storm of faults, and check what they stored
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Length of the storm in minutes
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    minutes: f64,
    /// Decisions of the storm (default: random)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Directory for the data
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    dir: PathBuf,
    /// Leave the data and the logs where they are
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match soak(&args).await {
        Ok(report) => {
            print(&format!("{report}"));
            print(if report.is_good() { "soak: all checks passed\n" } else { "soak: FAILED\n" });
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            print(&format!("soak: FAILED: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the only place where this program prints")]
fn print(text: &str) {
    print!("{text}");
}

async fn soak(args: &Args) -> anyhow::Result<Report> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => getrandom::u64().context("get a random seed")? >> 16,
    };
    let time = Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?;
    let directory =
        TempDir::with_prefix_in("s3up-soak-", &args.dir).context("create a directory")?;
    print(&format!(
        "soak: --seed {seed}, a storm of {} s in {}\n",
        time.as_secs(),
        directory.path().display()
    ));
    let report = run(directory.path(), seed, time).await;
    let is_good = report.as_ref().is_ok_and(Report::is_good);
    if args.keep || !is_good {
        let kept = directory.keep();
        print(&format!("soak: data and logs are kept in {}\n", kept.display()));
    }
    report
}

async fn run(directory: &Path, seed: u64, time: Duration) -> anyhow::Result<Report> {
    let world = World::new(directory).await?;
    let mut host = BtrfsHost::start_or_skip(&world)?;
    let (counts, mut report) = (Counts::default(), Report::default());
    world.start().await?;
    let files = FileStorm::start(world.up(), Random::of(seed, "files"));
    let of_btrfs = async {
        match &mut host {
            Some(host) => host.storm(&world, &counts, Random::of(seed, "btrfs"), time).await,
            None => Ok(()),
        }
    };
    let storm = async {
        tokio::try_join!(
            storm::of_processes(&world, &counts, Random::of(seed, "processes"), time),
            storm::of_world(&world, &counts, Random::of(seed, "world"), time),
            of_btrfs,
        )
    };
    // Programs are started again until all of them are at rest.
    let stormed = tokio::select! {
        stormed = storm => stormed.map(|_| ()),
        supervised = storm::supervise(&world) => supervised,
    };
    report.check("the storm", stormed);
    report.fact("seconds of storm", time.as_secs());
    report.fact("changes of watched files", files.stop().await);
    report.counts(counts.all());
    storm::end(&world).await;
    let checks = check_all(&world, &mut host, &mut report);
    tokio::select! {
        () = checks => {}
        supervised = storm::supervise(&world) => supervised.context("start a program again")?,
    }
    let checked = rest::check_programs(&world, &mut report).await;
    report.check("logs, memory and processes", checked);
    Ok(report)
}

async fn check_all(world: &World, host: &mut Option<BtrfsHost>, report: &mut Report) {
    let found = rest::agent_is_at_rest(world, report).await;
    report.check("the agent comes to rest", found);
    let found = rest::compare_running(world, report).await;
    report.check("agent and gateway agree with the disk", found);
    if let Some(host) = host {
        let found = host.rest(world).await;
        report.check("btrfs-to-s3 completes what was interrupted", found);
    }
    let found = rest::sweep_and_rebuild(world, report).await;
    report.check("sweep and rebuild", found);
    let found = rest::compare_bucket(world, host.as_ref(), report).await;
    report.check("the buckets can be read", found);
}

//! The program `btrfs-to-s3`: runs the command that was typed. Decides nothing.

// The futures of the AWS SDK are nested about a hundred deep, as in the library.
#![recursion_limit = "256"]

mod commands;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::plan::decide::Trigger;
use commands::args::{AnyCommand, Args, Command};
use commands::cost::CostLimit;
use commands::prune::{self, PruneMode};
use commands::{benchmark, output};
use s3up_cli::Exit;
use s3up_cli::config::Setting;
use s3up_repository::origin::Adopt;

/// Time for blocking tasks, such as a name lookup, to end after the command.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

fn adopt_of(adopt: bool) -> Adopt {
    if adopt { Adopt::Yes } else { Adopt::No }
}

fn main() -> ExitCode {
    let (args, settings) = commands::args::parse();
    s3up_cli::finish("btrfs-to-s3", run(args, &settings))
}

fn run(args: Args, settings: &[String]) -> anyhow::Result<Exit> {
    let settings = settings.iter().map(|text| text.parse()).collect::<Result<Vec<Setting>, _>>();
    let settings = settings.map_err(|err| Exit::Usage.with(anyhow!(err).context("--set")))?;
    match args.command {
        AnyCommand::InBucket(command) => {
            let access = command.access(&args.config, &settings)?;
            args.log.with_config(access.log_level(), None).init()?;
            block_on(command.run(&access))
        }
        AnyCommand::Init(init) => {
            if !settings.is_empty() {
                let what = "--set: init writes a file, and overrides nothing; edit the file";
                return Err(Exit::Usage.with(anyhow!(what)));
            }
            args.log.init()?;
            block_on(commands::init::run(init, &args.config))
        }
        AnyCommand::ShellFiles(command) => command.run(commands::args::command()),
        AnyCommand::OnHost(command) => {
            let config = Config::load(&args.config, &settings)?;
            args.log.with_config(config.log_level, None).init()?;
            block_on(run_on_host(command, &config))
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let exit = runtime.block_on(work);
    runtime.shutdown_timeout(RUNTIME_GRACE);
    exit
}

async fn run_on_host(command: Command, config: &Config) -> anyhow::Result<Exit> {
    match command {
        Command::Backup { no_s3: true, subvolume, .. } => {
            commands::backup::run_without_s3(config, &subvolume).await
        }
        Command::Backup { trigger, adopt, dry_run, json, subvolume, no_s3: _ } => {
            let (trigger, adopt) = (trigger.trigger(), adopt_of(adopt));
            if dry_run {
                let names = subvolume;
                let limit = CostLimit(None);
                let request =
                    commands::plan::PlanRequest { trigger, adopt, names, bytes: false, limit };
                return commands::plan::run(config, request, output(json)).await;
            }
            commands::backup::run(config, (trigger, adopt), &subvolume).await
        }
        Command::Plan { json, bytes, max_cost, subvolume: names } => {
            let (trigger, adopt, limit) = (Trigger::Scheduled, Adopt::No, CostLimit(max_cost));
            let request = commands::plan::PlanRequest { trigger, adopt, names, bytes, limit };
            commands::plan::run(config, request, output(json)).await
        }
        Command::Status { check: true, subvolume, .. } => {
            commands::status::check(config, &subvolume).await
        }
        Command::Status { check: false, json, history, subvolume } => {
            commands::status::run(config, &subvolume, history, output(json)).await
        }
        Command::Estimate { days, json, subvolume } => {
            commands::estimate::run(config, &subvolume, days, output(json)).await
        }
        Command::Benchmark { subvolume, bytes, concurrency, storage_class, json } => {
            let concurrencies = concurrency;
            let request =
                benchmark::BenchmarkRequest { subvolume, bytes, concurrencies, storage_class };
            benchmark::run(config, request, output(json)).await
        }
        Command::Prune { dry_run, orphans: _, older_than, max_cost, adopt, json, subvolume } => {
            let mode = if dry_run { PruneMode::Print } else { PruneMode::Delete };
            let (adopt, limit) = (adopt_of(adopt), CostLimit(max_cost));
            let request = prune::PruneRequest { mode, adopt, limit };
            match older_than {
                Some(days) => prune::run_orphans(config, mode, &subvolume, days).await,
                None => prune::run(config, request, &subvolume, output(json)).await,
            }
        }
        Command::Drill(args) => commands::drill::run(config, args).await,
        Command::CheckConfig => commands::check_config::run(config),
    }
}

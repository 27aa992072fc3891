//! `s3up-bench`: runs the benchmarks, and is the sink and the clients that they
//! need.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use s3up_bench::cases::{self, Case};
use s3up_bench::load::{gateway, objects, stream};
use s3up_bench::measure::say;
use s3up_bench::sink::{Options, Sink};
use s3up_bench::world::World;
use serde_json::json;

/// Benchmarks of s3up, and the comparison with its peers
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run cases, and print a table of each
    Run(Run),
    /// An S3 server that costs nearly nothing
    Sink(SinkArgs),
    /// Write to so much memory, and end
    Touch(Touch),
    /// Send a long stream through the engine
    Stream(stream::Upload),
    /// Fetch objects through the engine, into nothing
    Fetch(stream::Download),
    /// Send many small objects straight into S3
    Objects(objects::Upload),
    /// Send objects into the gateway
    Put(gateway::Upload),
}

#[derive(Args)]
struct Run {
    /// Which cases; all of them by default
    names: Vec<String>,
    /// Say which cases there are
    #[arg(long)]
    list: bool,
    /// Runs of each contender that count, after one that does not
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// GiB of the long streams
    #[arg(long, default_value_t = 4)]
    gib: u64,
    /// Where data is made; it is removed at the end
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Where `NAME.md` and `NAME.json` of each case are written
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

#[derive(Args)]
struct SinkArgs {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Keep all bodies in memory, and serve them
    #[arg(long)]
    keep: bool,
    /// Time between the end of a request and its answer
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
}

#[derive(Args)]
struct Touch {
    #[arg(long)]
    bytes: usize,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            say(&format!("s3up-bench: {err:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => bench(&args),
        Command::Sink(args) => sink(&args),
        Command::Touch(Touch { bytes }) => {
            // Zeros would not be written.
            drop(std::hint::black_box(vec![1u8; bytes]));
            Ok(())
        }
        Command::Stream(args) => block_on(stream::upload(&args)),
        Command::Fetch(args) => block_on(stream::download(&args)),
        Command::Objects(args) => block_on(objects::upload(&args)),
        Command::Put(args) => block_on(gateway::upload(&args)),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new().context("start the runtime")?.block_on(work)
}

fn sink(args: &SinkArgs) -> anyhow::Result<()> {
    let latency = Duration::from_millis(args.latency_ms);
    let sink = Sink::bind(args.listen, Options { keep: args.keep, latency })?;
    print(&format!("listening on http://{}\n", sink.address()?))?;
    sink.serve()
}

fn bench(args: &Run) -> anyhow::Result<()> {
    if args.list {
        return cases::ALL.iter().try_for_each(|case| print(&format!("{}\n", case.name)));
    }
    for case in wanted(&args.names)? {
        if case.wants_btrfs && !s3up_testkit::btrfs_or_skip() {
            bail!("{}: it needs root and btrfs on a loop device", case.name);
        }
        say(&format!("{}:", case.name));
        // Each in a folder of its own, so that its data is gone with it.
        let world = World::new(&args.dir, args.rounds, args.gib)?;
        let report = (case.run)(&world).with_context(|| case.name.to_owned())?;
        print(&format!("\n{}\n", report.markdown()))?;
        if let Some(folder) = &args.results {
            fs::create_dir_all(folder).with_context(|| format!("make {folder:?}"))?;
            let write = |name: String, text: String| {
                let path = folder.join(name);
                fs::write(&path, text).with_context(|| format!("write {path:?}"))
            };
            write(format!("{}.md", case.name), report.markdown())?;
            let facts = json!({"machine": machine(), "gib": args.gib, "report": report.json()});
            write(format!("{}.json", case.name), format!("{facts:#}\n"))?;
        }
    }
    Ok(())
}

fn wanted(names: &[String]) -> anyhow::Result<Vec<&'static Case>> {
    if names.is_empty() {
        return Ok(cases::ALL.iter().collect());
    }
    let find = |name: &String| {
        let found = cases::ALL.iter().find(|case| case.name == name);
        found.with_context(|| format!("no case is called {name}; --list says which there are"))
    };
    names.iter().map(find).collect()
}

/// What the figures were measured on.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let uname = rustix::system::uname();
    format!("{cores} cores, Linux {}", uname.release().to_string_lossy())
}

fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(text.as_bytes()).context("write to standard output")
}

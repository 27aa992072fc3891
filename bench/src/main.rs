//! `s3up-bench`: runs the benchmarks. Its other commands are the servers and
//! clients that the cases start as processes of their own.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use s3up_bench::cases::{self, Case};
use s3up_bench::console;
use s3up_bench::load::{gateway, objects, stream};
use s3up_bench::null_server::{NullServer, Options};
use s3up_bench::workspace::Workspace;
use serde_json::{Value, json};

/// Benchmarks of s3up, compared with other tools
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run cases and print a table for each
    Run(RunArgs),
    /// Run the null S3 server
    NullServer(NullServerArgs),
    /// Write to memory, then exit
    Touch(TouchArgs),
    /// Upload a long stream by the store
    Stream(stream::Upload),
    /// Download objects by the store and drop the bytes
    Download(stream::Download),
    /// Upload many small objects directly into S3
    Objects(objects::Upload),
    /// Upload objects into the gateway
    Put(gateway::Upload),
}

#[derive(Args)]
struct RunArgs {
    /// Cases to run (default: all)
    #[arg(value_name = "CASE")]
    names: Vec<String>,
    /// List the cases
    #[arg(long)]
    list: bool,
    /// Measured runs of each contender, after one warm-up
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Length of the long streams in GiB
    #[arg(long, value_name = "N", default_value_t = 4)]
    gib: u64,
    /// Directory for the test data, which is removed at the end
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Directory into which CASE.json is written for each case
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Markdown file for the tables of this run
    #[arg(long, value_name = "FILE")]
    tables: Option<PathBuf>,
}

#[derive(Args)]
struct NullServerArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Keep all bodies in memory, and serve them
    #[arg(long)]
    keep: bool,
    /// Time between the end of a request and its answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,
}

#[derive(Args)]
struct TouchArgs {
    /// Number of bytes to write to
    #[arg(long, value_name = "N")]
    bytes: usize,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            console::status(&format!("s3up-bench: error: {err:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run_cases(&args),
        Command::NullServer(args) => serve(&args),
        Command::Touch(TouchArgs { bytes }) => {
            // The kernel would not allocate memory for zeros.
            drop(std::hint::black_box(vec![1u8; bytes]));
            Ok(())
        }
        Command::Stream(args) => block_on(stream::upload(&args)),
        Command::Download(args) => block_on(stream::download(&args)),
        Command::Objects(args) => block_on(objects::upload(&args)),
        Command::Put(args) => block_on(gateway::upload(&args)),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new().context("start the runtime")?.block_on(work)
}

fn serve(args: &NullServerArgs) -> anyhow::Result<()> {
    let latency = Duration::from_millis(args.latency_ms);
    let server = NullServer::bind(args.listen, Options { keep: args.keep, latency })?;
    console::print(&format!("listening on http://{}\n", server.address()?))?;
    server.serve()
}

fn run_cases(args: &RunArgs) -> anyhow::Result<()> {
    if args.list {
        return list_cases();
    }
    let cases = selected(&args.names)?;
    let mut tables = args.tables.as_deref().map(|path| create_tables(path, args)).transpose()?;
    for case in cases {
        if case.needs_btrfs && !s3up_testkit::btrfs_or_skip() {
            bail!("case {}: expected root and btrfs on a loop device, found none", case.name);
        }
        console::status(&format!("{}:", case.name));
        // Each case has a workspace of its own, so that its data is removed with it.
        let workspace = Workspace::new(&args.dir, args.rounds, args.gib)?;
        let results =
            case.run(&workspace).with_context(|| format!("run the case {}", case.name))?;
        let table = format!("\n{}", results.markdown);
        console::print(&table)?;
        if let Some(file) = &mut tables {
            file.write_all(table.as_bytes()).context("write the tables")?;
        }
        if let Some(directory) = &args.results {
            write_json(directory, args.gib, case.name, &results.json)?;
        }
    }
    Ok(())
}

fn list_cases() -> anyhow::Result<()> {
    cases::ALL.iter().try_for_each(|case| {
        let Case { name, about, .. } = case;
        console::print(&format!("{name:18} {about}\n"))
    })
}

fn selected(names: &[String]) -> anyhow::Result<Vec<&'static Case>> {
    if names.is_empty() {
        return Ok(cases::ALL.iter().collect());
    }
    let find = |name: &String| {
        let found = cases::ALL.iter().find(|case| case.name == name);
        found.with_context(|| format!("unknown case {name}; --list prints the cases"))
    };
    names.iter().map(find).collect()
}

fn create_tables(path: &Path, args: &RunArgs) -> anyhow::Result<File> {
    let mut file = File::create(path).with_context(|| format!("create {path:?}"))?;
    let RunArgs { rounds, gib, .. } = args;
    let title = format!(
        "# Results\n\n{}. Rounds: {rounds}. Length of the long streams: {gib} GiB.\n",
        machine()
    );
    file.write_all(title.as_bytes()).with_context(|| format!("write {path:?}"))?;
    Ok(file)
}

fn write_json(directory: &Path, gib: u64, name: &str, report: &Value) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {directory:?}"))?;
    let path = directory.join(format!("{name}.json"));
    let facts = json!({"machine": machine(), "gib": gib, "report": report});
    fs::write(&path, format!("{facts:#}\n")).with_context(|| format!("write {path:?}"))
}

/// Returns the number of cores and the version of the kernel.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let uname = rustix::system::uname();
    format!("{cores} cores, Linux {}", uname.release().to_string_lossy())
}

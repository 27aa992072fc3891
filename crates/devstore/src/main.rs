//! `s3up-devstore`: reads arguments, starts the server, waits to be stopped.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use s3up_devstore::{DevStore, Options, Versioning};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

const CONTROL: &str = r#"Control endpoint, for processes on this machine (JSON, no signature):
  POST   /_control/faults   {"op": "PutObject", "nth": 1, "fault": {"kind": "stall"}}
  GET    /_control/faults   what was injected and has not happened
  DELETE /_control/faults   take back what waits
  GET    /_control/calls    how many calls there were
  POST   /_control/holds    {"nth": 2}: do the work of the 2nd call, do not answer it
  GET    /_control/holds/ID, GET /_control/holds/ID/reached, DELETE /_control/holds/ID
  PUT    /_control/network  {"latency_ms": 50, "bytes_per_second": 1000000}
  POST   /_control/clock    {"advance_seconds": 86400}
  PUT    /_control/restore  {"delay_seconds": 3600}
Kinds of faults: internal_error, slow_down (retry_after_seconds), stall,
  cut_upload (after_bytes), cut_body (after_bytes), flip_byte (offset),
  lose_answer, late_internal_error, error_in_200, late_error_in_200"#;

/// Serve S3 from a folder, for development and tests
#[derive(Parser)]
#[command(version, after_help = CONTROL)]
struct Args {
    /// Folder that holds everything; made if it does not exist
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Bucket to make unless it exists; may be given more than once
    #[arg(long = "bucket", value_name = "NAME")]
    buckets: Vec<String>,
    /// Keep versions in these buckets
    #[arg(long, requires = "buckets")]
    versioned: bool,
    /// The one access key that is let in
    #[arg(long, value_name = "ID", default_value = Options::ACCESS_KEY_ID)]
    access_key_id: String,
    /// The secret of that key; the default is public, so listen on loopback
    #[arg(
        long,
        value_name = "KEY",
        env = "S3UP_DEVSTORE_SECRET_ACCESS_KEY",
        hide_env_values = true,
        default_value = Options::SECRET_ACCESS_KEY
    )]
    secret_access_key: String,
    /// Every call waits for so long, as over a long way
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    // Of the libraries nothing: `s3s` reports every refused call as an error.
    let filter = EnvFilter::new("s3up_devstore=warn");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let s3 = DevStore::start(Options {
        listen: args.listen,
        access_key_id: args.access_key_id,
        secret_access_key: args.secret_access_key,
        ..Options::new(args.root)
    });
    let s3 = s3.await?;
    s3.faults().set_latency(Duration::from_millis(args.latency_ms));
    let versioning = if args.versioned { Versioning::Enabled } else { Versioning::Off };
    for bucket in &args.buckets {
        s3.create_bucket(bucket, versioning).await?;
    }
    writeln!(io::stdout(), "listening on {}", s3.endpoint()).context("write to stdout")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    s3.stop().await;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the one place where this program reports its end")]
fn report(error: &anyhow::Error) {
    eprintln!("s3up-devstore: {error:#}");
}

//! `s3up-devstore`: reads the arguments, starts the server and waits for a signal.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use s3up_devstore::{Behaviours, DevStore, Like, Options, Versioning};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = r#"Examples:
  # Serve the bucket "backups" on port 9000
  s3up-devstore --root /tmp/s3 --listen 127.0.0.1:9000 --bucket backups

  # Keep versions, and delay every call as on a slow network
  s3up-devstore --root /tmp/s3 --bucket demo --versioned --latency-ms 50

  # Behave like Ceph RGW
  s3up-devstore --root /tmp/s3 --bucket demo --like rgw

  # Make the next upload fail (the port is in the first line of the output)
  curl -d '{"op": "PutObject", "nth": 1, "fault": {"kind": "internal_error"}}' \
    http://127.0.0.1:9000/_control/faults

Control endpoint (JSON, without a signature, only from this machine):
  POST   /_control/faults            {"op": "PutObject", "nth": 1,
                                      "fault": {"kind": "stall"}}
  GET    /_control/faults            List injected faults that have not fired
  DELETE /_control/faults            Remove all injected faults
  GET    /_control/calls             Count the calls of each operation
  POST   /_control/holds             {"nth": 2}: execute the 2nd call from now
                                     on, but hold its answer
  GET    /_control/holds/ID          Show whether that call was executed
  GET    /_control/holds/ID/reached  Wait until it was executed
  DELETE /_control/holds/ID          Break the connection of that call
  PUT    /_control/network           {"latency_ms": 50,
                                      "bytes_per_second": 1000000}
  GET    /_control/clock             Show the time of the server
  POST   /_control/clock             {"advance_seconds": 86400}
  PUT    /_control/restore           {"delay_seconds": 3600}

Kinds of faults:
  internal_error, access_denied, slow_down (retry_after_seconds), stall,
  cut_upload (after_bytes), cut_body (after_bytes), flip_byte (offset),
  lose_answer, late_internal_error, error_in_200, late_error_in_200

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 failed, 2 wrong usage"#;

/// An S3 server in a directory, for development and tests
///
/// It prints one line, "listening on http://ADDRESS", and serves until it gets
/// SIGTERM or SIGINT. It is not meant for data that you need: it does not
/// fsync, and its default secret is public.
#[derive(Parser)]
#[command(version, verbatim_doc_comment, after_help = EXAMPLES, next_line_help = true)]
struct Args {
    /// Data directory; created if it does not exist
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    root: PathBuf,
    /// Address to listen on; port 0 is any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", help_heading = "Server")]
    listen: SocketAddr,
    /// Delay every call by this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0, help_heading = "Server")]
    latency_ms: u64,
    /// Behave like another server where that differs from S3:
    /// rgw, swift, seaweedfs, juicefs or rclone
    #[arg(
        long,
        value_name = "SERVER",
        value_parser = PossibleValuesParser::new(Like::ALL.map(Like::name)).map(like),
        hide_possible_values = true,
        verbatim_doc_comment,
        help_heading = "Server"
    )]
    like: Option<Like>,
    /// Create this bucket unless it exists; can be repeated
    #[arg(long = "bucket", value_name = "NAME", help_heading = "Buckets")]
    buckets: Vec<String>,
    /// Enable versioning for the buckets given with --bucket
    #[arg(long, requires = "buckets", help_heading = "Buckets")]
    versioned: bool,
    /// The access key ID that the server accepts
    #[arg(
        long,
        value_name = "ID",
        default_value = Options::ACCESS_KEY_ID,
        help_heading = "Credentials"
    )]
    access_key_id: String,
    /// The secret of that key
    /// (default: devstore-secret)
    #[arg(
        long,
        value_name = "KEY",
        env = "S3UP_DEVSTORE_SECRET_ACCESS_KEY",
        hide_env_values = true,
        default_value = Options::SECRET_ACCESS_KEY,
        help_heading = "Credentials",
        hide_default_value = true,
        verbatim_doc_comment
    )]
    secret_access_key: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    // No logs of libraries: `s3s` logs every refused call as an error.
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
        behaviours: args.like.map_or_else(Behaviours::default, Like::behaviours),
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

/// Returns the server that has this name.
fn like(name: String) -> Like {
    let named = |like: &Like| like.name() == name;
    Like::ALL.into_iter().find(named).expect("only these names are possible values")
}

#[expect(clippy::print_stderr, reason = "the only place where this program reports its error")]
fn report(error: &anyhow::Error) {
    eprintln!("s3up-devstore: {error:#}");
}

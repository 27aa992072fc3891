//! The command line of `s3up-server`, and its help texts.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use s3up_cli::LogArgs;

const EXAMPLES: &str = "\
Examples:
  Generate a client key, then check the configuration and run the gateway:
    s3up-server keygen
    s3up-server check-config
    s3up-server

  Run with a configuration file in another place:
    s3up-server --config ./server.yaml";

const SERVE_EXAMPLES: &str = "\
Examples:
  Run with the default configuration file:
    s3up-server serve

  Run with another file and log in JSON:
    s3up-server serve --config ./server.yaml --log-format json";

const CHECK_CONFIG_EXAMPLES: &str = "\
Examples:
  Check the default configuration file before a restart:
    s3up-server check-config

  Check a new file; secrets come from the environment, as when serving:
    S3_SECRET_ACCESS_KEY=... s3up-server check-config --config ./new.yaml";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  Generate a key and copy each line to the file that it names:
    s3up-server keygen

  Store the lines in a file that only you can read:
    (umask 077; s3up-server keygen > key.txt)";

/// Receive files from clients over HTTP and store them in S3
#[derive(Parser)]
#[command(version, name = "s3up-server", after_help = EXAMPLES)]
pub struct Args {
    /// Configuration file, YAML or TOML
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/s3up-server/server.yaml"
    )]
    pub config: PathBuf,
    #[command(flatten, next_help_heading = "Logging options")]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the gateway (default)
    ///
    /// Stops on SIGTERM or SIGINT, after the requests in progress, and exits
    /// with 0.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve,
    /// Check the configuration file and print the effective settings
    ///
    /// Reads the file, the environment variables that it names and the TLS
    /// certificate. Does not connect to S3. Prints no secrets.
    #[command(after_help = CHECK_CONFIG_EXAMPLES)]
    CheckConfig,
    /// Generate a client key
    ///
    /// Prints one line for server.yaml, with the SHA-256 of the key, and one
    /// for client.yaml, with the key itself. The key is not stored anywhere.
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen,
}

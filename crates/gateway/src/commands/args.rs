//! The command line of `s3up-server`, and its help texts.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use s3up_cli::{LogArgs, ShellFilesCommand};
use s3up_core::ClientName;

use super::init::InitArgs;
use crate::freeze::parse_reason;

const GLOBAL: &str = "Global options";

const EXAMPLES: &str = "\
Examples:
  # Generate a client key
  s3up-server keygen --name webapp

  # Check the configuration file, then run the gateway
  s3up-server check-config
  s3up-server

Run 's3up-server COMMAND --help' for the options of a command.";

const SERVE_EXAMPLES: &str = "\
The gateway stops on SIGTERM or SIGINT, after the requests in progress, with
exit code 0. On SIGHUP it reloads the configuration; an invalid one is refused,
and the previous one stays in force. Uploads in progress continue.

Examples:
  s3up-server serve

  # Use another file, and log in JSON
  s3up-server serve --config ./server.yaml --log-format json";

const CHECK_CONFIG_EXAMPLES: &str = "\
Reads the file, the environment variables that it names and the TLS certificate.
Prints YAML that can be loaded again, without secrets. Connects to S3 only with
--online, which writes small objects and one of 5 MiB below the prefix, and
exits with 1 if a guarantee is lost.

Examples:
  s3up-server check-config
  s3up-server check-config --online

  # Check a new file; secrets come from the environment, as when serving
  S3_SECRET_ACCESS_KEY=... s3up-server check-config --config ./new.yaml";

const KEYGEN_EXAMPLES: &str = "\
Prints one line for server.yaml, with the SHA-256 of the key, and one for
client.yaml, with the key itself. The key is not stored anywhere.

Examples:
  s3up-server keygen --name webapp

  # Store the lines in a file that only you can read
  (umask 077; s3up-server keygen --name webapp > key.txt)";

const DOCTOR_EXAMPLES: &str = "\
Examines the configuration file, the TLS certificate, the database and the S3
server: which guarantees it keeps, whether the bucket keeps versions, and
whether a rule aborts abandoned uploads. Writes small objects and one of 5 MiB
below the prefix. Exits with 1 if a guarantee is lost.

Examples:
  s3up-server doctor
  s3up-server doctor --json";

const INIT_EXAMPLES: &str = "\
Asks on a terminal for each value that no option gives. Writes the file of
--config and NAME.key, the key of a first client, both with mode 0600. Then it
checks the S3 server as `check-config --online` does. A file that exists is not
touched. The S3 credentials come from the variables S3_ACCESS_KEY_ID and
S3_SECRET_ACCESS_KEY, or from the file of --env-file.

Examples:
  s3up-server init

  s3up-server init --bucket backups --region eu-central-1 --client web-01 \\
    --cert-file /etc/s3up-server/cert.pem --key-file /etc/s3up-server/key.pem";

const FLEET_EXAMPLES: &str = "\
This reads the database of the gateway, and works while no gateway is running.
The worst state comes first:
  silent    no heartbeat or backup report for `fleet.silent_after`, or none
            ever for as long
  failing   some files cannot be uploaded, or a backup failed
  late      files wait for longer than `fleet.lag_after`, scans do not end, or
            the newest backup of a subvolume is too old
  never     no request yet; the client was configured a short time ago
  degraded  files are safe, but a part of the agent does not work or a drill
            failed
  ok        all files and backups are safe

Examples:
  s3up-server fleet

  # For cron or a monitor
  s3up-server fleet --check";

const FREEZE_EXAMPLES: &str = "\
For a client that may be compromised, or whose files change in a way that looks
like ransomware. All gateways on the same database refuse its uploads within
some seconds, also those in progress. Its downloads, heartbeats and reports
continue, and its agent tries again until the client is released.

With SQLite, run it as the user of the gateway, who must own the database.

Examples:
  sudo -u s3up-server s3up-server freeze webapp --reason 'strange changes'

  # See which clients are frozen
  sudo -u s3up-server s3up-server fleet";

const RELEASE_EXAMPLES: &str = "\
Examples:
  sudo -u s3up-server s3up-server release webapp

  # See whether its files are safe again
  sudo -u s3up-server s3up-server fleet";

const SWEEP_EXAMPLES: &str = "\
A gateway that is killed leaves multipart uploads behind, for whose parts S3
charges. A gateway aborts those older than 7 days when it starts; this command
aborts them at once. It lists only the prefixes below which clients store
files.

Examples:
  # See what would be aborted
  s3up-server sweep --dry-run

  # While no gateway is running, nothing can be in use
  s3up-server sweep --older-than 1";

const REBUILD_EXAMPLES: &str = "\
The database of the gateway has a catalogue of all files, for quotas and for
answers without a request to S3. This command fills it from the bucket, after
the database was lost, or after files were stored or deleted by other means. It
changes nothing in the bucket, and gateways may run meanwhile. A run that is
interrupted is resumed by the next one within a day.

With SQLite, run it as the user of the gateway, who must own the database.

Examples:
  # See what differs
  sudo -u s3up-server s3up-server rebuild --dry-run

  sudo -u s3up-server s3up-server rebuild --client webapp";

/// Receive files from clients over HTTP and store them in S3
#[derive(Parser)]
#[command(version, name = "s3up-server", after_help = EXAMPLES)]
pub struct Args {
    /// Configuration file, YAML or TOML
    /// (default: /etc/s3up-server/server.yaml)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/s3up-server/server.yaml",
        hide_default_value = true,
        verbatim_doc_comment,
        help_heading = GLOBAL
    )]
    pub config: PathBuf,
    /// File with variables for ${NAME} in the
    /// configuration, NAME=VALUE on each line. When
    /// it changes, the gateway uses the new S3
    /// credentials
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        verbatim_doc_comment,
        help_heading = GLOBAL
    )]
    pub env_file: Option<PathBuf>,
    #[command(flatten, next_help_heading = GLOBAL)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the gateway (the default)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve,
    /// Check the configuration file and print the effective settings
    #[command(after_help = CHECK_CONFIG_EXAMPLES)]
    CheckConfig {
        /// Also connect to S3 and test which guarantees it keeps
        #[arg(long)]
        online: bool,
    },
    /// Examine configuration, certificate, database and S3
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show which clients are safe, and why the others are not
    #[command(after_help = FLEET_EXAMPLES)]
    Fleet {
        /// Print one line and exit with 1 if a client is not safe
        #[arg(long, conflicts_with = "json")]
        check: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Refuse the uploads of a client until it is released
    #[command(after_help = FREEZE_EXAMPLES)]
    Freeze {
        /// Name of the client in server.yaml
        #[arg(value_parser = ClientName::parse)]
        client: ClientName,
        /// Reason, shown to the client and to operators
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = parse_reason)]
        reason: String,
    },
    /// Accept the uploads of a frozen client again
    #[command(after_help = RELEASE_EXAMPLES)]
    Release {
        /// Name of the client in server.yaml
        #[arg(value_parser = ClientName::parse)]
        client: ClientName,
    },
    /// Abort multipart uploads that were left behind
    #[command(after_help = SWEEP_EXAMPLES)]
    Sweep {
        /// Abort uploads older than HOURS
        /// (default: 168, a week)
        #[arg(
            long,
            value_name = "HOURS",
            default_value_t = 168,
            hide_default_value = true,
            verbatim_doc_comment
        )]
        older_than: u32,
        /// List the uploads without aborting them
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object for each upload
        #[arg(long)]
        json: bool,
    },
    /// Rebuild the catalogue of the database from the bucket
    #[command(after_help = REBUILD_EXAMPLES)]
    Rebuild {
        /// Only this client (default: all of the configuration)
        #[arg(long, value_name = "NAME", value_parser = ClientName::parse)]
        client: Option<ClientName>,
        /// Print what differs, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object for each client
        #[arg(long)]
        json: bool,
    },
    /// Write a first configuration file and check it
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Generate a client key
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen {
        /// Name of the client in server.yaml (default: CHANGE-ME)
        #[arg(long, value_parser = ClientName::parse)]
        name: Option<ClientName>,
    },
    #[command(flatten)]
    ShellFiles(ShellFilesCommand),
}

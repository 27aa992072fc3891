//! The arguments of `s3up`, with the text of `--help`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use s3up_cli::LogArgs;

/// Watch folders and upload their files through the gateway
#[derive(Parser)]
#[command(
    version,
    name = "s3up",
    after_help = EXAMPLES
)]
pub struct Args {
    /// Configuration file (default: /etc/s3up/client.yaml)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/s3up/client.yaml",
        hide_default_value = true,
        help_heading = GLOBAL_OPTIONS
    )]
    pub config: PathBuf,
    #[command(flatten, next_help_heading = GLOBAL_OPTIONS)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Watch and upload until stopped (the default)
    #[command(after_help = RUN_EXAMPLES)]
    Run,
    /// Scan once, upload all pending files, then exit
    #[command(after_help = SCAN_EXAMPLES)]
    Scan,
    /// Download one file and verify it
    #[command(after_help = GET_EXAMPLES)]
    Get {
        /// Remote path of the file, such as uploads/a.jpg
        path: String,
        /// Write to FILE, or to standard output if FILE is -
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show how many files are protected, and list problems
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the configuration file and print the effective values
    #[command(after_help = CHECK_CONFIG_EXAMPLES)]
    CheckConfig,
}

const GLOBAL_OPTIONS: &str = "Global options";

const EXAMPLES: &str = "\
Examples:
  s3up --config client.yaml          Watch and upload until stopped
  s3up status                        Show whether all files are protected
  s3up get uploads/a.jpg -o a.jpg    Download one file

Run 's3up COMMAND --help' for the options of a command.";

const RUN_EXAMPLES: &str = "\
Examples:
  s3up run
  s3up run --config client.yaml --log-format json

SIGTERM or SIGINT stops the agent within 10 seconds, with exit code 0.";

const SCAN_EXAMPLES: &str = "\
Examples:
  s3up scan
  s3up scan --config client.yaml --log-level warning

Exit code: 0 all files are protected, 3 some are not, 1 none is,
75 another agent uses the database.";

const GET_EXAMPLES: &str = "\
Examples:
  s3up get uploads/a.jpg              Write a.jpg in the current folder
  s3up get uploads/a.jpg -o b.jpg     Write b.jpg
  s3up get uploads/dump.sql -o - | psql

FILE is replaced only after length and SHA-256 of the download are verified.";

const STATUS_EXAMPLES: &str = "\
Examples:
  s3up status
  s3up status --json

States: protected (stored in S3), pending (to be uploaded), baseline (existed
before the agent, not uploaded), excluded, and problem (cannot be uploaded).";

const CHECK_CONFIG_EXAMPLES: &str = "\
Examples:
  s3up check-config
  s3up check-config --config client.yaml

Secrets are masked. Exit code: 0 valid, 2 invalid.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_of_each_command_fits_80_columns_and_has_examples() {
        let mut command = Args::command();
        command.build();
        let commands = std::iter::once(command.clone()).chain(command.get_subcommands().cloned());
        for mut command in commands.filter(|command| command.get_name() != "help") {
            let help = command.render_long_help().to_string();
            assert!(help.contains("\nExamples:\n  s3up"), "{help}");
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}

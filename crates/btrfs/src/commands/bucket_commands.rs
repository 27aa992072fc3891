//! The commands that need a bucket and nothing else of this host.

use std::path::Path;

use clap::Subcommand;
use s3up_cli::Exit;
use s3up_cli::config::Setting;
use s3up_repository::verify::Depth;

use super::browse::{self, DiffArgs, FindArgs, IndexArgs, LsArgs};
use super::bucket_args::{BucketAccess, BucketArgs};
use super::restore;
use super::restore_args::RestoreArgs;
use super::thaw::{self, ThawArgs};
use super::{doctor, help, list, output, verify};

#[derive(Subcommand)]
pub enum BucketCommand {
    /// List the backups in the bucket
    #[command(after_help = help::LIST)]
    List {
        /// List only NAME; repeatable (default: all)
        #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
        subvolume: Vec<String>,
        #[command(flatten, next_help_heading = help::BUCKET)]
        access: BucketArgs,
        /// Print JSON
        #[arg(long, help_heading = help::OUTPUT)]
        json: bool,
    },
    /// Check that all backups in the bucket are complete
    #[command(after_help = help::VERIFY)]
    Verify {
        /// Verify only NAME; repeatable (default: all)
        #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
        subvolume: Vec<String>,
        /// Also download and verify every part, except
        /// archived chunks, which are listed
        #[arg(long, verbatim_doc_comment, help_heading = help::SELECTION)]
        deep: bool,
        #[command(flatten, next_help_heading = help::BUCKET)]
        access: BucketArgs,
        /// Print JSON
        #[arg(long, help_heading = help::OUTPUT)]
        json: bool,
    },
    /// Restore a subvolume to a new path
    #[command(after_help = help::RESTORE)]
    Restore(RestoreArgs),
    /// Test which S3 features the server supports
    #[command(after_help = help::DOCTOR)]
    Doctor {
        #[command(flatten, next_help_heading = help::BUCKET)]
        access: BucketArgs,
        /// Print JSON
        #[arg(long, help_heading = help::OUTPUT)]
        json: bool,
    },
    /// Thaw the archived chunks of a backup, and wait for them
    #[command(after_help = help::THAW_EXAMPLES)]
    Thaw(ThawArgs),
    /// List a directory of a backup, from its index
    #[command(after_help = help::LS)]
    Ls(LsArgs),
    /// Find files of a backup by a pattern, from its index
    #[command(after_help = help::FIND)]
    Find(FindArgs),
    /// Show what changed between two backups, from indexes
    #[command(after_help = help::DIFF)]
    Diff(DiffArgs),
    /// Show or build the indexes that ls, find and diff read
    #[command(after_help = help::INDEX)]
    Index(IndexArgs),
}

impl BucketCommand {
    fn args(&self) -> &BucketArgs {
        match self {
            BucketCommand::List { access, .. }
            | BucketCommand::Verify { access, .. }
            | BucketCommand::Doctor { access, .. } => access,
            BucketCommand::Restore(args) => &args.access,
            BucketCommand::Thaw(args) => &args.access,
            BucketCommand::Ls(args) => &args.access,
            BucketCommand::Find(args) => &args.access,
            BucketCommand::Diff(args) => &args.access,
            BucketCommand::Index(args) => &args.access,
        }
    }

    pub fn access(&self, config: &Path, set: &[Setting]) -> anyhow::Result<BucketAccess> {
        self.args().access(config, set)
    }

    pub async fn run(self, access: &BucketAccess) -> anyhow::Result<Exit> {
        match self {
            BucketCommand::List { json, subvolume, access: _ } => {
                list::run(access, &subvolume, output(json)).await
            }
            BucketCommand::Verify { deep, json, subvolume, access: _ } => {
                let concurrency = access.bucket.concurrency;
                let depth = if deep { Depth::Read { concurrency } } else { Depth::Reported };
                verify::run(access, &subvolume, depth, output(json)).await
            }
            BucketCommand::Doctor { json, access: _ } => doctor::run(access, output(json)).await,
            BucketCommand::Restore(args) => restore::run(access, args).await,
            BucketCommand::Thaw(args) => thaw::run(access, args).await,
            BucketCommand::Ls(args) => browse::ls(access, args).await,
            BucketCommand::Find(args) => browse::find(access, args).await,
            BucketCommand::Diff(args) => browse::diff(access, args).await,
            BucketCommand::Index(args) => browse::index(access, args).await,
        }
    }
}

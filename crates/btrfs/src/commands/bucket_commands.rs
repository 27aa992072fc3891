//! The commands that need a bucket and nothing else of this host.

use std::path::Path;

use clap::Subcommand;
use s3up_cli::Exit;
use s3up_cli::config::Setting;
use s3up_repository::verify::Depth;

use super::bucket_args::{BucketAccess, BucketArgs};
use super::restore::{self, RestoreArgs};
use super::thaw::{self, ThawArgs};
use super::{list, output, verify};

#[derive(Subcommand)]
pub enum BucketCommand {
    /// Print what the bucket holds: generations, chains, sizes, storage classes
    List {
        #[command(flatten)]
        place: BucketArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Only this subvolume; may be repeated (default: all)
        #[arg(long, value_name = "NAME")]
        subvolume: Vec<String>,
    },
    /// Check that everything is there and is what was sent; thaw nothing
    Verify {
        #[command(flatten)]
        place: BucketArgs,
        /// Download every part as well, and prove the streams; what is archived is named
        #[arg(long)]
        deep: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Only this subvolume; may be repeated (default: all)
        #[arg(long, value_name = "NAME")]
        subvolume: Vec<String>,
    },
    /// Restore a subvolume to a path that does not exist yet
    Restore(RestoreArgs),
    /// Ask for the archived chunks of a backup and all that it is based on, and wait for them
    Thaw(ThawArgs),
}

impl BucketCommand {
    fn args(&self) -> &BucketArgs {
        match self {
            BucketCommand::List { place, .. } | BucketCommand::Verify { place, .. } => place,
            BucketCommand::Restore(args) => &args.place,
            BucketCommand::Thaw(args) => &args.place,
        }
    }

    pub fn place(&self, config: &Path, set: &[Setting]) -> anyhow::Result<BucketAccess> {
        self.args().access(config, set)
    }

    pub async fn run(self, place: &BucketAccess) -> anyhow::Result<Exit> {
        match self {
            BucketCommand::List { json, subvolume, place: _ } => {
                list::run(place, &subvolume, output(json)).await
            }
            BucketCommand::Verify { deep, json, subvolume, place: _ } => {
                let concurrency = place.bucket.concurrency;
                let depth = if deep { Depth::Read { concurrency } } else { Depth::Told };
                verify::run(place, &subvolume, depth, output(json)).await
            }
            BucketCommand::Restore(args) => restore::run(place, args).await,
            BucketCommand::Thaw(args) => thaw::run(place, args).await,
        }
    }
}

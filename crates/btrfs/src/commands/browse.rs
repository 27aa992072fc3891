//! `ls`, `find`, `diff` and `index`: read backups by the indexes of their streams.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use btrfs_stream_index::chain::IndexChain;
use btrfs_to_s3::browse::tree_diff::TreeDiff;
use btrfs_to_s3::browse::{self, BrowseError};
use btrfs_to_s3::path_pattern::PathPattern;
use btrfs_to_s3::restore::select_backup::{BackupSelector, ChainReader};
use clap::Args;
use s3up_cli::{Exit, ShutdownSignal, at_time};
use s3up_repository::chain::Chain;
use s3up_repository::documents::Bucket;
use s3up_repository::names::SubvolumeName;
use s3up_repository::stream_index::{self, IndexBuild};

use super::backup_args::WhichArgs;
use super::bucket_args::{BucketAccess, BucketArgs};
use super::show::browse::{IndexLine, index_table};
use super::show::change_printer::ChangePrinter;
use super::show::file_printer::FilePrinter;
use super::show::progress::bars;
use super::{CLOCK, connect, help, now, print, stopped_by};
use crate::commands::show::json;

#[derive(Args)]
pub struct LsArgs {
    /// A directory or file of the backup
    /// (default: the top directory)
    #[arg(value_name = "PATH", verbatim_doc_comment)]
    path: Option<PathBuf>,
    #[command(flatten, next_help_heading = help::SELECTION)]
    which: WhichArgs,
    #[command(flatten, next_help_heading = help::BUCKET)]
    pub access: BucketArgs,
    /// Print JSON
    #[arg(long, help_heading = help::OUTPUT)]
    json: bool,
}

#[derive(Args)]
pub struct FindArgs {
    /// Pattern: *.pdf matches names everywhere,
    /// photos/** the whole path
    #[arg(value_name = "PATTERN", verbatim_doc_comment)]
    pattern: String,
    #[command(flatten, next_help_heading = help::SELECTION)]
    which: WhichArgs,
    #[command(flatten, next_help_heading = help::BUCKET)]
    pub access: BucketArgs,
    /// Print JSON
    #[arg(long, help_heading = help::OUTPUT)]
    json: bool,
}

#[derive(Args)]
pub struct DiffArgs {
    /// Time of the older backup, as for --at of 'ls'
    #[arg(value_name = "BEFORE")]
    before: String,
    /// Time of the newer backup (default: the newest)
    #[arg(value_name = "AFTER")]
    after: Option<String>,
    /// Name of the subvolume in the bucket
    #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
    subvolume: String,
    #[command(flatten, next_help_heading = help::BUCKET)]
    pub access: BucketArgs,
    /// Print JSON
    #[arg(long, help_heading = help::OUTPUT)]
    json: bool,
}

#[derive(Args)]
pub struct IndexArgs {
    #[command(flatten, next_help_heading = help::SELECTION)]
    which: WhichArgs,
    /// Build the indexes that are missing or damaged, from
    /// the chunks, each of which is read once
    #[arg(long, verbatim_doc_comment, help_heading = help::MODE)]
    build: bool,
    #[command(flatten, next_help_heading = help::BUCKET)]
    pub access: BucketArgs,
    /// Print JSON
    #[arg(long, help_heading = help::OUTPUT)]
    json: bool,
}

async fn chain_of(
    access: &BucketAccess,
    bucket: &Bucket,
    subvolume: &SubvolumeName,
    wanted: &BackupSelector,
) -> anyhow::Result<Chain> {
    let reader = ChainReader { bucket, layout: &access.bucket.layout, subvolume };
    Ok(reader.chain(wanted).await?)
}

/// Opens the indexes of the selected backup.
async fn indexes(
    access: &BucketAccess,
    which: &WhichArgs,
    shutdown: &ShutdownSignal,
) -> anyhow::Result<IndexChain> {
    let (subvolume, wanted) = which.parse()?;
    let bucket = connect(&access.bucket, shutdown).await?;
    let opening = async {
        let chain = chain_of(access, &bucket, &subvolume, &wanted).await?;
        Ok(browse::open(&bucket, &chain).await?)
    };
    tokio::select! {
        opened = opening => opened,
        stop = shutdown.wait() => Err(stopped_by(stop)),
    }
}

/// Prints on a thread that may wait for S3 and for the reader of the output.
async fn print_on_own_thread(
    shutdown: &ShutdownSignal,
    work: impl FnOnce() -> Result<(), BrowseError> + Send + 'static,
) -> anyhow::Result<Exit> {
    tokio::select! {
        printed = browse::on_own_thread(work) => printed?,
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    }
    Ok(Exit::Done)
}

/// Takes no lock and needs no root. Reads indexes only.
pub async fn ls(access: &BucketAccess, args: LsArgs) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let chain = indexes(access, &args.which, &shutdown).await?;
    let path = args.path.unwrap_or_default().as_os_str().as_bytes().to_vec();
    let print = move || {
        let mut printer = FilePrinter::new(args.json);
        browse::list(&chain, &path, |path, file| printer.add(path, file))?;
        printer.finish()
    };
    print_on_own_thread(&shutdown, print).await
}

pub async fn find(access: &BucketAccess, args: FindArgs) -> anyhow::Result<Exit> {
    let pattern = PathPattern::parse(&args.pattern)
        .map_err(|err| Exit::Usage.with(anyhow!(err).context("PATTERN")))?;
    let shutdown = ShutdownSignal::listen();
    let chain = indexes(access, &args.which, &shutdown).await?;
    let print = move || {
        let mut printer = FilePrinter::new(args.json);
        browse::walk(&chain, |path, file| match pattern.is_match(path) {
            true => printer.add(path, file),
            false => Ok(()),
        })?;
        printer.finish()
    };
    print_on_own_thread(&shutdown, print).await
}

pub async fn diff(access: &BucketAccess, args: DiffArgs) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let subvolume = SubvolumeName::parse(&args.subvolume)
        .map_err(|err| Exit::Usage.with(anyhow!(err).context("--subvolume")))?;
    let at = |text: &str| {
        let time = at_time::parse(text, now().time_zone());
        time.map(BackupSelector::At).map_err(|err| Exit::Usage.with(anyhow!(err)))
    };
    let before = at(&args.before).context("BEFORE")?;
    let after = args.after.as_deref().map_or(Ok(BackupSelector::Newest), at).context("AFTER")?;
    let bucket = connect(&access.bucket, &shutdown).await?;
    let opening = async {
        let before = chain_of(access, &bucket, &subvolume, &before).await?;
        let after = chain_of(access, &bucket, &subvolume, &after).await?;
        let is_one_chain = before.full().key == after.full().key;
        let indexes = (browse::open(&bucket, &before).await?, browse::open(&bucket, &after).await?);
        anyhow::Ok((indexes, is_one_chain))
    };
    let ((before, after), is_one_chain) = tokio::select! {
        opened = opening => opened?,
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    };
    let print = move || {
        let mut diff = TreeDiff::new(&before, &after, is_one_chain)?;
        let mut printer = ChangePrinter::new(args.json);
        while let Some((change, path)) = diff.next_change()? {
            printer.add(change, &path)?;
        }
        printer.finish()
    };
    print_on_own_thread(&shutdown, print).await
}

/// Shows which backups of a chain have an index, or builds those that are missing. Takes no lock
/// and needs no root.
pub async fn index(access: &BucketAccess, args: IndexArgs) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let (subvolume, wanted) = args.which.parse()?;
    let bucket = connect(&access.bucket, &shutdown).await?;
    let work = async {
        let chain = chain_of(access, &bucket, &subvolume, &wanted).await?;
        let (directory, progress) = (std::env::temp_dir(), bars());
        let concurrency = access.bucket.concurrency;
        let build =
            IndexBuild { bucket: &bucket, directory: &directory, concurrency, progress: &progress };
        let mut lines = Vec::new();
        for entry in chain.entries() {
            // Without `--build` the blocks are verified by the commands that read them.
            let opened = match args.build {
                true => stream_index::open_verified(&bucket, entry).await,
                false => stream_index::open(&bucket, entry).await,
            };
            let found = match opened {
                Ok(found) => Ok(found.map(|table| table.bytes())),
                Err(err) if err.is_damage() => Err(err),
                Err(err) => return Err(err.into()),
            };
            let found = match found {
                Ok(None) | Err(_) if args.build => {
                    let built = build.run(entry, CLOCK.now()).await?;
                    Ok(Some(built.bytes))
                }
                found => found,
            };
            lines.push(IndexLine::of(entry, &found));
        }
        anyhow::Ok(lines)
    };
    let lines = tokio::select! {
        lines = work => lines?,
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    };
    print(&if args.json { json(&lines) } else { index_table(&lines) })
}

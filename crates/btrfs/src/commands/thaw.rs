//! `thaw`: thaws the archived chunks of a backup.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::anyhow;
use btrfs_to_s3::config::RestoreConfig;
use btrfs_to_s3::prices::{ArchivedBytes, Dollars, Prices, ThawCost};
use btrfs_to_s3::restore::preview::class_of;
use btrfs_to_s3::restore::select_backup::ChainReader;
use btrfs_to_s3::restore::thaw_chunks::warn_of_archived_documents;
use clap::Args;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::Count;
use s3up_core::storage_class::{StorageClass, ThawTimes};
use s3up_repository::chain::Chain;
use s3up_repository::documents::Bucket;
use s3up_repository::fetch::FetchPlan;
use s3up_repository::thaw::{RequiredObjects, Thaw, ThawMode, ThawTerms};
use s3up_store::Tier;

use super::backup_args::WhichArgs;
use super::bucket_args::{BucketAccess, BucketArgs};
use super::confirm::{confirm_thaw, is_interactive};
use super::cost::CostLimit;
use super::retry_hint::later;
use super::show::cost::{Priced, ThawCostLine};
use super::show::progress::bars;
use super::{CLOCK, connect, help, log_start, print, stopped_by};
use crate::commands::show::json;
use crate::commands::show::thaw::{ThawLine, to_text};

#[derive(Args)]
pub struct ThawArgs {
    #[command(flatten, next_help_heading = help::SELECTION)]
    which: WhichArgs,
    /// Thaw only documents (pointer, manifests, part
    /// indexes), of all backups of the subvolume
    #[arg(
        long,
        conflicts_with_all = ["at", "manifest_key", "max_cost"],
        verbatim_doc_comment,
        help_heading = help::SELECTION
    )]
    documents: bool,
    #[command(flatten, next_help_heading = help::THAW)]
    waiting: WaitingArgs,
    /// Request thaws in progress again, with
    /// restore.restore_tier (S3 charges for both)
    #[arg(long, verbatim_doc_comment, help_heading = help::THAW)]
    speed_up: bool,
    #[command(flatten, next_help_heading = help::BUCKET)]
    pub access: BucketArgs,
    /// Print JSON
    #[arg(long, help_heading = help::OUTPUT)]
    json: bool,
}

/// Overrides the `[restore]` settings about archived chunks.
#[derive(Args)]
pub struct WaitingArgs {
    /// Wait until archived chunks are readable
    #[arg(long, overrides_with = "no_wait_restore")]
    wait_restore: bool,
    /// Request a thaw of archived chunks, and
    /// exit with 4 instead of waiting
    #[arg(long, verbatim_doc_comment)]
    no_wait_restore: bool,
    /// Wait at most SECONDS seconds, then exit
    /// with 4
    #[arg(long, value_name = "SECONDS", verbatim_doc_comment)]
    restore_timeout: Option<u64>,
    /// Do not ask before a thaw, which S3
    /// charges for
    #[arg(long, verbatim_doc_comment)]
    yes: bool,
    /// Request nothing if it would cost more than
    /// DOLLARS by [prices]
    #[arg(long, value_name = "DOLLARS", verbatim_doc_comment)]
    max_cost: Option<Dollars>,
}

impl WaitingArgs {
    /// Returns true if to ask before a thaw is requested.
    pub fn asks(&self) -> bool {
        !self.yes && is_interactive()
    }

    pub fn limit(&self) -> CostLimit {
        CostLimit(self.max_cost)
    }

    pub fn mode(&self, config: &RestoreConfig) -> ThawMode {
        let timeout = self.restore_timeout.map_or(config.timeout, Duration::from_secs);
        let waits = (config.waits || self.wait_restore) && !self.no_wait_restore;
        RestoreConfig { waits, timeout, ..*config }.mode()
    }
}

/// Takes no lock and needs no root. A second run continues with the state in S3.
pub async fn run(access: &BucketAccess, args: ThawArgs) -> anyhow::Result<Exit> {
    log_start("thaw");
    let shutdown = ShutdownSignal::listen();
    let (subvolume, wanted) = args.which.parse()?;
    let bucket = connect(&access.bucket, &shutdown).await?;
    let chain_reader =
        ChainReader { bucket: &bucket, layout: &access.bucket.layout, subvolume: &subvolume };
    let mode = args.waiting.mode(&access.restore);
    let terms = ThawTerms { speeds_up: args.speed_up, ..access.restore.terms };
    let progress = bars();
    let thaw = Thaw { bucket: &bucket, terms, clock: CLOCK, progress: &progress };
    let work = async {
        if args.documents {
            let layout = &access.bucket.layout;
            let documents = RequiredObjects::documents_of(&bucket, layout, &subvolume).await?;
            ask(&args, &thaw, &documents, &shutdown).await?;
            let thawed = thaw.run(&documents, mode).await?;
            return Ok((ThawLine::of(subvolume.as_str(), None, &thawed, None), thawed));
        }
        let chain = match chain_reader.chain(&wanted).await {
            Err(err) if err.is_archived_object() => {
                warn_of_archived_documents(&subvolume);
                let why = "the manifests are archived; run `thaw --documents` first";
                args.waiting.limit().refuse_unknown(why)?;
                let layout = &access.bucket.layout;
                let documents = RequiredObjects::documents_of(&bucket, layout, &subvolume).await?;
                ask(&args, &thaw, &documents, &shutdown).await?;
                let thawed = thaw.run(&documents, mode).await?;
                if !thawed.is_ready() {
                    return Ok((ThawLine::of(subvolume.as_str(), None, &thawed, None), thawed));
                }
                chain_reader.chain(&wanted).await?
            }
            chain => chain?,
        };
        let wanted = RequiredObjects::of(chain.entries())
            .map_err(|(key, err)| anyhow!(err).context(format!("read manifest {key}")))?;
        let cost = match &access.bucket.prices {
            None => {
                args.waiting.limit().check(None, |_| Ok(Dollars::default()))?;
                None
            }
            Some(prices) => {
                let archived = to_request(&bucket, &chain, &thaw, &wanted, args.speed_up).await?;
                args.waiting.limit().check(Some(prices), |prices| {
                    let cost = prices.thaw(&archived, terms.tier, terms.days)?;
                    Ok(cost.thaw + cost.copies)
                })?;
                cost_line(prices, &archived, terms)
            }
        };
        ask(&args, &thaw, &wanted, &shutdown).await?;
        let thawed = thaw.run(&wanted, mode).await?;
        let manifest = Some(chain.newest().key.as_str());
        let line = ThawLine::of(subvolume.as_str(), manifest, &thawed, cost);
        anyhow::Ok((line, thawed))
    };
    let (line, thawed) = tokio::select! {
        done = work => done?,
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    };
    print(&if args.json { json(&line) } else { to_text(&line) })?;
    if thawed.is_ready() {
        return Ok(Exit::Done);
    }
    Err(later(&format!("thaw: {}", thawed.state)))
}

/// Returns the objects that this run will request, by storage class.
async fn to_request(
    bucket: &Bucket,
    chain: &Chain,
    thaw: &Thaw<'_>,
    wanted: &RequiredObjects,
    speeds_up: bool,
) -> anyhow::Result<Vec<ArchivedBytes>> {
    let state = thaw.run(wanted, ThawMode::Observe).await?.state;
    let sped_up = state.under_way.iter().filter(|_| speeds_up);
    let keys: BTreeSet<_> = state.to_request.iter().chain(sped_up).collect();
    let plan = FetchPlan::survey(bucket, chain, 1).await?;
    let mut by_class: BTreeMap<&str, ArchivedBytes> = BTreeMap::new();
    for (chunk, object) in plan.entries.iter().flat_map(|entry| &entry.chunks) {
        if keys.contains(&chunk.key) {
            let class = class_of(object);
            let archived = by_class.entry(class).or_insert_with(|| ArchivedBytes {
                class: class.to_owned(),
                requests: 0,
                bytes: 0,
            });
            archived.requests += 1;
            archived.bytes = archived.bytes.saturating_add(chunk.size);
        }
    }
    Ok(by_class.into_values().collect())
}

/// Returns how long a thaw of this class takes at most.
fn hours_max(class: &str, tier: Tier) -> u32 {
    let known = StorageClass::find(class).and_then(|class| class.thaw);
    let times = known.unwrap_or_else(ThawTimes::of_any_archive);
    match tier {
        // It takes minutes.
        Tier::Expedited => 1,
        Tier::Standard => times.standard.to,
        Tier::Bulk => times.bulk.to,
    }
}

/// Returns the line about the cost; `None` if nothing is requested.
fn cost_line(
    prices: &Prices,
    archived: &[ArchivedBytes],
    terms: ThawTerms,
) -> Option<Priced<ThawCostLine>> {
    let hours = archived.iter().map(|archived| hours_max(&archived.class, terms.tier)).max()?;
    Priced::of(Some(prices), |prices| {
        let ThawCost { thaw, copies } = prices.thaw(archived, terms.tier, terms.days)?;
        Ok(ThawCostLine { thaw, copies, hours })
    })
}

/// Asks before anything is requested, if a person is at the terminal.
async fn ask(
    args: &ThawArgs,
    thaw: &Thaw<'_>,
    wanted: &RequiredObjects,
    shutdown: &ShutdownSignal,
) -> anyhow::Result<()> {
    if !args.waiting.asks() {
        return Ok(());
    }
    let state = thaw.run(wanted, ThawMode::Observe).await?.state;
    let sped_up = if args.speed_up { state.under_way.len() } else { 0 };
    match state.to_request.len() + sped_up {
        0 => Ok(()),
        count => {
            let what = Count::of(count, "object");
            confirm_thaw(&format!("{what} ({state})"), shutdown).await
        }
    }
}

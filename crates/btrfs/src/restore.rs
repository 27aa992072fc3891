//! From the bucket back to a subvolume.
//!
//! Pointer, chain, a look at every chunk; then link by link from the full: each
//! part is verified, the stream is proven once more as it goes by, and only then
//! `btrfs receive` gets it, command by command, in a staging folder. Where no
//! parts file says what each part has to be, as with backups of other tools, the
//! checksum of each command stands for that, and the last of a chunk is handed on
//! only after the SHA-256 of the whole chunk agreed: so END, without which
//! nothing counts as received, comes after every digest. What it made must be read-only
//! and carry the UUID of the snapshot that was sent, and it is compared with that
//! where that is on this host. At the very end a writable snapshot appears at the
//! target. Whatever fails before leaves nothing.

mod around;
pub mod choose;
pub mod cold;
pub mod error;
mod fit;
pub(crate) mod links;
pub mod preview;
mod proven;
pub mod when;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use btrfs_sendstream::Facts;
use s3up_cli::progress;
use s3up_core::Key;

use self::choose::{Chooser, Wanted};
use self::error::RestoreError;
use self::links::{Links, PlannedLink};
use self::preview::Preview;
use self::proven::Proven;
use crate::bucket::Bucket;
use crate::cause::with_cause;
use crate::chain::Chain;
use crate::compare::{self, Proof};
use crate::layout::Layout;
use crate::receive::Receiver;
use crate::snapshot::SubvolumeName;
use crate::staging::Staging;
use crate::stopping::Stopping;
use crate::subvolume;
use crate::thaw::{Clock, Mode, Terms};
use crate::tool::Btrfs;

/// Bytes are proven and handed on in slices that take far under a millisecond.
const SLICE_BYTES: usize = 256 << 10;

pub struct Restore<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub btrfs: &'a Btrfs,
    /// Ranges on their way at once.
    pub concurrency: usize,
    pub stopping: Stopping,
    /// How archived chunks are asked for, and what may be done for that.
    pub terms: Terms,
    pub mode: Mode,
    pub clock: Clock,
    /// What is compared before the target appears.
    pub proving: compare::Wanted,
}

pub struct Request {
    pub subvolume: SubvolumeName,
    pub target: PathBuf,
    pub wanted: Wanted,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Key,
    pub links: usize,
    pub total_bytes: u64,
    pub elapsed: Duration,
    pub proof: Proof,
}

/// What was received last: the parent of the next link.
struct Received {
    path: PathBuf,
    uuid: String,
}

impl Restore<'_> {
    /// Checks, downloads, receives, hands over.
    pub async fn run(&self, request: &Request) -> Result<Restored, RestoreError> {
        let began = Instant::now();
        let chain = self.unless_stopped(self.choose(request)).await?;
        let (links, _) = self.unless_stopped(self.look(request, &chain)).await?;
        let chunks = self.unless_stopped(self.thaw_all(&chain)).await?;
        let thaw = self.thaw();
        let proof = tokio::select! {
            outcome = self.receive_and_hand_over(&links, &request.target) => outcome?,
            never = thaw.keep(&chunks) => match never {},
        };
        Ok(Restored {
            manifest: chain.newest().key.clone(),
            links: chain.links().len(),
            total_bytes: chain.total_bytes(),
            elapsed: began.elapsed(),
            proof,
        })
    }

    /// The same checks, and what would be done; changes nothing.
    pub async fn preview(
        &self,
        request: &Request,
        now: SystemTime,
    ) -> Result<Preview, RestoreError> {
        self.unless_stopped(async {
            let chain = self.choose(request).await?;
            let (links, free_bytes) = self.look(request, &chain).await?;
            Preview::of(self.bucket, &links, &request.target, free_bytes, now).await
        })
        .await
    }

    /// The chain of the backup that was asked for, where this host can receive it.
    async fn choose(&self, request: &Request) -> Result<Chain, RestoreError> {
        fit::check_target(&request.target)?;
        let Request { subvolume, wanted, .. } = request;
        let chooser = Chooser { bucket: self.bucket, layout: self.layout, subvolume };
        let chain = chooser.chain(wanted).await?;
        fit::check_version(&chain, &self.btrfs.version().await?)?;
        Ok(chain)
    }

    /// Every chunk is there; and how much space is free.
    async fn look<'c>(
        &self,
        request: &Request,
        chain: &'c Chain,
    ) -> Result<(Links<'c>, u64), RestoreError> {
        let links = Links::look(self.bucket, chain, self.concurrency).await?;
        let free_bytes = fit::warn_of_little_space(chain, fit::folder_of(&request.target))?;
        Ok((links, free_bytes))
    }

    async fn receive_and_hand_over(
        &self,
        links: &Links<'_>,
        target: &Path,
    ) -> Result<Proof, RestoreError> {
        let staging = Staging::make(self.btrfs, target).await?;
        let outcome = async {
            let last = self.receive_all(links, &staging).await?;
            let newest = links.links.last().ok_or(RestoreError::NoLinks)?;
            let proof = self.prove(newest.link, last.path.clone()).await?;
            self.hand_over(&last, &staging, target).await?;
            Ok(proof)
        };
        let outcome = outcome.await;
        if let Err(err) = staging.remove(self.btrfs).await {
            tracing::warn!(event = "leftover_kept", "{}", with_cause(&err));
        }
        outcome
    }

    /// Work that may be dropped at any moment.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, RestoreError>>,
    ) -> Result<T, RestoreError> {
        tokio::select! {
            outcome = work => outcome,
            stop = self.stopping.wait() => Err(RestoreError::Stopped(stop)),
        }
    }

    fn go_on(&self) -> Result<(), RestoreError> {
        self.stopping.now().map_or(Ok(()), |stop| Err(RestoreError::Stopped(stop)))
    }

    /// Receives link by link, from the full on; what is there at the end is the
    /// snapshot that was asked for, read-only.
    async fn receive_all(
        &self,
        links: &Links<'_>,
        staging: &Staging,
    ) -> Result<Received, RestoreError> {
        let mut last: Option<Received> = None;
        for (n, link) in links.links.iter().enumerate() {
            self.go_on()?;
            let label = format!("restore link {} of {}", n + 1, links.links.len());
            let facts = self.receive(links, link, &staging.received(), &label).await?;
            let received = self.check_received(link, &facts, staging, last.as_ref()).await?;
            // Only the next link needs its parent.
            if let Some(parent) = last.replace(received) {
                subvolume::delete(self.btrfs, &parent.path).await?;
            }
            let manifest = &link.link.key;
            tracing::info!(event = "link_received", %manifest, bytes = facts.total_bytes, "{label}");
        }
        last.ok_or(RestoreError::NoLinks)
    }

    /// A writable snapshot of what was received appears at the target.
    async fn hand_over(
        &self,
        received: &Received,
        staging: &Staging,
        target: &Path,
    ) -> Result<(), RestoreError> {
        self.go_on()?;
        subvolume::snapshot_writable(self.btrfs, &received.path, &staging.restored()).await?;
        self.go_on()?;
        staging.hand_over(target).map_err(|source| {
            let path = target.to_owned();
            if source.kind() == io::ErrorKind::AlreadyExists {
                RestoreError::TargetExists { path }
            } else {
                RestoreError::HandOver { path, source }
            }
        })
    }

    /// Streams one link into `btrfs receive`. When this returns, that has ended.
    async fn receive(
        &self,
        links: &Links<'_>,
        link: &PlannedLink<'_>,
        folder: &Path,
        label: &str,
    ) -> Result<Facts, RestoreError> {
        let mut receiver = Receiver::start(self.btrfs, folder)?;
        let received = self.unless_stopped(async {
            let facts = feed(links, link, &mut receiver, label).await?;
            receiver.finish().await?;
            Ok(facts)
        });
        let outcome = received.await;
        if outcome.is_err() {
            receiver.stop().await;
        }
        outcome
    }

    /// An exit code of 0 is not enough: a stream that was cut leaves a writable
    /// subvolume without a received UUID.
    async fn check_received(
        &self,
        planned: &PlannedLink<'_>,
        facts: &Facts,
        staging: &Staging,
        parent: Option<&Received>,
    ) -> Result<Received, RestoreError> {
        let record = &planned.link.manifest.snapshot;
        let wrong = |what: &'static str, expected: String, found: String| {
            let manifest = planned.link.key.clone();
            Err(RestoreError::Received { manifest, what, expected, found })
        };
        let uuid = facts.snapshot.uuid.to_string();
        match &record.uuid {
            Some(expected) if *expected != uuid => {
                return wrong("the UUID in the stream", expected.clone(), uuid);
            }
            Some(_) | None => {}
        }
        let name = OsStr::from_bytes(&facts.snapshot.name);
        let path = staging.received().join(name);
        let shown = subvolume::show(self.btrfs, &path).await?;
        if !shown.is_read_only {
            return wrong("the flag", "read-only".to_owned(), "writable".to_owned());
        }
        if shown.received_uuid.as_ref() != Some(&uuid) {
            return wrong("the received UUID", uuid, or_none(shown.received_uuid));
        }
        let based_on = parent.map(|parent| parent.uuid.clone());
        if shown.parent_uuid != based_on {
            let manifest = planned.link.key.clone();
            return Err(RestoreError::OtherParent { manifest, found: or_none(shown.parent_uuid) });
        }
        Ok(Received { path, uuid: shown.uuid })
    }
}

/// Fetches every part, verified, and hands over each command once it is proven.
async fn feed(
    links: &Links<'_>,
    link: &PlannedLink<'_>,
    receiver: &mut Receiver,
    label: &str,
) -> Result<Facts, RestoreError> {
    let manifest = || link.link.key.clone();
    let progress = progress::bytes(label, Some(link.link.manifest.total_bytes));
    let mut stream = Proven::default();
    for (n, (chunk, _)) in link.chunks.iter().enumerate() {
        let mut download = links.download(link, n);
        let fetch = |source| RestoreError::Fetch { manifest: manifest(), source };
        while let Some(bytes) = download.next().await.map_err(fetch)? {
            for slice in bytes.chunks(SLICE_BYTES) {
                let proven = stream.feed(slice).map_err(|source| RestoreError::Stream {
                    manifest: manifest(),
                    chunk: chunk.key.clone(),
                    source,
                })?;
                receiver.write(proven).await?;
            }
            progress.inc(bytes.len() as u64);
        }
    }
    stream.finish().map_err(|source| RestoreError::Cut { manifest: manifest(), source })
}

fn or_none(uuid: Option<String>) -> String {
    uuid.unwrap_or_else(|| "none".to_owned())
}

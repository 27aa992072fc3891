//! Receives the chain backup by backup, from the full on or from where an earlier restore was
//! interrupted.
//!
//! The chunks of all backups are one queue of downloads, so that the first parts of a backup
//! are already downloaded when the one before it is complete.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use btrfs_host::receive::Receiver;
use btrfs_host::root_times::RootTimes;
use btrfs_host::{send, subvolume};
use btrfs_sendstream::{StreamSummary, Uuid};
use s3up_core::Sha256Digest;
use s3up_core::progress::Progress;
use s3up_repository::fetch::{FetchEntry, FetchError, FetchPlan};
use s3up_repository::manifest::needed_btrfs_progs;
use s3up_store::DownloadSequence;

use super::context::{Restore, digest};
use super::error::{RestoreError, SnapshotFact};
use super::inherited_attributes::InheritedAttributes;
use super::preflight;
use super::receive_pump::{PumpFailure, PumpResult, ReceivePump};
use super::uuid_rewrite::{OwnUuid, UuidRewrite};
use super::verified_stream::{StreamRefusal, VerifiedStream};
use super::writeback::{PageCache, Writeback};
use crate::compare::{ComparedFiles, EarlyComparison};
use crate::restore::staging::{ReceivedBackup, Staging, StagingError};

/// The newest protocol that `btrfs-sendstream` reads.
const PROTOCOL_NEWEST: u32 = 2;

/// Everything that the backups of a chain share while they are received.
struct ReceiveContext<'a, 'c> {
    fetch_plan: &'a FetchPlan<'c>,
    sequence: DownloadSequence,
    /// Number of the first chain entry in `sequence`.
    from: usize,
    progress: Arc<Progress>,
    /// Highest protocol that `btrfs receive` supports.
    protocol_max: u32,
    early: Option<&'a EarlyComparison>,
}

/// Facts about one received snapshot.
struct Received<'f> {
    facts: &'f StreamSummary,
    /// The UUID in the stream that `btrfs receive` read.
    received_uuid: Uuid,
    parent: Option<&'f ReceivedBackup>,
}

impl Restore<'_> {
    /// Receives the chain, and returns the read-only snapshot of its newest backup, with the files that were
    /// compared meanwhile.
    pub(super) async fn receive_all(
        &self,
        fetch_plan: &FetchPlan<'_>,
        staging: &mut Staging,
    ) -> Result<(ReceivedBackup, ComparedFiles), RestoreError> {
        let digests: Vec<Sha256Digest> =
            fetch_plan.entries.iter().map(|planned| digest(planned.entry)).collect();
        let found = staging.resume(self.btrfs, &digests).await?;
        let early = self.compare_early(fetch_plan, staging).await?;
        let received = self.receive_rest(fetch_plan, staging, (&digests, found), early.as_ref());
        let received = received.await;
        // The threads hold files of the staging directory open, which may be removed next.
        let compared = match (early, &received) {
            (Some(early), Ok(_)) => early.end(&self.shutdown).await,
            (Some(early), Err(_)) => {
                early.abandon().await;
                ComparedFiles::default()
            }
            (None, _) => ComparedFiles::default(),
        };
        Ok((received?, compared))
    }

    /// Starts to compare files as soon as they are received.
    async fn compare_early(
        &self,
        fetch_plan: &FetchPlan<'_>,
        staging: &Staging,
    ) -> Result<Option<EarlyComparison>, RestoreError> {
        let Some(newest) = fetch_plan.entries.last() else { return Ok(None) };
        let (manifest, directory) = (&newest.entry.manifest, staging.received());
        let options = &self.compare_options;
        let early = options.start_early(self.btrfs, manifest, &directory, self.clock.wall);
        self.unless_stopped(async { Ok(early.await) }).await
    }

    async fn receive_rest(
        &self,
        fetch_plan: &FetchPlan<'_>,
        staging: &mut Staging,
        (digests, found): (&[Sha256Digest], Option<(usize, ReceivedBackup)>),
        early: Option<&EarlyComparison>,
    ) -> Result<ReceivedBackup, RestoreError> {
        let (from, mut last) = found.map_or((0, None), |(count, last)| (count, Some(last)));
        if from > 0 {
            let (path, of) = (staging.directory().display(), digests.len());
            tracing::info!(event = "restore_resumed", %path, backups = from, of);
        }
        let mut context = self.context(fetch_plan, from, early).await?;
        for (n, planned) in fetch_plan.entries.iter().enumerate().skip(from) {
            self.check_shutdown()?;
            let label = format!("restore backup {} of {}", n + 1, digests.len());
            context.progress.label(&label);
            let received = self.receive_one(&mut context, n, staging, last.as_ref()).await?;
            staging.add(digests[n], received.clone())?;
            // The next backup needs only its own parent.
            if let Some(parent) = last.replace(received) {
                subvolume::delete(self.btrfs, &staging.path_of(&parent)).await?;
            }
            let (manifest, bytes) = (&planned.entry.key, planned.entry.manifest.total_bytes);
            tracing::info!(event = "backup_received", %manifest, bytes, "{label}");
        }
        last.ok_or(RestoreError::EmptyChain)
    }

    async fn context<'a, 'c>(
        &self,
        fetch_plan: &'a FetchPlan<'c>,
        from: usize,
        early: Option<&'a EarlyComparison>,
    ) -> Result<ReceiveContext<'a, 'c>, RestoreError> {
        let version = self.btrfs.version().await?;
        let left = fetch_plan.entries.iter().skip(from);
        let bytes =
            left.fold(0, |sum: u64, one| sum.saturating_add(one.entry.manifest.total_bytes));
        Ok(ReceiveContext {
            fetch_plan,
            sequence: fetch_plan.sequence(from),
            from,
            progress: Arc::new(self.progress.bytes("restore", Some(bytes))),
            protocol_max: (1..=PROTOCOL_NEWEST)
                .rfind(|protocol| preflight::receives(&version, *protocol))
                .unwrap_or(1),
            early,
        })
    }

    async fn receive_one(
        &self,
        context: &mut ReceiveContext<'_, '_>,
        n: usize,
        staging: &Staging,
        parent: Option<&ReceivedBackup>,
    ) -> Result<ReceivedBackup, RestoreError> {
        let is_newest = n + 1 == context.fetch_plan.entries.len();
        let own = OwnUuid { salt: staging.progress().salt, number: n as u64 };
        let rewrite = UuidRewrite {
            own: (!is_newest).then_some(own),
            parent: parent.map(|one| (Uuid(one.sent_uuid), Uuid(one.received_uuid))),
        };
        let planned = &context.fetch_plan.entries[n];
        let stream = verified_stream(context, rewrite, staging, parent)?;
        let facts = self.feed_one(context, planned, stream, staging).await?;
        let sent = facts.snapshot.uuid;
        let received_uuid = rewrite.own.map_or(sent, |own| own.of(sent));
        let received = Received { facts: &facts, received_uuid, parent };
        self.check_received(planned, &received, staging).await
    }

    /// Feeds one backup into `btrfs receive`, which has ended when this returns.
    async fn feed_one(
        &self,
        context: &mut ReceiveContext<'_, '_>,
        planned: &FetchEntry<'_>,
        stream: VerifiedStream,
        staging: &Staging,
    ) -> Result<StreamSummary, RestoreError> {
        let directory = staging.received();
        let writeback = Writeback::start(&directory, self.pages(context, planned));
        let (writeback, threads) =
            writeback.map_err(|source| StagingError::Make { path: directory.clone(), source })?;
        let (mut receiver, pipe) = Receiver::start(self.btrfs, &directory)?;
        let early = context.early.map(EarlyComparison::files);
        let consumers = (writeback, early);
        let mut pump = ReceivePump::start(pipe, stream, consumers, Arc::clone(&context.progress));
        let outcome = self.unless_stopped(async {
            match pump.feed(&mut context.sequence, planned).await? {
                PumpResult::Received(facts) => {
                    receiver.finish().await?;
                    Ok(facts)
                }
                PumpResult::Stopped(PumpFailure {
                    refused: StreamRefusal::Write(source), ..
                }) => Err(receiver.cause(source).await.into()),
                PumpResult::Stopped(stopped) => Err(refused(context, planned, stopped)),
            }
        });
        let outcome = outcome.await;
        if outcome.is_err() {
            receiver.stop().await;
        }
        pump.end().await;
        // The threads hold the directory open, and a drill unmounts it.
        threads.end().await;
        outcome
    }

    /// Keeps the pages of the newest backup, the only one that is compared.
    fn pages(&self, context: &ReceiveContext<'_, '_>, planned: &FetchEntry<'_>) -> PageCache {
        let is_newest = context
            .fetch_plan
            .entries
            .last()
            .is_some_and(|last| last.entry.key == planned.entry.key);
        if is_newest && self.compare_options.may_read(&planned.entry.manifest) {
            PageCache::Keep
        } else {
            PageCache::Drop
        }
    }

    /// Checks the received snapshot, and syncs it to the disk. The exit code of
    /// `btrfs receive` is not enough: a stream that was cut off leaves a writable subvolume
    /// without a received UUID.
    async fn check_received(
        &self,
        planned: &FetchEntry<'_>,
        received: &Received<'_>,
        staging: &Staging,
    ) -> Result<ReceivedBackup, RestoreError> {
        let Received { facts, received_uuid, parent } = received;
        let wrong = |fact: SnapshotFact, expected: String, found: String| {
            let manifest = planned.entry.key.clone();
            Err(RestoreError::Received { manifest, fact, expected, found })
        };
        let sent = facts.snapshot.uuid.to_string();
        match &planned.entry.manifest.snapshot.uuid {
            Some(expected) if *expected != sent => {
                return wrong(SnapshotFact::SentUuid, expected.clone(), sent);
            }
            Some(_) | None => {}
        }
        let path = staging.received().join(OsStr::from_bytes(&facts.snapshot.name));
        let shown = subvolume::show(self.btrfs, &path).await?;
        if !shown.is_read_only {
            return wrong(SnapshotFact::Access, "read-only".to_owned(), "writable".to_owned());
        }
        if shown.received_uuid != Some(received_uuid.to_string()) {
            let found = or_none(shown.received_uuid);
            return wrong(SnapshotFact::ReceivedUuid, received_uuid.to_string(), found);
        }
        if shown.parent_uuid != parent.map(|parent| parent.uuid.clone()) {
            let manifest = planned.entry.key.clone();
            return Err(RestoreError::OtherParent { manifest, found: or_none(shown.parent_uuid) });
        }
        // Data that is still to be written would change the ctransid, and be lost in a power cut.
        staging.sync().await?;
        let identity = send::identity(self.btrfs, &path).await;
        let identity = identity.map_err(|source| {
            let manifest = planned.entry.key.clone();
            RestoreError::SnapshotIdentity { manifest, source }
        })?;
        Ok(ReceivedBackup {
            name: facts.snapshot.name.clone(),
            uuid: shown.uuid,
            sent_uuid: facts.snapshot.uuid.0,
            received_uuid: received_uuid.0,
            ctransid: identity.ctransid,
            root_times: match facts.root_times {
                Some(times) => Some(RootTimes::of(times)),
                None => parent.and_then(|parent| parent.root_times),
            },
        })
    }
}

fn verified_stream(
    context: &ReceiveContext<'_, '_>,
    rewrite: UuidRewrite,
    staging: &Staging,
    parent: Option<&ReceivedBackup>,
) -> Result<VerifiedStream, RestoreError> {
    let path = parent.map_or_else(|| staging.received(), |parent| staging.path_of(parent));
    let inherited = match parent {
        Some(_) => InheritedAttributes::of_parent(&path),
        None => InheritedAttributes::of_new_subvolume(&path),
    };
    let inherited = inherited.map_err(|source| RestoreError::Attributes { path, source })?;
    Ok(VerifiedStream::new(rewrite, inherited, context.protocol_max))
}

fn refused(
    context: &ReceiveContext<'_, '_>,
    planned: &FetchEntry<'_>,
    stopped: PumpFailure,
) -> RestoreError {
    let ReceiveContext { fetch_plan, from, .. } = context;
    let manifest = planned.entry.key.clone();
    match (
        stopped.refused,
        stopped.object.and_then(|object| fetch_plan.chunk_of_object(*from, object)),
    ) {
        (StreamRefusal::Stream(source), Some(chunk)) => {
            FetchError::Stream { manifest, chunk: chunk.clone(), source }.into()
        }
        (StreamRefusal::Stream(source), None) => FetchError::Truncated { manifest, source }.into(),
        (StreamRefusal::WrongParent(source), _) => RestoreError::WrongParent { manifest, source },
        (StreamRefusal::Protocol, _) => {
            let needed = needed_btrfs_progs(PROTOCOL_NEWEST).unwrap_or_default().to_owned();
            RestoreError::ProgramTooOld { manifest, needed, found: "an older one".to_owned() }
        }
        (StreamRefusal::Attribute(source), _) => RestoreError::Encode { manifest, source },
        (StreamRefusal::Write(source), _) => RestoreError::Pipe { manifest, source },
    }
}

fn or_none(uuid: Option<String>) -> String {
    uuid.unwrap_or_else(|| "none".to_owned())
}

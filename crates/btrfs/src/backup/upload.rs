//! Sends one backup: the stream of its snapshot becomes chunks, and then the backup is
//! published.
//!
//! The journal records what S3 acknowledges. If the stream breaks off, in this run or
//! in an earlier one, it is sent again without uploading twice what S3 has.

use std::time::Duration;

use btrfs_host::send::{Named, SendError, SendStream};
use btrfs_host::spool::SpoolError;
use btrfs_host::spool::source::BackupStream;
use btrfs_host::{long_paths, read_errors};
use s3up_core::{Key, Throughput, error_chain};
use s3up_repository::manifest::CHUNK_COUNT_MAX;
use s3up_repository::names::SnapshotName;
use s3up_repository::publish::{self, Documents, StreamDescription};
use s3up_repository::published::Published;
use s3up_repository::stamp::Stamp;
use s3up_store::{
    AlreadyUploaded, Chunk, Overwrite, ProgressEvent, PutChunks, ResumeLog, UploadError,
};
use tokio::sync::mpsc;

use super::context::{BackupJob, BackupRun};
use crate::backup::check_stream;
use crate::backup::error::Failure;
use crate::backup::journal_writer::{self, JournalWriter};
use crate::backup::resend::{self, Resend, SENDS_MAX};
use crate::backup::unreceivable;
use crate::plan::decide::BackupStep;
use crate::plan::observed::{ParentProof, StreamSettings};
use crate::plan::resume::Resumption;
use crate::snapshots::cleanup::{CreatedBy, RemovalOutcome};

impl BackupRun {
    /// Sends a snapshot until its stream is sound.
    ///
    /// A `btrfs send` that was frozen and thawed writes a corrupt stream and still
    /// exits with 0; the next attempt succeeds.
    pub(super) async fn send_until_sound(&self, job: &BackupJob<'_>) -> Result<(), Failure> {
        let (mut sent, mut last) = (1, None);
        loop {
            let Err(failure) = self.send_and_publish(job, sent).await else { return Ok(()) };
            let is_prepared = match resend::decide(&failure, last.as_ref(), sent) {
                Resend::No => false,
                Resend::All => self.prepare_replay(job).await,
                Resend::FromChunk(chunk) => self.forget_from(job, chunk).await,
            };
            last = resend::defect_of(&failure).cloned().or(last);
            if !is_prepared {
                self.explain(job, &failure).await;
                return Err(failure);
            }
            tracing::warn!(
                event = "send_repeated",
                subvolume = %job.subvolume.name,
                attempt = sent,
                attempts_max = SENDS_MAX,
                "{}; nothing was published, sending the snapshot again",
                error_chain(&failure)
            );
            sent += 1;
        }
    }

    /// Logs what the error of `btrfs send` does not say.
    async fn explain(&self, job: &BackupJob<'_>, failure: &Failure) {
        let Failure::Send(err) = failure else { return };
        let (name, snapshot) =
            (job.subvolume.name.as_str(), self.snapshot_dir().path_of(&job.backup));
        if err.is_path_too_long() {
            long_paths::log_longest(name, &snapshot, self.clock).await;
        }
        if err.is_read_error() {
            read_errors::log_unreadable(&self.btrfs, name, &snapshot).await;
        }
    }

    /// Returns true if the snapshot can be sent again. Without a journal it is unknown
    /// what is in the bucket, so that is removed first.
    async fn prepare_replay(&self, job: &BackupJob<'_>) -> bool {
        self.journal(job).await.is_some()
            || self.cleanup(job).clear(&job.backup, &job.run, CreatedBy::ThisRun).await
                == RemovalOutcome::Removed
    }

    /// Removes a chunk of a different stream, and all later ones.
    async fn forget_from(&self, job: &BackupJob<'_>, chunk: u64) -> bool {
        let kept = (0..chunk).map(|number| self.layout().chunk(&job.backup, number)).collect();
        if !self.cleanup(job).clear_others(&job.backup, &job.run, &kept).await {
            return false;
        }
        let Some(journal) = self.journal(job).await else { return false };
        let path = self.records.journal(&job.backup);
        match journal_writer::forget_from(&path, journal.good_bytes, chunk).await {
            Ok(()) => true,
            Err(err) => {
                let path = path.display();
                tracing::warn!(event = "journal_not_written", %path, "write the journal: {err}");
                false
            }
        }
    }

    /// Sends and publishes, as attempt number `sent` of this run.
    async fn send_and_publish(&self, job: &BackupJob<'_>, sent: u32) -> Result<(), Failure> {
        let (began, started_at) = (self.clock.start(), Stamp::at(self.now()));
        let snapshot = self.snapshot_dir().path_of(&job.backup);
        let (parent, parent_manifest) = parent_of(job);
        let parent = parent.map(|parent| self.snapshot_dir().path_of(parent));
        let (tap, index) = self.start_index();
        let stream = SendStream::start(&self.btrfs, &snapshot, parent.as_deref(), self.form)?;
        let stream = stream.with_tap(tap);
        let existing = match sent > 1 || job.resumption != Resumption::Fresh {
            true => Documents::BegunBefore,
            false => Documents::New,
        };
        let journal = self.open_journal(job, stream.named(), existing).await;
        let mut stream = BackupStream::new(stream, self.options.spool.as_ref());
        let uploaded = self.upload(job, &mut stream, journal).await;
        let facts = stream.stop().await;
        let chunks = uploaded?;
        let facts = facts.ok_or(Failure::Unfinished)?;
        check_stream::check(&job.backup, &job.step, &facts)?;
        let node_bytes = unreceivable::node_bytes(&snapshot);
        unreceivable::warn(&job.subvolume.name, &facts, node_bytes);
        let described = StreamDescription {
            backup: &job.backup,
            snapshot_path: snapshot.to_string_lossy().into_owned(),
            parent_manifest: parent_manifest.as_ref(),
            parent_received: match &job.step {
                BackupStep::Incremental { proof, .. } => *proof == ParentProof::Received,
                BackupStep::Full(_) => false,
            },
            facts: &facts,
            node_bytes,
            chunk_bytes: self.options.settings.chunk_bytes,
            storage_class: &self.options.settings.storage_class,
            started_at,
            elapsed: began.elapsed(),
            host: &self.host,
            lineage: &job.lineage,
            unplanned_full: job.unplanned.clone(),
        };
        let documents = publish::documents(self.layout(), &described, &chunks);
        let publishing = async {
            if existing == Documents::BegunBefore {
                // Objects that cannot be removed are no part of the backup, and
                // `clear_others` has warned about them.
                let kept = chunks.iter().map(|chunk| chunk.key.clone()).collect();
                self.cleanup(job).clear_others(&job.backup, &job.run, &kept).await;
            }
            let (bucket, layout) = (self.bucket_of(job), self.layout());
            let etag = job.observed.pointer_etag.as_deref();
            self.store_index(job, index).await;
            publish::write_documents(&bucket, layout, &job.backup, &documents, existing).await?;
            publish::point(&bucket, layout, (&job.backup, &job.lineage), etag).await
        };
        tokio::select! {
            published = publishing => published?,
            stop = self.shutdown.wait() => return Err(Failure::StoppedPublishing(stop)),
        }
        log_uploaded(job, facts.total_bytes, chunks.len(), began.elapsed());
        Ok(())
    }

    /// Continues the journal of the backup or creates one. Without a journal the backup
    /// is sent all the same.
    async fn open_journal(
        &self,
        job: &BackupJob<'_>,
        named: Named,
        existing: Documents,
    ) -> OpenJournal {
        let path = self.records.journal(&job.backup);
        let (known, writer) = match self.journal(job).await {
            Some(journal) => {
                let writer = JournalWriter::resume(&path, journal.good_bytes, named).await;
                (Some(journal.known), writer)
            }
            None => {
                let known = (existing == Documents::BegunBefore).then(AlreadyUploaded::new);
                (known, JournalWriter::begin(&path, &self.header(job), named).await)
            }
        };
        let writer = writer.map_err(|err| {
            let path = path.display();
            tracing::warn!(
                event = "journal_not_written",
                %path,
                "write the journal: {err}; check the disk"
            );
        });
        OpenJournal { known, writer: writer.ok() }
    }

    async fn upload(
        &self,
        job: &BackupJob<'_>,
        stream: &mut BackupStream,
        journal: OpenJournal,
    ) -> Result<Vec<Chunk>, Failure> {
        let StreamSettings { chunk_bytes, part_bytes, storage_class, .. } = &self.options.settings;
        let key_of = |number| self.layout().chunk(&job.backup, number);
        let put = PutChunks {
            key_of: &key_of,
            chunk_bytes: *chunk_bytes,
            part_bytes: *part_bytes,
            chunk_count_max: CHUNK_COUNT_MAX,
            metadata: self.bucket_of(job).metadata,
            // Another host may have started a backup in the same second.
            overwrite: Overwrite::Never,
            content_type: Some("application/octet-stream".to_owned()),
            storage_class: Some(storage_class.clone()),
            in_flight: self.options.concurrency,
            retry_for: self.bucket.retry_for,
        };
        let OpenJournal { known, writer } = journal;
        let store = &self.bucket.store;
        let uploading = async {
            match (known, &writer) {
                (None, None) => store.upload_chunks(&put, stream).await,
                (known, writer) => {
                    let tx = writer.as_ref().map_or_else(no_journal, JournalWriter::sender);
                    store
                        .upload_chunks_resumable(
                            &put,
                            ResumeLog { already_uploaded: known, tx },
                            stream,
                        )
                        .await
                }
            }
        };
        let uploaded = tokio::select! {
            uploaded = uploading => uploaded.map_err(first_cause),
            stop = self.shutdown.wait() => Err(Failure::Stopped(stop)),
        };
        if let Some(writer) = writer {
            writer.finish().await;
        }
        uploaded
    }
}

/// The known parts of a stream before it is sent, and the writer of its journal.
struct OpenJournal {
    known: Option<AlreadyUploaded>,
    writer: Option<JournalWriter>,
}

fn no_journal() -> mpsc::Sender<ProgressEvent> {
    mpsc::channel(1).0
}

pub(super) fn parent_of<'j>(job: &'j BackupJob<'_>) -> (Option<&'j SnapshotName>, Option<Key>) {
    match (&job.step, &job.observed.published) {
        (BackupStep::Incremental { parent, .. }, Published::Chain(chain)) => {
            (Some(parent), Some(chain.newest().key.clone()))
        }
        (BackupStep::Full(_) | BackupStep::Incremental { .. }, _) => (None, None),
    }
}

/// Prefers the error of the source, which explains why the upload broke off.
fn first_cause(err: UploadError) -> Failure {
    let UploadError::Source { key, source } = err else { return Failure::Upload(err) };
    let source = match source.downcast::<SendError>() {
        Ok(send) => return Failure::Send(send),
        Err(source) => source,
    };
    match source.downcast::<SpoolError>() {
        Ok(spool) => Failure::Spool(spool),
        Err(source) => Failure::Upload(UploadError::Source { key, source }),
    }
}

fn log_uploaded(job: &BackupJob<'_>, bytes: u64, chunks: usize, elapsed: Duration) {
    tracing::info!(
        event = "backup_metrics",
        subvolume = %job.subvolume.name,
        total_bytes = bytes,
        elapsed_seconds = format_args!("{:.3}", elapsed.as_secs_f64()),
        throughput = %Throughput { bytes, elapsed },
    );
    tracing::info!(
        event = "backup_uploaded",
        subvolume = %job.subvolume.name,
        kind = %job.backup.kind,
        backup = %job.backup.stamp,
        total_bytes = bytes,
        chunks,
        elapsed_seconds = format_args!("{:.1}", elapsed.as_secs_f64()),
        "published"
    );
}

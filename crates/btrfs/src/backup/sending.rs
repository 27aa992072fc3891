//! One backup on its way: the stream of its snapshot into chunks, then published.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use s3up_core::{Key, Throughput};
use s3up_store::{Overwrite, PutChunks, UploadError};

use super::{Backup, Job};
use crate::cause::with_cause;
use crate::config::BucketConfig;
use crate::failure::Failure;
use crate::manifest::CHUNK_COUNT_MAX;
use crate::plan::{Published, Step};
use crate::publish::{self, Described};
use crate::send::{SendError, SendStream};
use crate::snapshot::SnapshotName;
use crate::stamp::Stamp;
use crate::tidy::Uploads;

/// A host that sleeps every night freezes a long send more than once; one whose
/// streams are never sound is not to upload for ever.
const SENDS_MAX: u32 = 3;

impl Backup<'_> {
    /// Sends a snapshot until its stream is sound. One that was frozen and thawed
    /// is not, although its program says that all went well; sent again it is.
    /// The same fault at the same place is no accident, and is not tried again.
    pub(super) async fn send_until_sound(&self, job: &Job<'_>) -> Result<(), Failure> {
        let (mut sent, mut last) = (1, None);
        loop {
            let (command, fault) = match self.send_and_publish(job).await {
                Err(Failure::Send(SendError::Stream { command, source })) => (command, source),
                outcome => return outcome,
            };
            let is_hopeless = sent == SENDS_MAX || last.as_ref() == Some(&fault);
            let failure = SendError::Stream { command, source: fault.clone() };
            if is_hopeless || !self.rooms().clear(&job.backup, &self.run, Uploads::Aborted).await {
                return Err(Failure::Send(failure));
            }
            tracing::warn!(
                event = "send_again",
                subvolume = %job.subvolume.name,
                sent,
                sends_max = SENDS_MAX,
                "{}; nothing of it is published, the snapshot is sent again",
                with_cause(&failure)
            );
            (sent, last) = (sent + 1, Some(fault));
        }
    }

    async fn send_and_publish(&self, job: &Job<'_>) -> Result<(), Failure> {
        let (began, started_at) = (Instant::now(), Stamp::at(Timestamp::now()));
        let snapshot = self.shelf().path_of(&job.backup);
        let (parent, parent_manifest) = parent_of(job);
        let parent = parent.map(|parent| self.shelf().path_of(parent));
        let mut stream = SendStream::start(&self.btrfs, &snapshot, parent.as_deref(), self.form)?;
        let uploaded = self.upload(job, &mut stream).await;
        let facts = stream.stop().await;
        let chunks = uploaded?;
        let facts = facts.ok_or(Failure::Unfinished)?;
        publish::check(&job.backup, &job.step, &facts)?;
        let described = Described {
            backup: &job.backup,
            snapshot_path: snapshot.to_string_lossy().into_owned(),
            parent_manifest: parent_manifest.as_ref(),
            parent_proof: match &job.step {
                Step::Incremental { proof, .. } => Some(*proof),
                Step::Full(_) => None,
            },
            facts: &facts,
            chunk_bytes: self.config.bucket.chunk_bytes,
            storage_class: &self.config.bucket.class_chunks,
            started_at,
            elapsed: began.elapsed(),
            host: &self.host,
        };
        let documents = publish::documents(self.layout(), &described, &chunks);
        let etag = job.seen.pointer_etag.as_deref();
        tokio::select! {
            published = publish::publish(&self.bucket, self.layout(), &job.backup, &documents, etag) => published?,
            stop = self.stopping.wait() => return Err(Failure::StoppedPublishing(stop)),
        }
        log_uploaded(job, facts.total_bytes, chunks.len(), began.elapsed());
        Ok(())
    }

    async fn upload(
        &self,
        job: &Job<'_>,
        stream: &mut SendStream,
    ) -> Result<Vec<s3up_store::Chunk>, Failure> {
        let BucketConfig { chunk_bytes, part_bytes, concurrency, class_chunks, retry_for, .. } =
            &self.config.bucket;
        let key_of = |number| self.layout().chunk(&job.backup, number);
        let put = PutChunks {
            key_of: &key_of,
            chunk_bytes: *chunk_bytes,
            part_bytes: *part_bytes,
            chunk_count_max: CHUNK_COUNT_MAX,
            metadata: self.bucket.metadata.clone(),
            // Another host may have begun in the same second.
            overwrite: Overwrite::Never,
            content_type: Some("application/octet-stream".to_owned()),
            storage_class: Some(class_chunks.clone()),
            in_flight: *concurrency,
            retry_for: *retry_for,
        };
        tokio::select! {
            uploaded = self.bucket.store.upload_chunks(&put, stream) => {
                uploaded.map_err(first_cause)
            }
            stop = self.stopping.wait() => Err(Failure::Stopped(stop)),
        }
    }
}

fn parent_of<'j>(job: &'j Job<'_>) -> (Option<&'j SnapshotName>, Option<Key>) {
    match (&job.step, &job.seen.published) {
        (Step::Incremental { parent, .. }, Published::Chain(chain)) => {
            (Some(parent), Some(chain.newest().key.clone()))
        }
        (Step::Full(_) | Step::Incremental { .. }, _) => (None, None),
    }
}

/// A source that broke off says itself why.
fn first_cause(err: UploadError) -> Failure {
    let UploadError::Source { key, source } = err else { return Failure::Upload(err) };
    match source.downcast::<SendError>() {
        Ok(send) => Failure::Send(send),
        Err(source) => Failure::Upload(UploadError::Source { key, source }),
    }
}

fn log_uploaded(job: &Job<'_>, bytes: u64, chunks: usize, elapsed: Duration) {
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

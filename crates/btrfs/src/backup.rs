//! One run: look, plan, snapshot, send, publish, tidy.
//!
//! All snapshots are made before the first is sent, so that they show one
//! moment. Each subvolume is then sent and published by itself; one that fails
//! does not stop the others.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use s3up_cli::Stop;
use s3up_core::Key;
use s3up_store::{Overwrite, PutChunks, UploadError};

use crate::bucket::Bucket;
use crate::config::{BucketConfig, Config, Subvolume};
use crate::failure::Failure;
use crate::look::{self, Seen};
use crate::manifest::CHUNK_COUNT_MAX;
use crate::nested;
use crate::plan::{self, Asked, Published, Step};
use crate::publish::{self, Described, Host, PublishError};
use crate::record::{Records, RunId, State};
use crate::send::{SendError, SendStream};
use crate::snapshot::{SnapshotName, SubvolumeName};
use crate::stamp::Stamp;
use crate::stopping::Stopping;
use crate::subvolume;
use crate::tidy::{self, Before, Rooms, Uploads};
use crate::tool::Btrfs;

/// What is backed up, with what.
pub struct Backup<'a> {
    pub config: &'a Config,
    pub bucket: Bucket,
    pub btrfs: Btrfs,
    pub host: Host,
    pub stopping: Stopping,
    pub records: Records,
    /// This run.
    pub run: RunId,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    pub published: Vec<SnapshotName>,
    pub failed: Vec<(SubvolumeName, Failure)>,
    pub stopped: Option<Stop>,
}

/// A subvolume on its way through a run.
struct Job<'a> {
    subvolume: &'a Subvolume,
    seen: Seen,
    step: Step,
    backup: SnapshotName,
}

impl Backup<'_> {
    /// Backs up `subvolumes`, which were checked, as of `now`.
    pub async fn run(&self, subvolumes: &[&Subvolume], asked: Asked, now: Timestamp) -> Report {
        let mut report = Report::default();
        let mut jobs = Vec::new();
        for subvolume in subvolumes {
            let planned = tokio::select! {
                planned = self.plan(subvolume, asked, now) => planned,
                stop = self.stopping.wait() => Err(Failure::Stopped(stop)),
            };
            match planned {
                Ok(job) => jobs.push(job),
                Err(failure) => report.add(subvolume.name.clone(), failure),
            }
        }
        let jobs = self.snapshot_all(jobs, &mut report).await;
        for job in jobs {
            let name = job.subvolume.name.clone();
            let outcome = match self.stopping.now() {
                Some(stop) => {
                    self.undo(&job.backup).await;
                    Err(Failure::Stopped(stop))
                }
                None => self.back_up(&job).await,
            };
            match outcome {
                Ok(()) => report.published.push(job.backup),
                Err(failure) => report.add(name, failure),
            }
        }
        report
    }

    async fn plan<'s>(
        &self,
        subvolume: &'s Subvolume,
        asked: Asked,
        now: Timestamp,
    ) -> Result<Job<'s>, Failure> {
        let name = &subvolume.name;
        let base_dir = &self.config.base_dir;
        let seen = look::look(&self.bucket, self.layout(), &self.btrfs, base_dir, name).await?;
        self.warn_of_another_host(name, &seen);
        nested::warn(&self.btrfs, name, &subvolume.path).await;
        let step = plan::decide(asked, &seen.published, &seen.parent);
        let last = seen.snapshots.iter().map(|snapshot| snapshot.stamp).max();
        let last = last.max(published_at(&seen));
        let recorded = self.records.list()?.into_iter().map(|(snapshot, _)| snapshot);
        let recorded = recorded.filter(|snapshot| snapshot.subvolume == *name);
        let last = last.max(recorded.map(|snapshot| snapshot.stamp).max());
        let stamp = Stamp::at(now).after(last);
        let backup = SnapshotName { subvolume: name.clone(), stamp, kind: step.kind() };
        tracing::info!(event = "planned", subvolume = %name, "{step}");
        Ok(Job { subvolume, seen, step, backup })
    }

    async fn snapshot_all<'s>(&self, jobs: Vec<Job<'s>>, report: &mut Report) -> Vec<Job<'s>> {
        let mut made = Vec::new();
        for job in jobs {
            match self.snapshot(&job).await {
                Ok(()) => made.push(job),
                Err(failure) => report.add(job.subvolume.name.clone(), failure),
            }
        }
        made
    }

    /// The record comes first: a snapshot without one would never be cleared up.
    async fn snapshot(&self, job: &Job<'_>) -> Result<(), Failure> {
        let (of, at) = (&job.subvolume.path, self.path_of(&job.backup));
        self.records.write(&job.backup, &self.run, State::Begun)?;
        if let Err(err) = subvolume::snapshot_read_only(&self.btrfs, of, &at).await {
            self.records.forget(&job.backup)?;
            return Err(err.into());
        }
        let path = at.display();
        tracing::info!(event = "snapshot_created", snapshot = %job.backup, %path);
        Ok(())
    }

    /// Sends and publishes one snapshot. On failure nothing of it is left, or
    /// the snapshot stays to say that there may be.
    async fn back_up(&self, job: &Job<'_>) -> Result<(), Failure> {
        match self.send_and_publish(job).await {
            Ok(()) => {}
            Err(
                failure @ (Failure::Publish(PublishError::Unknown { .. })
                | Failure::StoppedPublishing(_)),
            ) => return Err(failure),
            Err(failure) => {
                self.undo(&job.backup).await;
                return Err(failure);
            }
        }
        self.records.write(&job.backup, &self.run, State::Published)?;
        tokio::select! {
            outcome = self.tidy(job) => outcome?,
            // What is left, the next run removes.
            _ = self.stopping.wait() => {}
        }
        Ok(())
    }

    async fn tidy(&self, job: &Job<'_>) -> Result<(), Failure> {
        let mut records = self.records.list()?;
        records.retain(|(snapshot, _)| snapshot.subvolume == job.subvolume.name);
        let states: Vec<_> =
            records.iter().map(|(snapshot, record)| (snapshot.clone(), record.state)).collect();
        let before = before(&job.seen);
        let tidy = tidy::plan(&states, &job.backup, &before, self.config.retain);
        self.rooms().apply(&tidy, &records).await;
        Ok(())
    }

    async fn send_and_publish(&self, job: &Job<'_>) -> Result<(), Failure> {
        let (began, started_at) = (Instant::now(), Stamp::at(Timestamp::now()));
        let snapshot = self.path_of(&job.backup);
        let (parent, parent_manifest) = parent_of(job);
        let parent = parent.map(|parent| self.path_of(parent));
        let mut stream = SendStream::start(&self.btrfs, &snapshot, parent.as_deref())?;
        let uploaded = self.upload(job, &mut stream).await;
        let facts = stream.stop().await;
        let chunks = uploaded?;
        let facts = facts.ok_or(Failure::Unfinished)?;
        publish::check(&job.backup, &job.step, &facts)?;
        let described = Described {
            backup: &job.backup,
            snapshot_path: snapshot.to_string_lossy().into_owned(),
            parent_manifest: parent_manifest.as_ref(),
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

    /// Removes what this run made of a backup.
    async fn undo(&self, backup: &SnapshotName) {
        self.rooms().remove_unpublished(backup, &self.run, Uploads::Aborted).await;
    }

    fn rooms(&self) -> Rooms<'_> {
        Rooms {
            bucket: &self.bucket,
            layout: self.layout(),
            btrfs: &self.btrfs,
            base_dir: &self.config.base_dir,
            records: &self.records,
        }
    }

    /// Two hosts with one prefix replace each other's backups.
    fn warn_of_another_host(&self, name: &SubvolumeName, seen: &Seen) {
        let Published::Chain(chain) = &seen.published else { return };
        let host = chain.newest().manifest.host.as_ref();
        if let Some(host) = host.filter(|host| **host != self.host.name) {
            tracing::warn!(
                event = "prefix_of_another_host",
                subvolume = %name,
                host,
                "the newest backup there is of another host; give each host a prefix of its own"
            );
        }
    }

    fn path_of(&self, snapshot: &SnapshotName) -> PathBuf {
        self.config.base_dir.join(snapshot.to_string())
    }

    fn layout(&self) -> &crate::layout::Layout {
        &self.config.bucket.layout
    }
}

impl Report {
    fn add(&mut self, name: SubvolumeName, failure: Failure) {
        if let Failure::Stopped(stop) | Failure::StoppedPublishing(stop) = failure {
            self.stopped = Some(stop);
        }
        self.failed.push((name, failure));
    }
}

fn before(seen: &Seen) -> Before {
    match &seen.published {
        Published::Nothing => Before::Nothing,
        Published::Broken { .. } => Before::Unreadable,
        Published::Chain(chain) => Before::Chain(
            chain
                .links()
                .iter()
                .filter_map(|link| SnapshotName::parse(&link.manifest.snapshot.name))
                .collect(),
        ),
    }
}

/// When the newest published backup was made.
fn published_at(seen: &Seen) -> Option<Stamp> {
    match &seen.published {
        Published::Chain(chain) => Some(chain.newest().manifest.created_at),
        Published::Nothing | Published::Broken { .. } => None,
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

//! Says what a backup will send, and what it will not, before it is sent.
//!
//! The forecast comes from the stream of the same snapshot without its data, which takes
//! seconds. The inodes that this stream names are searched for properties that no stream
//! carries. Only a stream that is sure to need more chunks than a manifest may have fails
//! here, before its first byte.

use std::path::Path;
use std::time::Duration;

use btrfs_host::attributes::AttributeSearch;
use btrfs_host::compressed::Form;
use btrfs_host::forecast::ForecastStream;
use btrfs_host::received_source;
use btrfs_host::send::SendError;
use btrfs_sendstream::Forecast;
use s3up_core::{Size, error_chain};
use s3up_repository::chain::Chain;
use s3up_repository::manifest::CHUNK_COUNT_MAX;
use s3up_repository::names::BackupKind;

use super::context::{BackupJob, BackupRun};
use super::upload::parent_of;
use crate::backup::error::Failure;
use crate::forecast::used_bytes;
use crate::nested;

/// The kernel compares millions of inodes in this time. The upload must not wait longer
/// for a number.
const FORECAST_TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// A forecast is exact to 2 %.
const FORECAST_ERROR_FRACTION: u64 = 50;
/// Number of earlier backups whose sizes are logged with the forecast.
const EARLIER_MAX: usize = 3;

impl BackupRun {
    /// Logs the forecast, and warns of what the stream will not contain.
    pub(super) async fn before_upload(&self, job: &BackupJob<'_>) -> Result<(), Failure> {
        let name = &job.subvolume.name;
        nested::warn(&self.btrfs, job.subvolume, &self.options.covered).await;
        received_source::warn(&self.btrfs, name.as_str(), &job.subvolume.path).await;
        let snapshot = self.snapshot_dir().path_of(&job.backup);
        let parent = parent_of(job).0.map(|parent| self.snapshot_dir().path_of(parent));
        let searching = self.forecast_and_search(name.as_str(), &snapshot, parent.as_deref());
        match tokio::time::timeout(FORECAST_TIME_MAX, searching).await {
            Ok(Ok(forecast)) => {
                self.log_forecast(job, &forecast);
                self.check_chunk_count(&forecast)?;
            }
            Ok(Err(err)) => tracing::warn!(
                event = "upload_forecast_failed",
                subvolume = %name,
                "cannot forecast how much will be sent: {}",
                error_chain(&err)
            ),
            Err(_) => tracing::warn!(
                event = "upload_forecast_failed",
                subvolume = %name,
                "cannot forecast how much will be sent: `btrfs send --no-data` takes longer than {} \
                 minutes",
                FORECAST_TIME_MAX.as_secs() / 60
            ),
        }
        Ok(())
    }

    /// Refuses a stream that is sure to need too many chunks. The upload itself would find out
    /// only after the last of them.
    fn check_chunk_count(&self, forecast: &Forecast) -> Result<(), Failure> {
        let chunk_bytes = self.options.settings.chunk_bytes;
        let bytes = forecast.stream_bytes;
        // Compressed data may make the stream shorter than any forecast.
        if self.form == Form::Compressed || !is_certain_to_exceed(bytes, chunk_bytes) {
            return Ok(());
        }
        Err(Failure::TooManyChunks { bytes: Size(bytes), chunk_bytes })
    }

    /// Reads the stream without data once, for both: the forecast and the search.
    async fn forecast_and_search(
        &self,
        subvolume: &str,
        snapshot: &Path,
        parent: Option<&Path>,
    ) -> Result<Forecast, SendError> {
        let mut stream = ForecastStream::start(&self.btrfs, snapshot, parent, self.form)?;
        let mut attributes = AttributeSearch::new(snapshot, parent, self.clock.start());
        while let Some(paths) = stream.next_paths().await? {
            if paths.is_empty() {
                continue;
            }
            let searching = tokio::task::spawn_blocking(move || {
                attributes.examine(&paths);
                attributes
            });
            let command = "search for attributes".to_owned();
            let searched = searching.await.map_err(std::io::Error::other);
            attributes = searched.map_err(|source| SendError::Read { command, source })?;
        }
        attributes.warn(subvolume);
        stream.finish().await
    }

    fn log_forecast(&self, job: &BackupJob<'_>, forecast: &Forecast) {
        let bytes = forecast.stream_bytes;
        let is_limit = self.form == Form::Compressed;
        let earlier = job.observed.published.chain();
        let earlier = earlier.map(|chain| earlier_bytes(chain, job.backup.kind));
        let earlier = earlier.unwrap_or_default();
        let shown: Vec<_> = earlier.iter().map(ToString::to_string).collect();
        tracing::info!(
            event = "upload_forecast",
            subvolume = %job.subvolume.name,
            kind = %job.backup.kind,
            bytes,
            at_most = is_limit,
            acknowledged_bytes = job.resumption.acknowledged_bytes().unwrap_or_default(),
            earlier_bytes = shown.join(","),
            "{}",
            sentence(job.backup.kind, bytes, is_limit, &earlier)
        );
        let used = match used_bytes(&self.options.base_dir) {
            Ok(used) => used,
            Err(err) => {
                tracing::debug!(event = "space_not_read", "{err}");
                return;
            }
        };
        if bytes > used {
            tracing::warn!(
                event = "forecast_exceeds_disk",
                subvolume = %job.subvolume.name,
                bytes,
                used_bytes = used,
                "{} will be sent, although all data on this filesystem occupy {}: a stream holds \
                 compressed data in full, and data with more than 1,024 references once for each; \
                 a restore needs as much space",
                Size(bytes),
                Size(used)
            );
        }
    }
}

/// Returns true if a stream needs more chunks than a manifest may have, even if the forecast is
/// too high.
fn is_certain_to_exceed(forecast_bytes: u64, chunk_bytes: u64) -> bool {
    let least = forecast_bytes - forecast_bytes / FORECAST_ERROR_FRACTION;
    least.div_ceil(chunk_bytes.max(1)) > CHUNK_COUNT_MAX
}

/// Returns the sizes of the newest backups of this kind in the chain, newest first.
fn earlier_bytes(chain: &Chain, kind: BackupKind) -> Vec<u64> {
    let of_kind = chain.entries().iter().rev().filter(|entry| entry.manifest.kind == kind);
    of_kind.map(|entry| entry.manifest.total_bytes).take(EARLIER_MAX).collect()
}

fn sentence(kind: BackupKind, bytes: u64, is_limit: bool, earlier: &[u64]) -> String {
    let limit = if is_limit { "at most " } else { "" };
    let mut text = format!("this {kind} will send {limit}{}", Size(bytes));
    if !earlier.is_empty() {
        let sizes: Vec<_> = earlier.iter().map(|bytes| Size(*bytes).to_string()).collect();
        text.push_str(&format!("; the last of its kind, newest first: {}", sizes.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_more_than_ten_thousand_chunks_is_refused_only_if_that_is_certain() {
        const CHUNK: u64 = 1 << 20;
        #[rustfmt::skip]
        let cases = [
            (0,               false),
            (10_000 * CHUNK,  false),
            (10_001 * CHUNK,  false),
            (10_200 * CHUNK,  false),
            (10_210 * CHUNK,  true),
            (u64::MAX,        true),
        ];
        for (bytes, want) in cases {
            assert_eq!(is_certain_to_exceed(bytes, CHUNK), want, "{bytes}");
        }
    }

    #[test]
    fn the_forecast_stands_beside_the_last_backups() {
        #[rustfmt::skip]
        let cases = [
            (BackupKind::Full,        false, &[][..],              "this full will send 2.0 KiB"),
            (BackupKind::Incremental, false, &[1024, 300 << 20][..], "this incremental will send 2.0 KiB; the last of its kind, newest first: 1.0 KiB, 300 MiB"),
            (BackupKind::Full,        true,  &[][..],              "this full will send at most 2.0 KiB"),
        ];
        for (kind, is_limit, earlier, want) in cases {
            assert_eq!(sentence(kind, 2048, is_limit, earlier), want);
        }
    }
}

//! Finds the source snapshot of a backup, and describes what a comparison with it proved.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use btrfs_host::identity::SnapshotIdentity;
use btrfs_host::tool::Btrfs;
use btrfs_host::{send, subvolume};
use s3up_core::progress::ProgressSink;
use s3up_core::{Count, Size, error_chain};
use s3up_repository::manifest::Manifest;

use super::early::{ComparedFiles, EarlyComparison};
use super::hard_links::LINKED_MAX;
use super::request::{CompareRequest, Extent, RestoredTree, SampleLimits};
use super::result::{CompareError, Comparison};
use super::run::compare;
use s3up_cli::ShutdownSignal;

/// Most content that a sample compares. A disk reads it within minutes, whatever the length
/// of the files.
const SAMPLE_BYTES_MAX: u64 = 16 << 30;

/// The snapshot that a backup was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotSource {
    Here(PathBuf),
    /// The source is not on this host, or has changed.
    NotHere {
        why: String,
    },
}

/// The extent to which a restored tree was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    Compared {
        source: PathBuf,
        extent: Extent,
        compared: Comparison,
    },
    /// Verified by the checksums of each part, each command and the whole stream only.
    Stream {
        why: String,
    },
}

/// Settings of a comparison of a restored tree.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    pub extent: Extent,
    pub sample_max_files: u64,
    /// A directory to search for the snapshot, besides its path in the manifest.
    pub base_dir: Option<PathBuf>,
}

/// Finds the snapshot of a manifest. It counts as the source only if `btrfs send` would still
/// give it the same UUID and ctransid.
pub async fn find_source(
    btrfs: &Btrfs,
    manifest: &Manifest,
    base_dir: Option<&Path>,
) -> SnapshotSource {
    let snapshot = &manifest.snapshot;
    let (Some(uuid), Some(ctransid)) = (snapshot.uuid.clone(), snapshot.ctransid) else {
        let why = "the manifest does not identify the snapshot that was sent".to_owned();
        return SnapshotSource::NotHere { why };
    };
    let wanted = SnapshotIdentity { uuid, ctransid };
    let mut why = format!("the source snapshot {:?} is not on this host", snapshot.path);
    for path in candidate_paths(manifest, base_dir) {
        match is_source(btrfs, &path, &wanted).await {
            Ok(()) => return SnapshotSource::Here(path),
            Err(reason) => why = format!("{path:?} has changed since it was sent: {reason}"),
        }
    }
    SnapshotSource::NotHere { why }
}

/// Returns the existing directories that may be the snapshot of a manifest.
fn candidate_paths(manifest: &Manifest, base_dir: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let snapshot = &manifest.snapshot;
    let recorded = Some(PathBuf::from(&snapshot.path)).filter(|path| path.is_absolute());
    let configured = base_dir.map(|base_dir| base_dir.join(&snapshot.name));
    recorded.into_iter().chain(configured).filter(|path| path.is_dir())
}

async fn is_source(btrfs: &Btrfs, path: &Path, wanted: &SnapshotIdentity) -> Result<(), String> {
    let shown = subvolume::show(btrfs, path).await.map_err(|err| error_chain(&err))?;
    if !shown.is_read_only {
        return Err("it is writable".to_owned());
    }
    let found = send::identity(btrfs, path).await.map_err(|err| error_chain(&err))?;
    if found != *wanted {
        return Err(format!(
            "expected UUID {} and ctransid {}, found {} and {}",
            wanted.uuid, wanted.ctransid, found.uuid, found.ctransid
        ));
    }
    Ok(())
}

impl CompareOptions {
    /// Returns true if the received snapshot will probably be compared.
    pub fn may_read(&self, manifest: &Manifest) -> bool {
        self.extent != Extent::Nothing
            && candidate_paths(manifest, self.base_dir.as_deref()).next().is_some()
    }

    /// Starts to compare files while they are received into `received`, if every byte will be compared
    /// with the source of `manifest`.
    pub async fn start_early(
        &self,
        btrfs: &Btrfs,
        manifest: &Manifest,
        received: &Path,
        now: fn() -> SystemTime,
    ) -> Option<EarlyComparison> {
        if self.extent != Extent::Full {
            return None;
        }
        let base_dir = self.base_dir.as_deref();
        let SnapshotSource::Here(source) = find_source(btrfs, manifest, base_dir).await else {
            return None;
        };
        let early = EarlyComparison::start(&source, received, now);
        early
            .inspect_err(|err| {
                let err = error_chain(err);
                tracing::debug!(event = "early_comparison_not_started", "{err}");
            })
            .ok()
    }

    /// Compares `restored` with the source of `manifest`. A missing source is not an error. `early` are
    /// the files that were found equal while they were received.
    pub async fn prove(
        &self,
        btrfs: &Btrfs,
        manifest: &Manifest,
        (restored, early): (RestoredTree, ComparedFiles),
        shutdown: &ShutdownSignal,
        progress: &ProgressSink,
    ) -> Result<Proof, CompareError> {
        let sample = match self.extent {
            Extent::Full => None,
            Extent::Sample => {
                Some(SampleLimits { files_max: self.sample_max_files, bytes_max: SAMPLE_BYTES_MAX })
            }
            Extent::Nothing => {
                return Ok(Proof::Stream { why: "no comparison was requested".to_owned() });
            }
        };
        let source = tokio::select! {
            source = find_source(btrfs, manifest, self.base_dir.as_deref()) => source,
            stop = shutdown.wait() => return Err(CompareError::Stopped(stop)),
        };
        match source {
            SnapshotSource::NotHere { why } => Ok(Proof::Stream { why }),
            SnapshotSource::Here(source) => {
                let (from, progress) = (source.clone(), progress.clone());
                let request = CompareRequest { source: from, restored, sample, progress };
                let compared = compare(request, early, shutdown).await?;
                Ok(Proof::Compared { source, extent: self.extent, compared })
            }
        }
    }
}

impl Proof {
    /// Returns the comparison, if there was one.
    pub fn compared(&self) -> Option<&Comparison> {
        match self {
            Proof::Compared { compared, .. } => Some(compared),
            Proof::Stream { .. } => None,
        }
    }

    /// Returns the word for logs and state files: `full`, `sample` or `stream`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Proof::Compared { extent, .. } => extent.as_str(),
            Proof::Stream { .. } => "stream",
        }
    }
}

/// Writes what was verified, and what was not.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, compared) = match self {
            Proof::Stream { why } => {
                return write!(f, "verified by the checksums of the stream only: {why}");
            }
            Proof::Compared { source, compared, .. } => (source, compared),
        };
        let Comparison { entries, files, files_read, files_in_part, bytes_read, .. } = compared;
        let bytes = Size(*bytes_read);
        if files_read == files && *files_in_part == 0 {
            write!(f, "every byte of {} ({bytes})", Count(*files, "file"))?;
        } else {
            write!(f, "the content of {files_read} of {files} files")?;
            if *files_in_part > 0 {
                write!(f, ", {files_in_part} of them in part")?;
            }
            write!(f, " ({bytes})")?;
        }
        write!(
            f,
            " and the metadata of {} were compared with the source snapshot {source:?}",
            Count(*entries, "entry")
        )?;
        if compared.nested > 0 {
            write!(f, "; not part of a snapshot: {}", Count(compared.nested, "nested subvolume"))?;
        }
        if compared.links_forgotten {
            write!(
                f,
                "; beyond {LINKED_MAX} hard-linked files only the link counts were compared"
            )?;
        }
        match compared.differences.count {
            0 => Ok(()),
            count => write!(f, "; {}: {}", Count(count, "difference"), compared.differences),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Mismatch;

    #[test]
    fn a_proof_describes_what_was_compared_and_what_was_not() {
        let mut compared = Comparison {
            entries: 9,
            files: 5,
            files_read: 5,
            bytes_read: 2048,
            ..Comparison::default()
        };
        let proof = |compared: &Comparison| {
            let (source, compared) = ("/srv/snap".into(), compared.clone());
            Proof::Compared { source, extent: Extent::Full, compared }
        };
        let all = "every byte of 5 files (2.0 KiB) and the metadata of 9 entries were compared \
                   with the source snapshot \"/srv/snap\"";
        assert_eq!(proof(&compared).to_string(), all);
        assert_eq!(proof(&compared).as_str(), "full");
        compared.nested = 1;
        compared.links_forgotten = true;
        compared.differences.add("a".into(), Mismatch::Missing);
        let more = "; not part of a snapshot: 1 nested subvolume; beyond 1048576 hard-linked \
                    files only the link counts were compared; 1 difference: \"a\": missing";
        assert_eq!(proof(&compared).to_string(), format!("{all}{more}"));
        compared.files_read = 2;
        assert!(proof(&compared).to_string().starts_with("the content of 2 of 5 files"));
        compared.files_in_part = 1;
        let in_part = "the content of 2 of 5 files, 1 of them in part (2.0 KiB)";
        assert!(proof(&compared).to_string().starts_with(in_part));
        let stream = Proof::Stream { why: "it is gone".to_owned() };
        assert_eq!(stream.to_string(), "verified by the checksums of the stream only: it is gone");
        assert_eq!((stream.as_str(), stream.compared()), ("stream", None));
    }
}

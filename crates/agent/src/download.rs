//! Downloads one file from the gateway, complete and verified, or not at all.
//!
//! A file gets its name only if length and SHA-256 are right (`destination`). So a
//! broken download never replaces anything.

mod destination;
mod error;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use s3up_core::{Code, RemotePath, Sha256, Sha256Digest};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use self::destination::Destination;
pub use self::destination::Existing;
pub use self::error::DownloadError;
use crate::gateway::client::{Download, GatewayClient};
use crate::gateway::error::GatewayError;
use crate::remote_files::at_time::FilesAt;
use crate::remote_files::file_metadata::FileMetadata;
use crate::remote_files::local_names::local_name;
use crate::remote_files::versioning::require_versions;

/// Destination of the downloaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    File(PathBuf, Existing),
    Stdout,
}

/// The version of a file to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionChoice {
    Newest,
    Id(String),
    /// The one that was the newest at a time.
    At(Timestamp),
}

#[derive(Debug)]
pub struct DownloadResult {
    pub bytes: u64,
    pub sha256: Sha256Digest,
    /// False if the gateway does not know the SHA-256, so that only the length was
    /// checked.
    pub verified: bool,
    /// The mtime or the mode could not be set.
    pub metadata_error: Option<io::Error>,
}

impl Target {
    /// Returns standard output for `-`. Without `output`, returns the name that the
    /// file had on its host, in the current directory.
    pub fn of(output: Option<&Path>, path: &RemotePath, existing: Existing) -> Target {
        match output {
            Some(output) if destination::is_stdout(output) => Target::Stdout,
            Some(output) => Target::File(output.to_owned(), existing),
            None => Target::File(local_name(path.file_name()), existing),
        }
    }
}

/// Downloads a version of `path` to `target`, which may be `stdout`. Calls `progress` with the
/// number of bytes received so far, and of all bytes.
pub async fn download(
    gateway: &GatewayClient,
    (path, version): (&RemotePath, &VersionChoice),
    target: &Target,
    stdout: &mut (impl AsyncWrite + Unpin),
    progress: &mut impl FnMut(u64, u64),
) -> Result<DownloadResult, DownloadError> {
    let source = Source::find(gateway, path, version).await?;
    let (file, existing) = match target {
        Target::Stdout => {
            let download = source.start(gateway).await?;
            let name = Path::new("standard output");
            return receive(download, &source, stdout, name, progress).await;
        }
        Target::File(file, existing) => (file.clone(), *existing),
    };
    let opened = blocking(&file, {
        let file = file.clone();
        move || destination::open(&file, existing)
    });
    let place = match opened.await? {
        Destination::Stream(stream) => {
            let download = source.start(gateway).await?;
            let mut writer = tokio::fs::File::from_std(stream);
            return receive(download, &source, &mut writer, &file, progress).await;
        }
        Destination::File(place) => place,
    };
    let download = source.start(gateway).await?;
    let metadata = FileMetadata { mtime_ns: download.mtime_ns, mode: download.mode };
    let replacement = blocking(&file, move || place.create(metadata)).await?;
    let not_written = |source| DownloadError::Write { path: file.clone(), source };
    let clone = replacement.writer.try_clone().map_err(not_written)?;
    let mut writer = tokio::fs::File::from_std(clone);
    let mut downloaded = receive(download, &source, &mut writer, &file, progress).await?;
    downloaded.metadata_error = blocking(&file, move || replacement.keep(metadata)).await?;
    Ok(downloaded)
}

/// Runs `work` on a thread that may wait for the disk, or for the reader of a pipe.
async fn blocking<T: Send + 'static>(
    file: &Path,
    work: impl FnOnce() -> Result<T, DownloadError> + Send + 'static,
) -> Result<T, DownloadError> {
    let panicked =
        |err| DownloadError::Write { path: file.to_owned(), source: io::Error::other(err) };
    tokio::task::spawn_blocking(work).await.map_err(panicked)?
}

/// A version of a file in the gateway.
struct Source<'s> {
    path: &'s RemotePath,
    version_id: Option<String>,
}

impl<'s> Source<'s> {
    /// Finds the version, before the target is touched.
    async fn find(
        gateway: &GatewayClient,
        path: &'s RemotePath,
        version: &VersionChoice,
    ) -> Result<Source<'s>, DownloadError> {
        let failed = |source| DownloadError::Gateway { path: path.clone(), source };
        let at = match version {
            VersionChoice::Id(id) => {
                return Ok(Source { path, version_id: Some(id.clone()) });
            }
            VersionChoice::Newest => {
                let is_missing = match gateway.exists(path).await {
                    Ok(found) => !found.exists,
                    // A key that may download and not ask: the download shows it.
                    Err(err) if is_forbidden(&err) => false,
                    Err(err) => return Err(failed(err)),
                };
                return match is_missing {
                    false => Ok(Source { path, version_id: None }),
                    true => Err(DownloadError::Missing { path: path.clone() }),
                };
            }
            VersionChoice::At(at) => *at,
        };
        require_versions(gateway).await?;
        let versions = match gateway.versions(path).await {
            Err(err) if is_not_found(&err) => {
                return Err(DownloadError::Missing { path: path.clone() });
            }
            versions => versions.map_err(failed)?.versions,
        };
        let invalid = |what: String| failed(GatewayError::InvalidAnswer { what });
        let mut files = FilesAt::new(at);
        for mut version in versions {
            // A gateway of an earlier version leaves it out.
            version.path = path.to_string();
            files.add(version).map_err(|err| invalid(err.to_string()))?;
        }
        let file = files.finish().map_err(|err| invalid(err.to_string()))?;
        let file = file.ok_or_else(|| DownloadError::NotThen { path: path.clone(), at })?;
        Ok(Source { path, version_id: file.version_id })
    }

    async fn start(&self, gateway: &GatewayClient) -> Result<Download, DownloadError> {
        let path = self.path.clone();
        match (
            gateway.download_version(self.path, self.version_id.as_deref()).await,
            &self.version_id,
        ) {
            (Err(err), Some(id)) if is_not_found(&err) => {
                Err(DownloadError::NoVersion { path, version_id: id.clone() })
            }
            (Err(err), None) if is_not_found(&err) => Err(DownloadError::Missing { path }),
            (started, _) => started.map_err(|source| DownloadError::Gateway { path, source }),
        }
    }
}

fn is_forbidden(err: &GatewayError) -> bool {
    matches!(err, GatewayError::Refused(refusal) if refusal.code == Code::Forbidden)
}

fn is_not_found(err: &GatewayError) -> bool {
    matches!(err, GatewayError::Refused(refusal) if refusal.code == Code::NotFound)
}

async fn receive(
    mut download: Download,
    Source { path, .. }: &Source<'_>,
    writer: &mut (impl AsyncWrite + Unpin),
    name: &Path,
    progress: &mut impl FnMut(u64, u64),
) -> Result<DownloadResult, DownloadError> {
    let failed = |source| DownloadError::Gateway { path: (*path).clone(), source };
    let not_written = |source| DownloadError::Write { path: name.to_owned(), source };
    let (expected, expected_sha256) = (download.bytes, download.sha256);
    let (mut hasher, mut bytes) = (Sha256::default(), 0);
    while let Some(chunk) = download.next().await.map_err(failed)? {
        bytes += chunk.len() as u64;
        hasher.update(&chunk);
        writer.write_all(&chunk).await.map_err(not_written)?;
        progress(bytes, expected.unwrap_or(bytes));
    }
    writer.flush().await.map_err(not_written)?;
    if let Some(expected) = expected.filter(|expected| *expected != bytes) {
        return Err(DownloadError::Length { path: (*path).clone(), expected, found: bytes });
    }
    let sha256 = hasher.finish();
    match expected_sha256 {
        Some(expected) if expected != sha256 => {
            Err(DownloadError::Digest { path: (*path).clone(), expected, found: sha256 })
        }
        known => {
            Ok(DownloadResult { bytes, sha256, verified: known.is_some(), metadata_error: None })
        }
    }
}

/// Parses a remote path as a person types it.
pub fn parse_path(text: &str) -> Result<RemotePath, DownloadError> {
    RemotePath::parse(text).map_err(|source| DownloadError::Path { path: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn without_output_the_file_gets_the_name_it_had_on_its_host() {
        let path = RemotePath::parse("up/caf%E9.jpg").unwrap();
        let Target::File(file, _) = Target::of(None, &path, Existing::Keep) else {
            panic!("a file")
        };
        assert_eq!(file.as_os_str().as_bytes(), b"caf\xe9.jpg");
        for stdout in ["-", "/dev/stdout", "/dev/fd/1"] {
            let target = Target::of(Some(Path::new(stdout)), &path, Existing::Keep);
            assert_eq!(target, Target::Stdout, "{stdout}");
        }
    }

    #[test]
    fn a_decoded_name_cannot_leave_the_directory() {
        for name in ["..%2F..%2Fetc%2Fpasswd", "%2E%2E", "%2e", "a%00b"] {
            let path = RemotePath::parse(&format!("up/{name}")).unwrap();
            let Target::File(file, _) = Target::of(None, &path, Existing::Keep) else {
                panic!("a file")
            };
            assert_eq!(file, Path::new(name));
        }
    }
}

//! Downloads one file from the gateway, complete and verified, or not at all.
//!
//! A file gets its name only if length and SHA-256 are right (`destination`). So a
//! broken download never replaces anything.

mod destination;
mod error;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use s3up_core::wire::StoredFile;
use s3up_core::{RemotePath, Sha256, Sha256Digest, escape};
use tokio::io::{AsyncWrite, AsyncWriteExt};

pub use self::destination::Existing;
use self::destination::{Destination, FileMetadata};
pub use self::error::DownloadError;
use crate::gateway::client::{Download, GatewayClient};

/// Destination of the downloaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    File(PathBuf, Existing),
    Stdout,
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
            None => Target::File(local_name(path), existing),
        }
    }
}

/// Downloads `path` to `target`, which may be `stdout`. Calls `progress` with the
/// number of bytes received so far, and of all bytes.
pub async fn download(
    gateway: &GatewayClient,
    path: &RemotePath,
    target: &Target,
    stdout: &mut (impl AsyncWrite + Unpin),
    progress: &mut impl FnMut(u64, u64),
) -> Result<DownloadResult, DownloadError> {
    let failed = |source| DownloadError::Gateway { path: path.clone(), source };
    let stored = gateway.exists(path).await.map_err(failed)?.file;
    let stored = stored.ok_or_else(|| DownloadError::Missing { path: path.clone() })?;
    let source = Source { path, stored };
    let (file, existing) = match target {
        Target::Stdout => {
            let download = gateway.download(path).await.map_err(failed)?;
            let name = Path::new("standard output");
            return receive(download, &source, stdout, name, progress).await;
        }
        Target::File(file, existing) => (file.clone(), *existing),
    };
    let opened = blocking(&file, {
        let file = file.clone();
        move || destination::open(&file, existing)
    });
    let replacement = match opened.await? {
        Destination::Stream(stream) => {
            let download = gateway.download(path).await.map_err(failed)?;
            let mut writer = tokio::fs::File::from_std(stream);
            return receive(download, &source, &mut writer, &file, progress).await;
        }
        Destination::File(replacement) => replacement,
    };
    let download = gateway.download(path).await.map_err(failed)?;
    let metadata = FileMetadata {
        mtime_ns: download.mtime_ns.or(source.stored.mtime_ns),
        mode: download.mode,
    };
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

/// A file in the gateway, and what the gateway knows of it.
struct Source<'s> {
    path: &'s RemotePath,
    stored: StoredFile,
}

async fn receive(
    mut download: Download,
    Source { path, stored }: &Source<'_>,
    writer: &mut (impl AsyncWrite + Unpin),
    name: &Path,
    progress: &mut impl FnMut(u64, u64),
) -> Result<DownloadResult, DownloadError> {
    let failed = |source| DownloadError::Gateway { path: (*path).clone(), source };
    let not_written = |source| DownloadError::Write { path: name.to_owned(), source };
    let expected = download.bytes.unwrap_or(stored.size);
    let (mut hasher, mut bytes) = (Sha256::default(), 0);
    while let Some(chunk) = download.next().await.map_err(failed)? {
        bytes += chunk.len() as u64;
        hasher.update(&chunk);
        writer.write_all(&chunk).await.map_err(not_written)?;
        progress(bytes, expected);
    }
    writer.flush().await.map_err(not_written)?;
    if bytes != expected || bytes != stored.size {
        let expected = if bytes == expected { stored.size } else { expected };
        return Err(DownloadError::Length { path: (*path).clone(), expected, found: bytes });
    }
    let sha256 = hasher.finish();
    match stored.sha256 {
        Some(expected) if expected != sha256 => {
            Err(DownloadError::Digest { path: (*path).clone(), expected, found: sha256 })
        }
        known => {
            Ok(DownloadResult { bytes, sha256, verified: known.is_some(), metadata_error: None })
        }
    }
}

/// Returns the name that the file had on its host. Escapes that no agent writes
/// could spell a path (`%2F`); such a name stays escaped.
fn local_name(path: &RemotePath) -> PathBuf {
    let name = escape::decode(path.file_name());
    let is_name = !name.contains(&b'/') && !name.contains(&0) && name != b"." && name != b"..";
    if is_name { PathBuf::from(OsString::from_vec(name)) } else { PathBuf::from(path.file_name()) }
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

//! `s3up get`: one file from the gateway, whole and checked, or not at all.
//!
//! It goes into a temporary file beside the target and takes the target's place
//! only when length and SHA-256 are right, so a broken download never replaces
//! anything.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use s3up_cli::progress;
use s3up_core::wire::StoredFile;
use s3up_core::{PathRule, RemotePath, Sha256, Sha256Digest, escape};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::client::{Download, Gateway, GatewayError};

#[derive(Debug, thiserror::Error)]
pub enum GetError {
    #[error("remote path {path:?}")]
    Path { path: String, source: PathRule },
    #[error("the gateway has no file {:?}", path.as_str())]
    Missing { path: RemotePath },
    #[error("get {:?}", path.as_str())]
    Gateway { path: RemotePath, source: GatewayError },
    #[error("get {:?}: {found} bytes came, {expected} were announced; try again", path.as_str())]
    Length { path: RemotePath, expected: u64, found: u64 },
    #[error("get {:?}: what came has SHA-256 {found}, stored is {expected}; try again", path.as_str())]
    Digest { path: RemotePath, expected: Sha256Digest, found: Sha256Digest },
    #[error("write {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path:?} is a folder; name the file to write")]
    Folder { path: PathBuf },
}

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    File(PathBuf),
    Stdout,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub bytes: u64,
    pub sha256: Sha256Digest,
    /// False where the gateway does not know the SHA-256, so that only the
    /// length was checked.
    pub verified: bool,
}

impl Target {
    /// `-` is standard output; without a name the file's own, as it was on its
    /// host, in the current folder.
    pub fn of(output: Option<&Path>, path: &RemotePath) -> Target {
        match output {
            Some(output) if output == Path::new("-") => Target::Stdout,
            Some(output) => Target::File(output.to_owned()),
            None => Target::File(local_name(path)),
        }
    }
}

/// Downloads `path`; `stdout` is written to where the target says so.
pub async fn get(
    gateway: &Gateway,
    path: &RemotePath,
    target: &Target,
    stdout: &mut (impl AsyncWrite + Unpin),
) -> Result<Got, GetError> {
    let failed = |source| GetError::Gateway { path: path.clone(), source };
    let stored = gateway.exists(path).await.map_err(failed)?.file;
    let stored = stored.ok_or_else(|| GetError::Missing { path: path.clone() })?;
    let file = match target {
        Target::Stdout => {
            let download = gateway.download(path).await.map_err(failed)?;
            return receive(download, path, &stored, stdout, Path::new("standard output")).await;
        }
        Target::File(file) if file.is_dir() => return Err(GetError::Folder { path: file.clone() }),
        Target::File(file) => file,
    };
    let download = gateway.download(path).await.map_err(failed)?;
    let (partial, mut writer) = beside(file).await?;
    let got = match receive(download, path, &stored, &mut writer, &partial).await {
        Ok(got) => put_in_place(writer, &partial, file).await.map(|()| got),
        Err(err) => Err(err),
    };
    if got.is_err() {
        // Nothing depends on it being gone.
        tokio::fs::remove_file(&partial).await.ok();
    }
    got
}

async fn receive(
    mut download: Download,
    path: &RemotePath,
    stored: &StoredFile,
    writer: &mut (impl AsyncWrite + Unpin),
    name: &Path,
) -> Result<Got, GetError> {
    let failed = |source| GetError::Gateway { path: path.clone(), source };
    let unwritten = |source| GetError::Write { path: name.to_owned(), source };
    let expected = download.bytes.unwrap_or(stored.size);
    let (mut hasher, mut bytes) = (Sha256::default(), 0);
    let bar = progress::bytes(path.file_name(), Some(expected));
    while let Some(chunk) = download.next().await.map_err(failed)? {
        bytes += chunk.len() as u64;
        hasher.update(&chunk);
        writer.write_all(&chunk).await.map_err(unwritten)?;
        bar.inc(chunk.len() as u64);
    }
    bar.done();
    writer.flush().await.map_err(unwritten)?;
    if bytes != expected || bytes != stored.size {
        let expected = if bytes == expected { stored.size } else { expected };
        return Err(GetError::Length { path: path.clone(), expected, found: bytes });
    }
    let sha256 = hasher.finish();
    match stored.sha256 {
        Some(expected) if expected != sha256 => {
            Err(GetError::Digest { path: path.clone(), expected, found: sha256 })
        }
        known => Ok(Got { bytes, sha256, verified: known.is_some() }),
    }
}

/// A new file beside `file`, under a name that nobody else uses.
async fn beside(file: &Path) -> Result<(PathBuf, File), GetError> {
    let unique = getrandom::u64().unwrap_or_default();
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(format!(".s3up-{unique:016x}"));
    let path = file.with_file_name(name);
    let created = OpenOptions::new().write(true).create_new(true).open(&path).await;
    match created {
        Ok(writer) => Ok((path, writer)),
        Err(source) => Err(GetError::Write { path, source }),
    }
}

/// Durable first, then visible.
async fn put_in_place(writer: File, partial: &Path, file: &Path) -> Result<(), GetError> {
    let unwritten = |source| GetError::Write { path: file.to_owned(), source };
    writer.sync_all().await.map_err(unwritten)?;
    tokio::fs::rename(partial, file).await.map_err(unwritten)
}

/// The bytes of the name that the file had on its host. Escapes that no agent
/// wrote could spell a path (`%2F`): then the name stays as it is stored.
fn local_name(path: &RemotePath) -> PathBuf {
    let name = escape::decode(path.file_name());
    let is_name = !name.contains(&b'/') && !name.contains(&0) && name != b"." && name != b"..";
    if is_name { PathBuf::from(OsString::from_vec(name)) } else { PathBuf::from(path.file_name()) }
}

/// The path as typed, checked.
pub fn parse_path(text: &str) -> Result<RemotePath, GetError> {
    RemotePath::parse(text).map_err(|source| GetError::Path { path: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn without_a_name_the_file_keeps_its_own() {
        let path = RemotePath::parse("up/caf%E9.jpg").unwrap();
        let Target::File(file) = Target::of(None, &path) else { panic!("a file") };
        assert_eq!(file.as_os_str().as_bytes(), b"caf\xe9.jpg");
        assert_eq!(Target::of(Some(Path::new("-")), &path), Target::Stdout);
    }

    #[test]
    fn a_decoded_name_never_leaves_the_folder() {
        for name in ["..%2F..%2Fetc%2Fpasswd", "%2E%2E", "%2e", "a%00b"] {
            let path = RemotePath::parse(&format!("up/{name}")).unwrap();
            let Target::File(file) = Target::of(None, &path) else { panic!("a file") };
            assert_eq!(file, Path::new(name));
        }
    }
}

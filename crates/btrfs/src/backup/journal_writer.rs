//! Writes the journal of a backup beside its upload. Each acknowledgement is on disk a
//! moment after it arrives; those that arrive together share one `fsync`.
//!
//! A journal that cannot be written stops no backup. It costs the next run the time to
//! upload everything again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use btrfs_host::send::Named;
use s3up_store::{ProgressEvent, UploadedPart};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::journal::{Header, JournalLine, encode};

/// More than arrive while a slow disk writes one line.
const WAITING_MAX: usize = 1024;
/// Time to wait for the disk at the end of an upload.
const FINISH_TIME_MAX: Duration = Duration::from_secs(10);

pub struct JournalWriter {
    sender: mpsc::Sender<ProgressEvent>,
    writing: JoinHandle<()>,
    path: PathBuf,
}

impl JournalWriter {
    /// Creates a journal and replaces any other.
    pub async fn begin(path: &Path, header: &Header, named: Named) -> io::Result<JournalWriter> {
        let (of_task, header) = (path.to_owned(), JournalLine::Header(header.clone()));
        let file = off_the_runtime(move || create(&of_task, header)).await?;
        Ok(JournalWriter::on(file, path, named))
    }

    /// Continues a journal whose first `good_bytes` are valid.
    pub async fn resume(path: &Path, good_bytes: u64, named: Named) -> io::Result<JournalWriter> {
        let of_task = path.to_owned();
        let file = off_the_runtime(move || open(&of_task, good_bytes)).await?;
        Ok(JournalWriter::on(file, path, named))
    }

    fn on(file: File, path: &Path, named: Named) -> JournalWriter {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let of_task = path.to_owned();
        let writing = tokio::task::spawn_blocking(move || {
            if let Err(err) = write(file, receiver, &named) {
                let path = of_task.display();
                tracing::warn!(
                    event = "journal_not_written",
                    %path,
                    "write the journal: {err}; if this run is interrupted, the next one uploads \
                     everything again"
                );
            }
        });
        JournalWriter { sender, writing, path: path.to_owned() }
    }

    pub fn sender(&self) -> mpsc::Sender<ProgressEvent> {
        self.sender.clone()
    }

    /// Returns once everything that was sent to the writer is on disk.
    pub async fn finish(self) {
        let JournalWriter { sender, writing, path } = self;
        drop(sender);
        if tokio::time::timeout(FINISH_TIME_MAX, writing).await.is_err() {
            let path = path.display();
            tracing::warn!(event = "journal_not_finished", %path, "gave up waiting for the disk");
        }
    }
}

/// Notes that `chunk` and all later ones are no longer valid.
pub async fn forget_from(path: &Path, good_bytes: u64, chunk: u64) -> io::Result<()> {
    let path = path.to_owned();
    let forget = move || append(&mut open(&path, good_bytes)?, &[JournalLine::Forgotten { chunk }]);
    off_the_runtime(forget).await
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn create(path: &Path, header: JournalLine) -> io::Result<File> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut file = File::create(path)?;
    append(&mut file, &[header])?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}

fn open(path: &Path, good_bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new().append(true).open(path)?;
    file.set_len(good_bytes)?;
    Ok(file)
}

fn write(
    mut file: File,
    mut receiver: mpsc::Receiver<ProgressEvent>,
    named: &Named,
) -> io::Result<()> {
    let mut is_named = false;
    let mut batch = Vec::new();
    while receiver.blocking_recv_many(&mut batch, WAITING_MAX) > 0 {
        let mut lines = Vec::with_capacity(batch.len() + 1);
        // The stream names its snapshot before S3 can acknowledge any of it.
        if let (false, Some(identity)) = (is_named, named.get()) {
            lines.push(JournalLine::Snapshot(identity.clone()));
            is_named = true;
        }
        lines.extend(batch.drain(..).map(line));
        append(&mut file, &lines)?;
    }
    Ok(())
}

fn append(file: &mut File, lines: &[JournalLine]) -> io::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        encode(line, &mut text);
    }
    file.write_all(&text)?;
    file.sync_data()
}

fn line(acknowledged: ProgressEvent) -> JournalLine {
    match acknowledged {
        ProgressEvent::UploadStarted { chunk, upload_id } => {
            JournalLine::Begun { chunk, upload_id }
        }
        ProgressEvent::PartUploaded { chunk, number, part: UploadedPart { len, sha256, etag } } => {
            JournalLine::Part { chunk, number, len, sha256, etag }
        }
        ProgressEvent::ChunkCompleted { chunk, etag, bytes } => {
            JournalLine::Completed { chunk, etag, bytes }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use btrfs_host::identity::SnapshotIdentity;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn acknowledgements_are_on_disk_and_a_resumed_journal_drops_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/x.journal");
        let named = Named::default();
        let header = crate::backup::journal::tests::header();
        let begun = |chunk| ProgressEvent::UploadStarted { chunk, upload_id: "id".to_owned() };
        let lines = |path: &Path| fs::read_to_string(path).unwrap().lines().count();

        let writer = JournalWriter::begin(&path, &header, Arc::clone(&named)).await.unwrap();
        named.set(SnapshotIdentity { uuid: "u".to_owned(), ctransid: 1 }).unwrap();
        writer.sender().send(begun(0)).await.unwrap();
        writer.finish().await;
        assert_eq!(lines(&path), 3, "header, snapshot, chunk");
        let good_bytes = fs::metadata(&path).unwrap().len();
        fs::write(&path, [fs::read(&path).unwrap(), b"torn".to_vec()].concat()).unwrap();

        let writer = JournalWriter::resume(&path, good_bytes, Named::default()).await.unwrap();
        writer.sender().send(begun(1)).await.unwrap();
        writer.finish().await;

        assert_eq!(lines(&path), 4);
        assert!(!fs::read_to_string(&path).unwrap().contains("torn"));
        let good_bytes = fs::metadata(&path).unwrap().len();
        forget_from(&path, good_bytes, 1).await.unwrap();
        assert_eq!(lines(&path), 5);
    }
}

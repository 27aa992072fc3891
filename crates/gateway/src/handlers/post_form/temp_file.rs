//! The temporary file of an upload whose path is not known yet.

use s3up_core::Code;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::refusal::Refusal;
use crate::temporary_files::TemporaryFiles;

/// An uploaded file on this host. It has no name and is read from its start.
pub(super) struct TempFile {
    pub file: File,
    pub len: u64,
}

/// Copies `body` into a temporary file and rewinds it.
pub(super) async fn write_temp_file<R: AsyncRead + Unpin>(
    files: &TemporaryFiles,
    body: &mut R,
    bytes_max: u64,
) -> Result<TempFile, Refusal> {
    let mut file = files.create().await.map_err(no_space)?;
    let mut buffer = vec![0; 64 << 10];
    let mut len = 0;
    loop {
        let count = body.read(&mut buffer).await.map_err(|err| Refusal::from_body(&err))?;
        if count == 0 {
            break;
        }
        len += count as u64;
        if len > bytes_max {
            return Err(Refusal::too_large(bytes_max));
        }
        files.record(file.write_all(&buffer[..count]).await).map_err(no_space)?;
    }
    files.record(file.flush().await).map_err(no_space)?;
    file.rewind().await.map_err(no_space)?;
    Ok(TempFile { file, len })
}

fn no_space(err: std::io::Error) -> Refusal {
    let what = "the gateway cannot write a temporary file; send `path` before `file` to avoid it";
    Refusal::new(Code::Overloaded, what).caused_by(&err)
}

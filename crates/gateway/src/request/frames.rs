//! The frames of the body of `POST /batch`: for each file a header in JSON, with its length before
//! it, and the bytes of the file.

use std::io;

use s3up_core::Code;
use s3up_core::wire::{BATCH_HEADER_BYTES_MAX, BatchFile};
use s3up_store::Buffer;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::refusal::Refusal;

/// Number of bytes before a header, which hold its length.
const PREFIX_BYTES: usize = 4;

/// Reads frames one after the other. After a refusal the rest of the body cannot be read.
pub(crate) struct Frames<R> {
    body: R,
    header: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(body: R) -> Frames<R> {
        Frames { body, header: Vec::new() }
    }

    /// Returns the next header, or `None` at the end of the body.
    pub(crate) async fn next_header(&mut self) -> Result<Option<BatchFile>, Refusal> {
        let mut prefix = [0; PREFIX_BYTES];
        let mut read = 0;
        while read < PREFIX_BYTES {
            match self
                .body
                .read(&mut prefix[read..])
                .await
                .map_err(|err| Refusal::from_body(&err))?
            {
                0 if read == 0 => return Ok(None),
                0 => return Err(ended_early()),
                count => read += count,
            }
        }
        let bytes = u32::from_be_bytes(prefix) as usize;
        if bytes > BATCH_HEADER_BYTES_MAX {
            let what = format!(
                "length of a header: expected at most {BATCH_HEADER_BYTES_MAX} bytes, found {bytes}"
            );
            return Err(Refusal::new(Code::BadRequest, what));
        }
        self.header.resize(bytes, 0);
        self.body.read_exact(&mut self.header).await.map_err(|err| not_read(&err))?;
        serde_json::from_slice(&self.header).map(Some).map_err(|err| {
            Refusal::new(
                Code::BadRequest,
                format!("header of a file: {err}; expected JSON with `path`, `size` and `sha256`"),
            )
        })
    }

    /// Fills `buffer` with the bytes of a file.
    pub(crate) async fn fill(&mut self, buffer: &mut Buffer) -> Result<(), Refusal> {
        while !buffer.is_full() {
            let count = self.body.read(buffer.unfilled()).await;
            match count.map_err(|err| Refusal::from_body(&err))? {
                0 => return Err(ended_early()),
                count => buffer.advance(count),
            }
        }
        Ok(())
    }

    /// Drops the bytes of a file that is not stored.
    pub(crate) async fn skip(&mut self, bytes: u64) -> Result<(), Refusal> {
        let mut file = (&mut self.body).take(bytes);
        let skipped = tokio::io::copy(&mut file, &mut tokio::io::sink()).await;
        if skipped.map_err(|err| Refusal::from_body(&err))? < bytes {
            return Err(ended_early());
        }
        Ok(())
    }
}

fn not_read(err: &io::Error) -> Refusal {
    if err.kind() == io::ErrorKind::UnexpectedEof { ended_early() } else { Refusal::from_body(err) }
}

fn ended_early() -> Refusal {
    let what = "the request body ended within a file; files without an answer were not stored";
    Refusal::new(Code::Incomplete, what)
}

#[cfg(test)]
mod tests {
    use s3up_core::Sha256Digest;

    use super::*;

    fn frame(path: &str, content: &[u8]) -> Vec<u8> {
        let file = BatchFile {
            path: path.to_owned(),
            size: content.len() as u64,
            sha256: Sha256Digest::of(content),
            mtime_ns: None,
            mode: None,
            hot: false,
        };
        [file.to_frame_head(), content.to_vec()].concat()
    }

    /// Returns the paths of the frames, and the code of the refusal that ends them.
    async fn read(body: &[u8]) -> (Vec<String>, Option<Code>) {
        let mut frames = Frames::new(body);
        let mut paths = Vec::new();
        loop {
            let header = match frames.next_header().await {
                Ok(Some(header)) => header,
                Ok(None) => return (paths, None),
                Err(refusal) => return (paths, Some(refusal.code)),
            };
            if let Err(refusal) = frames.skip(header.size).await {
                return (paths, Some(refusal.code));
            }
            paths.push(header.path);
        }
    }

    #[tokio::test]
    async fn a_body_that_is_cut_anywhere_ends_with_a_refusal_after_its_whole_frames() {
        let (first, second) = (frame("a", b"one"), frame("b/c", b""));
        let body = [first.clone(), second].concat();
        for len in 0..=body.len() {
            let (paths, code) = read(&body[..len]).await;
            let whole = match len {
                _ if len == body.len() => (vec!["a".to_owned(), "b/c".to_owned()], None),
                _ if len == first.len() => (vec!["a".to_owned()], None),
                _ if len > first.len() => (vec!["a".to_owned()], Some(Code::Incomplete)),
                0 => (vec![], None),
                _ => (vec![], Some(Code::Incomplete)),
            };
            assert_eq!((paths, code), whole, "{len}");
        }
    }

    #[tokio::test]
    async fn a_header_is_short_json_with_path_size_and_sha256() {
        let of = |header: &[u8]| [&(header.len() as u32).to_be_bytes(), header].concat();
        let long = (BATCH_HEADER_BYTES_MAX as u32 + 1).to_be_bytes().to_vec();
        let digest = Sha256Digest::of(b"");
        let negative = format!(r#"{{"path":"a","size":-1,"sha256":"{digest}"}}"#);
        let no_digest = br#"{"path":"a","size":0,"sha256":"abc"}"#;
        for body in [
            of(b""),
            of(b"{}"),
            of(b"[1]"),
            of(br#"{"path":"a","size":1}"#),
            of(no_digest),
            of(negative.as_bytes()),
            of(b"{\"path\":\"caf\xe9\"}"),
            long,
            vec![0xff; 100],
        ] {
            assert_eq!(read(&body).await, (vec![], Some(Code::BadRequest)), "{body:?}");
        }
    }
}

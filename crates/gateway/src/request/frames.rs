//! The frames of the body of `POST /batch`: for each file a header in JSON, with its length before
//! it, and the bytes of the file.

use std::io;

use s3up_core::wire::{BATCH_HEADER_BYTES_MAX, BatchFile};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::integers;

/// Number of bytes before a header, which hold its length.
const PREFIX_BYTES: usize = 4;

/// Reads frames one after the other. After an error the rest of the body cannot be read.
pub struct Frames<R> {
    body: R,
    header: Vec<u8>,
}

/// The reason why a body has no next frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("length of a header: expected at most {BATCH_HEADER_BYTES_MAX} bytes, found {found}")]
    HeaderTooLong { found: usize },
    #[error("header of a file: {0}; expected JSON with `path`, `size` and `sha256`")]
    Header(serde_json::Error),
    #[error("the request body ended within a file, and files without an answer were not stored")]
    EndedEarly,
    #[error(transparent)]
    Read(io::Error),
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(body: R) -> Frames<R> {
        Frames { body, header: Vec::new() }
    }

    /// Returns the next header, or `None` at the end of the body.
    pub async fn next_header(&mut self) -> Result<Option<BatchFile>, FrameError> {
        let mut prefix = [0; PREFIX_BYTES];
        let mut read = 0;
        while read < PREFIX_BYTES {
            match self.body.read(&mut prefix[read..]).await.map_err(FrameError::Read)? {
                0 if read == 0 => return Ok(None),
                0 => return Err(FrameError::EndedEarly),
                count => read += count,
            }
        }
        let found = u32::from_be_bytes(prefix) as usize;
        if found > BATCH_HEADER_BYTES_MAX {
            return Err(FrameError::HeaderTooLong { found });
        }
        self.header.resize(found, 0);
        self.body.read_exact(&mut self.header).await.map_err(not_read)?;
        integers::parse(&self.header).map(Some).map_err(FrameError::Header)
    }

    /// Reads some bytes of a file into `space`, and returns their number.
    pub async fn read(&mut self, space: &mut [u8]) -> Result<usize, FrameError> {
        match self.body.read(space).await.map_err(FrameError::Read)? {
            0 => Err(FrameError::EndedEarly),
            count => Ok(count),
        }
    }

    /// Drops the bytes of a file that is not stored.
    pub async fn skip(&mut self, bytes: u64) -> Result<(), FrameError> {
        let mut file = (&mut self.body).take(bytes);
        let skipped = tokio::io::copy(&mut file, &mut tokio::io::sink()).await;
        if skipped.map_err(FrameError::Read)? < bytes {
            return Err(FrameError::EndedEarly);
        }
        Ok(())
    }
}

fn not_read(err: io::Error) -> FrameError {
    if err.kind() == io::ErrorKind::UnexpectedEof {
        return FrameError::EndedEarly;
    }
    FrameError::Read(err)
}

#[cfg(test)]
mod tests {
    use s3up_core::{Code, Sha256Digest};

    use super::*;
    use crate::refusal::Refusal;

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
                Err(err) => return (paths, Some(Refusal::from(err).code)),
            };
            if let Err(err) = frames.skip(header.size).await {
                return (paths, Some(Refusal::from(err).code));
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
    async fn the_size_in_a_header_may_have_a_fraction_of_zeros() {
        let digest = Sha256Digest::of(b"abc");
        let header = format!(r#"{{"path":"a","size":3.0,"sha256":"{digest}"}}"#);
        let prefix = u32::try_from(header.len()).unwrap().to_be_bytes();
        let body = [&prefix, header.as_bytes(), b"abc"].concat();
        assert_eq!(read(&body).await, (vec!["a".to_owned()], None));
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

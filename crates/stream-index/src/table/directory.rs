//! The directory of an index: which stream it describes, and where its blocks are.

use s3up_core::Sha256Digest;

use crate::codec::{Decoder, Malformed, put_number, put_text};

/// The stream that an index describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamId {
    /// Length of the stream.
    pub bytes: u64,
    /// UUID and ctransid of the snapshot in it.
    pub uuid: [u8; 16],
    pub ctransid: u64,
    pub is_incremental: bool,
}

/// Form of a stored block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockForm {
    Zstd,
    /// One of a later version, such as an encrypted block.
    Unknown(u8),
}

impl BlockForm {
    const ZSTD: u8 = 1;

    fn number(self) -> u8 {
        match self {
            BlockForm::Zstd => BlockForm::ZSTD,
            BlockForm::Unknown(number) => number,
        }
    }

    fn of(number: u8) -> BlockForm {
        match number {
            BlockForm::ZSTD => BlockForm::Zstd,
            number => BlockForm::Unknown(number),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockFacts {
    pub first_key: Vec<u8>,
    pub offset: u64,
    /// Length in the file.
    pub stored_bytes: u64,
    /// Length of its content.
    pub bytes: u64,
    pub form: BlockForm,
    pub sha256: Sha256Digest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    pub stream: StreamId,
    pub blocks: Vec<BlockFacts>,
}

impl Directory {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_number(&mut bytes, self.stream.bytes);
        bytes.extend_from_slice(&self.stream.uuid);
        put_number(&mut bytes, self.stream.ctransid);
        bytes.push(u8::from(self.stream.is_incremental));
        put_number(&mut bytes, self.blocks.len() as u64);
        for block in &self.blocks {
            bytes.push(block.form.number());
            put_number(&mut bytes, block.offset);
            put_number(&mut bytes, block.stored_bytes);
            put_number(&mut bytes, block.bytes);
            bytes.extend_from_slice(&block.sha256.0);
            put_text(&mut bytes, &block.first_key);
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Directory, Malformed> {
        let mut from = Decoder(bytes);
        let stream_bytes = from.number()?;
        let uuid = from.bytes(16)?.try_into().map_err(|_| Malformed("a UUID"))?;
        let ctransid = from.number()?;
        let is_incremental = from.byte()? == 1;
        let stream = StreamId { bytes: stream_bytes, uuid, ctransid, is_incremental };
        let mut blocks = Vec::new();
        for _ in 0..from.number()? {
            let form = BlockForm::of(from.byte()?);
            let (offset, stored_bytes, bytes) = (from.number()?, from.number()?, from.number()?);
            let sha256 = from.bytes(32)?.try_into().map_err(|_| Malformed("a SHA-256"))?;
            let first_key = from.text()?.to_vec();
            let sha256 = Sha256Digest(sha256);
            blocks.push(BlockFacts { first_key, offset, stored_bytes, bytes, form, sha256 });
        }
        match from.is_empty() {
            true => Ok(Directory { stream, blocks }),
            false => Err(Malformed("the end of the directory")),
        }
    }
}

//! A range of a restored file and its place in a stream, as a record that sorts by this place.

use std::ops::Range;

use btrfs_stream_index::Malformed;
use btrfs_stream_index::chain::content::{Extent, Source};

use super::decode::DECODED_BYTES_MAX;

/// Number of a file of a restore, in the order of the walk.
pub type FileNumber = u64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub level: usize,
    /// The bytes of the stream that it needs.
    pub range: Range<u64>,
    pub file: FileNumber,
    pub offset: u64,
    pub length: u64,
    /// `None` if the bytes are those of the file.
    pub encoding: Option<Encoding>,
}

/// Compressed data: it decodes to `decoded_bytes`, of which the piece begins after `skip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    pub decoded_bytes: u64,
    pub skip: u64,
    pub compression: u32,
}

/// A field of a record, in the order of its bytes.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (field, rest) = bytes.split_first_chunk().ok_or(Malformed("a piece of a file"))?;
    *bytes = rest;
    Ok(*field)
}

impl Piece {
    pub fn of(extent: Extent, file: FileNumber) -> Result<Piece, Malformed> {
        let Extent { offset, length, source } = extent;
        match source {
            Source::Stream { level, start } => {
                let range = start..start.saturating_add(length);
                Ok(Piece { level, range, file, offset, length, encoding: None })
            }
            Source::Encoded { level, write, skip } => {
                let skip = write.skip.saturating_add(skip);
                if write.decoded_length > DECODED_BYTES_MAX
                    || write.data.end - write.data.start > DECODED_BYTES_MAX
                    || skip.saturating_add(length) > write.decoded_length
                {
                    return Err(Malformed("compressed data of at most 128 KiB"));
                }
                let (decoded_bytes, compression) = (write.decoded_length, write.compression);
                let encoding = Some(Encoding { decoded_bytes, skip, compression });
                Ok(Piece { level, range: write.data, file, offset, length, encoding })
            }
        }
    }

    /// Returns the key of its record: levels in order, then places in the stream.
    pub fn key(&self) -> Vec<u8> {
        let mut key = (self.level as u32).to_be_bytes().to_vec();
        for number in [self.range.start, self.file, self.offset] {
            key.extend(number.to_be_bytes());
        }
        key
    }

    pub fn value(&self) -> Vec<u8> {
        let mut value = self.range.end.to_le_bytes().to_vec();
        value.extend(self.length.to_le_bytes());
        if let Some(Encoding { decoded_bytes, skip, compression }) = &self.encoding {
            value.extend(decoded_bytes.to_le_bytes());
            value.extend(skip.to_le_bytes());
            value.extend(compression.to_le_bytes());
        }
        value
    }

    pub fn decode(mut key: &[u8], mut value: &[u8]) -> Result<Piece, Malformed> {
        let level = u32::from_be_bytes(take(&mut key)?) as usize;
        let start = u64::from_be_bytes(take(&mut key)?);
        let file = u64::from_be_bytes(take(&mut key)?);
        let offset = u64::from_be_bytes(take(&mut key)?);
        let range = start..u64::from_le_bytes(take(&mut value)?);
        let length = u64::from_le_bytes(take(&mut value)?);
        let encoding = match value.is_empty() {
            true => None,
            false => Some(Encoding {
                decoded_bytes: u64::from_le_bytes(take(&mut value)?),
                skip: u64::from_le_bytes(take(&mut value)?),
                compression: u32::from_le_bytes(take(&mut value)?),
            }),
        };
        Ok(Piece { level, range, file, offset, length, encoding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_survives_its_record_and_sorts_by_its_place() {
        let raw = |level, start, file| Piece {
            level,
            range: start..start + 10,
            file,
            offset: 7,
            length: 10,
            encoding: None,
        };
        let encoding = Encoding { decoded_bytes: 131_072, skip: 4096, compression: 5 };
        let pieces = [
            raw(0, 255, 9),
            raw(0, 256, 1),
            Piece { encoding: Some(encoding), length: 4096, ..raw(0, 256, 2) },
            raw(300, 0, 0),
        ];
        for piece in &pieces {
            assert_eq!(Piece::decode(&piece.key(), &piece.value()).as_ref(), Ok(piece));
        }
        assert!(pieces.windows(2).all(|pair| pair[0].key() < pair[1].key()));
        assert!(Piece::decode(b"", b"").is_err());
    }
}

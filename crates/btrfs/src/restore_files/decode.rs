//! Decompresses the data of an encoded write, as btrfs has it on disk.
//!
//! The data may be followed by zeros up to the end of its last sector. If it decodes to less than
//! the kernel says, the rest is zeros.

use std::io::Read;

/// The kernel compresses at most this many bytes at a time (BTRFS_MAX_UNCOMPRESSED).
pub const DECODED_BYTES_MAX: u64 = 128 << 10;
/// Length of a sector with the first of the numbers that the kernel has for LZO.
const LZO_SECTOR_BYTES: usize = 4 << 10;
/// Length of the lengths in LZO data.
const LZO_LENGTH_BYTES: usize = 4;

/// The reason why data is not what its method makes.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("decompress: expected a known method, found number {0}")]
    Method(u32),
    #[error("decompress with {method}")]
    Data { method: &'static str, source: std::io::Error },
    #[error("decompress with LZO: expected {0}, found other bytes")]
    Lzo(&'static str),
}

/// Decodes to exactly `decoded_bytes`. The numbers of the methods are those of the kernel
/// (BTRFS_ENCODED_IO_COMPRESSION_*).
pub fn decode(
    compression: u32,
    stored: &[u8],
    decoded_bytes: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoded = Vec::with_capacity(decoded_bytes);
    match compression {
        0 => decoded.extend_from_slice(&stored[..stored.len().min(decoded_bytes)]),
        1 => {
            let fail = |source| DecodeError::Data { method: "zlib", source };
            let decoder = flate2::read::ZlibDecoder::new(stored);
            decoder.take(decoded_bytes as u64).read_to_end(&mut decoded).map_err(fail)?;
        }
        2 => {
            let fail = |source| DecodeError::Data { method: "zstd", source };
            let decoder = zstd::stream::read::Decoder::with_buffer(stored).map_err(fail)?;
            let decoder = decoder.single_frame();
            decoder.take(decoded_bytes as u64).read_to_end(&mut decoded).map_err(fail)?;
        }
        3..=7 => {
            decode_lzo(LZO_SECTOR_BYTES << (compression - 3), stored, decoded_bytes, &mut decoded)?
        }
        other => return Err(DecodeError::Method(other)),
    }
    decoded.resize(decoded_bytes, 0);
    Ok(decoded)
}

/// Decodes the length of all data, then segments of at most one sector, each after its length. A
/// length is never cut by the end of a sector: zeros are in its place.
fn decode_lzo(
    sector_bytes: usize,
    stored: &[u8],
    decoded_bytes: usize,
    decoded: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let length_at = |at: usize| {
        let bytes = stored.get(at..at + LZO_LENGTH_BYTES).and_then(|it| it.try_into().ok());
        let bytes = bytes.ok_or(DecodeError::Lzo("a length"))?;
        Ok::<_, DecodeError>(u32::from_le_bytes(bytes) as usize)
    };
    let end = length_at(0)?;
    if end > stored.len() {
        return Err(DecodeError::Lzo("all of the data"));
    }
    let mut at = LZO_LENGTH_BYTES;
    let mut segment = vec![0; sector_bytes];
    while at < end && decoded.len() < decoded_bytes {
        let in_sector = sector_bytes - at % sector_bytes;
        if in_sector < LZO_LENGTH_BYTES {
            at += in_sector;
            continue;
        }
        let length = length_at(at)?;
        at += LZO_LENGTH_BYTES;
        let bytes = stored.get(at..at + length).ok_or(DecodeError::Lzo("a whole segment"))?;
        at += length;
        let found = lzokay::decompress::decompress(bytes, &mut segment);
        let found = found.map_err(|_| DecodeError::Lzo("a segment"))?;
        let left = decoded_bytes - decoded.len();
        decoded.extend_from_slice(&segment[..found.min(left)]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn text(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|n| b"the quick brown fox "[n % 20] ^ (n / 700) as u8).collect()
    }

    /// Compresses as btrfs does: sector by sector.
    fn lzo(sector_bytes: usize, content: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 4];
        for sector in content.chunks(sector_bytes) {
            let in_sector = sector_bytes - out.len() % sector_bytes;
            if in_sector < 4 {
                out.resize(out.len() + in_sector, 0);
            }
            let segment = lzokay::compress::compress(sector).unwrap();
            out.extend((segment.len() as u32).to_le_bytes());
            out.extend(segment);
        }
        let length = out.len() as u32;
        out[..4].copy_from_slice(&length.to_le_bytes());
        out
    }

    fn padded(mut stored: Vec<u8>) -> Vec<u8> {
        stored.resize(stored.len().next_multiple_of(4096), 0);
        stored
    }

    #[test]
    fn each_method_decodes_to_the_wanted_length() {
        let content = text(100_000);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&content).unwrap();
        let stored = [
            (0, content.clone()),
            (1, zlib.finish().unwrap()),
            (2, zstd::bulk::compress(&content, 3).unwrap()),
            (3, lzo(4096, &content)),
            (4, lzo(8192, &content)),
            (7, lzo(65_536, &content)),
        ];
        for (method, stored) in stored {
            for stored in [padded(stored.clone()), stored] {
                let whole = decode(method, &stored, content.len()).unwrap();
                assert!(whole == content, "{method}");
                if method != 0 {
                    let longer = decode(method, &stored, content.len() + 100);
                    assert!(longer.unwrap()[content.len()..] == [0; 100], "{method}");
                }
                let start = decode(method, &stored, 5000).unwrap();
                assert!(start == content[..5000], "{method}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(stored: Vec<u8>, method in 0..10_u32) {
            if let Ok(decoded) = decode(method, &stored, 9000) {
                proptest::prop_assert_eq!(decoded.len(), 9000);
            }
        }

        #[test]
        fn any_lzo_segments_are_decoded_or_refused(segment: Vec<u8>) {
            let mut stored = (segment.len() as u32 + 8).to_le_bytes().to_vec();
            stored.extend((segment.len() as u32).to_le_bytes());
            stored.extend(&segment);
            if let Ok(decoded) = decode(3, &stored, 9000) {
                proptest::prop_assert_eq!(decoded.len(), 9000);
            }
        }
    }
}

//! Splits the body of a command into its head and its file data.
//!
//! The head consists of all attributes but the file data. A body may arrive in
//! pieces: [`scan_head`] says how many bytes it needs to continue. Its result
//! depends only on the bytes, not on how they were cut into pieces.

use std::ops::Range;

use crate::attribute::Attribute;
use crate::error::Defect;
use crate::protocol::Protocol;

/// Maximum length of the attributes of a command without its file data. They are
/// buffered until the checksum of the command is known. The longest that the
/// kernel writes set an extended attribute: a value of at most 64 KiB, a name of
/// 255 bytes and a path of 4 KiB.
pub const HEAD_BYTES_MAX: u64 = 128 * 1024;

/// An attribute starts with its type and its length. File data in protocol 2 has
/// only a type.
const TYPE_BYTES: usize = 2;
const LENGTH_BYTES: usize = 2;

/// The end of a command's head, and the attributes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandHead {
    /// Length of the attributes before the file data.
    pub bytes: usize,
    /// Offset of the file data in the body. The data extends to the end.
    pub data_start: Option<usize>,
    /// The [`Attribute::bit`]s of all attributes, including the file data.
    pub present: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadScan {
    /// This number of bytes of the body is needed to continue.
    NeedsBytes(usize),
    Done(Result<CommandHead, Defect>),
}

/// Scans a body of `body_bytes` bytes that begins with `body`.
pub(crate) fn scan_head(body: &[u8], body_bytes: usize, protocol: Protocol) -> HeadScan {
    match scan(body, body_bytes, protocol) {
        Ok(head) => HeadScan::Done(Ok(head)),
        Err(ScanStop::NeedsBytes(bytes)) => HeadScan::NeedsBytes(bytes),
        Err(ScanStop::Defect(defect)) => HeadScan::Done(Err(defect)),
    }
}

/// Returns the number and the value of each attribute in a head.
pub(crate) fn attributes(head: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    attribute_ranges(head).map(|(number, range)| (number, &head[range]))
}

/// Returns the number of each attribute and the range of its value. Ends at the
/// first attribute that is not whole.
pub(crate) fn attribute_ranges(head: &[u8]) -> impl Iterator<Item = (u16, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (number, after) = number_at(head.get(at..)?)?;
        let (bytes, _) = number_at(after)?;
        let start = at + TYPE_BYTES + LENGTH_BYTES;
        let range = start..start + usize::from(bytes);
        at = range.end;
        (at <= head.len()).then_some((number, range))
    })
}

enum ScanStop {
    NeedsBytes(usize),
    Defect(Defect),
}

/// Each attribute may occur once, so the loop has at most 31 rounds.
fn scan(body: &[u8], body_bytes: usize, protocol: Protocol) -> Result<CommandHead, ScanStop> {
    let mut at = 0;
    let mut present = 0;
    while at < body_bytes {
        let left = body_bytes - at;
        let number = read(body, at, left)?;
        let attribute = Attribute::from_number(number, protocol)
            .ok_or(ScanStop::Defect(Defect::UnknownAttribute { number, protocol }))?;
        if present & attribute.bit() != 0 {
            return Err(ScanStop::Defect(Defect::DuplicateAttribute(attribute)));
        }
        present |= attribute.bit();
        let data_start = at + TYPE_BYTES;
        if attribute == Attribute::Data && protocol == Protocol::V2 {
            return Ok(CommandHead { bytes: at, data_start: Some(data_start), present });
        }
        let bytes = usize::from(read(body, data_start, left - TYPE_BYTES)?);
        let value_start = data_start + LENGTH_BYTES;
        let value_end = value_start + bytes;
        if value_end > body_bytes {
            return Err(ScanStop::Defect(Defect::AttributeTruncated { left: left as u64 }));
        }
        if attribute == Attribute::Data {
            if value_end < body_bytes {
                return Err(ScanStop::Defect(Defect::DataNotLast));
            }
            return Ok(CommandHead { bytes: at, data_start: Some(value_start), present });
        }
        if value_end as u64 > HEAD_BYTES_MAX {
            let (bytes, limit) = (value_end as u64, HEAD_BYTES_MAX);
            return Err(ScanStop::Defect(Defect::HeadTooLong { bytes, limit }));
        }
        at = value_end;
    }
    match body.len() < body_bytes {
        true => Err(ScanStop::NeedsBytes(body_bytes)),
        false => Ok(CommandHead { bytes: at, data_start: None, present }),
    }
}

/// Reads the number at `at`. The body has `left` bytes from there on.
fn read(body: &[u8], at: usize, left: usize) -> Result<u16, ScanStop> {
    if left < TYPE_BYTES {
        return Err(ScanStop::Defect(Defect::AttributeTruncated { left: left as u64 }));
    }
    let found = body.get(at..).and_then(number_at);
    found.map(|(number, _)| number).ok_or(ScanStop::NeedsBytes(at + TYPE_BYTES))
}

fn number_at(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_le_bytes(*number), rest))
}

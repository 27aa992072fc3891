//! The operations of a stream on the content of one node.

use std::ops::Range;

use crate::codec::{Decoder, Malformed, put_number, put_signed, put_text};
use crate::record::NodeId;

/// One operation, and where its command begins in the stream. Operations apply in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub at: u64,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The bytes are in the stream as they are.
    Write {
        offset: u64,
        data: Range<u64>,
    },
    /// The bytes are in the stream in compressed form.
    EncodedWrite(EncodedWrite),
    Clone {
        offset: u64,
        length: u64,
        source: CloneSource,
        source_offset: u64,
    },
    Truncate {
        length: u64,
    },
    /// The range reads as zeros; the length of the file stays.
    Hole {
        offset: u64,
        length: u64,
    },
    SetXattr {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    RemoveXattr {
        name: Vec<u8>,
    },
}

/// Compressed data of protocol 2. The data decodes to `decoded_length` bytes, of which the file
/// gets `length` from `skip` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedWrite {
    pub offset: u64,
    pub length: u64,
    pub data: Range<u64>,
    pub decoded_length: u64,
    pub skip: u64,
    /// Number of the method in the kernel: 0 none, 1 zlib, 2 zstd, 3 to 7 LZO with sectors of 4 to 64 KiB.
    pub compression: u32,
}

/// The file that a clone takes its bytes from, as it is when the clone is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloneSource {
    /// A file that the same stream creates.
    Node(NodeId),
    /// The file that the parent has at this path, with the changes of the stream so far.
    Changed { path: Vec<u8> },
    /// A name in a directory of the same stream, which keeps its meaning to the end.
    Name { directory: NodeId, name: Vec<u8> },
    /// A path in the parent.
    Parent { path: Vec<u8> },
}

/// Numbers that those of the next operation are stored relative to, so that they stay small.
#[derive(Default)]
struct Context {
    at: u64,
    file: u64,
    data: u64,
}

impl Context {
    fn relative(value: u64, to: u64) -> i64 {
        value.wrapping_sub(to) as i64
    }
}

/// Encodes operations. Each call starts afresh, so that a group is read alone.
pub fn encode(operations: &[Operation]) -> Vec<u8> {
    let (mut bytes, mut context) = (Vec::new(), Context::default());
    for operation in operations {
        put(operation, &mut bytes, &mut context);
    }
    bytes
}

fn put(operation: &Operation, bytes: &mut Vec<u8>, context: &mut Context) {
    let tag = match &operation.change {
        Change::Write { .. } => 1,
        Change::EncodedWrite(_) => 2,
        Change::Clone { .. } => 3,
        Change::Truncate { .. } => 4,
        Change::Hole { .. } => 5,
        Change::SetXattr { .. } => 6,
        Change::RemoveXattr { .. } => 7,
    };
    bytes.push(tag);
    put_signed(bytes, Context::relative(operation.at, context.at));
    context.at = operation.at;
    let put_offset = |bytes: &mut Vec<u8>, context: &mut Context, offset: u64, length: u64| {
        put_signed(bytes, Context::relative(offset, context.file));
        put_number(bytes, length);
        context.file = offset.wrapping_add(length);
    };
    match &operation.change {
        Change::Write { offset, data } => {
            put_offset(bytes, context, *offset, data.end - data.start);
            put_number(bytes, data.start - operation.at);
            context.at = data.end;
        }
        Change::EncodedWrite(write) => {
            put_offset(bytes, context, write.offset, write.length);
            put_number(bytes, write.data.start - operation.at);
            put_number(bytes, write.data.end - write.data.start);
            put_number(bytes, write.decoded_length);
            put_number(bytes, write.skip);
            put_number(bytes, write.compression.into());
            context.at = write.data.end;
        }
        Change::Clone { offset, length, source, source_offset } => {
            put_offset(bytes, context, *offset, *length);
            put_signed(bytes, Context::relative(*source_offset, context.data));
            context.data = source_offset.wrapping_add(*length);
            match source {
                CloneSource::Node(node) => {
                    bytes.push(0);
                    put_number(bytes, (*node).into());
                }
                CloneSource::Name { directory, name } => {
                    bytes.push(1);
                    put_number(bytes, (*directory).into());
                    put_text(bytes, name);
                }
                CloneSource::Parent { path } => {
                    bytes.push(2);
                    put_text(bytes, path);
                }
                CloneSource::Changed { path } => {
                    bytes.push(3);
                    put_text(bytes, path);
                }
            }
        }
        Change::Truncate { length } => put_number(bytes, *length),
        Change::Hole { offset, length } => put_offset(bytes, context, *offset, *length),
        Change::SetXattr { name, value } => {
            put_text(bytes, name);
            put_text(bytes, value);
        }
        Change::RemoveXattr { name } => put_text(bytes, name),
    }
}

/// Decodes the operations of one group.
pub fn decode(value: &[u8]) -> Result<Vec<Operation>, Malformed> {
    let (mut from, mut context) = (Decoder(value), Context::default());
    let mut operations = Vec::new();
    while !from.is_empty() {
        operations.push(take(&mut from, &mut context)?);
    }
    Ok(operations)
}

fn take(from: &mut Decoder<'_>, context: &mut Context) -> Result<Operation, Malformed> {
    let tag = from.byte()?;
    let at = context.at.wrapping_add(from.signed()? as u64);
    context.at = at;
    let take_offset = |from: &mut Decoder<'_>, context: &mut Context| {
        let offset = context.file.wrapping_add(from.signed()? as u64);
        let length = from.number()?;
        context.file = offset.wrapping_add(length);
        offset.checked_add(length).ok_or(Malformed("a range of a file"))?;
        Ok::<_, Malformed>((offset, length))
    };
    let take_data = |from: &mut Decoder<'_>, length: Option<u64>| {
        let start = at.checked_add(from.number()?).ok_or(Malformed("a range of the stream"))?;
        let length = length.map_or_else(|| from.number(), Ok)?;
        let end = start.checked_add(length).ok_or(Malformed("a range of the stream"))?;
        Ok::<_, Malformed>(start..end)
    };
    let change = match tag {
        1 => {
            let (offset, length) = take_offset(from, context)?;
            let data = take_data(from, Some(length))?;
            context.at = data.end;
            Change::Write { offset, data }
        }
        2 => {
            let (offset, length) = take_offset(from, context)?;
            let data = take_data(from, None)?;
            context.at = data.end;
            let (decoded_length, skip) = (from.number()?, from.number()?);
            let compression = from.number_u32()?;
            Change::EncodedWrite(EncodedWrite {
                offset,
                length,
                data,
                decoded_length,
                skip,
                compression,
            })
        }
        3 => {
            let (offset, length) = take_offset(from, context)?;
            let source_offset = context.data.wrapping_add(from.signed()? as u64);
            context.data = source_offset.wrapping_add(length);
            let source = match from.byte()? {
                0 => CloneSource::Node(from.number_u32()?),
                1 => {
                    CloneSource::Name { directory: from.number_u32()?, name: from.text()?.to_vec() }
                }
                2 => CloneSource::Parent { path: from.text()?.to_vec() },
                3 => CloneSource::Changed { path: from.text()?.to_vec() },
                _ => return Err(Malformed("a known source of a clone")),
            };
            source_offset.checked_add(length).ok_or(Malformed("a range of a file"))?;
            Change::Clone { offset, length, source, source_offset }
        }
        4 => Change::Truncate { length: from.number()? },
        5 => {
            let (offset, length) = take_offset(from, context)?;
            Change::Hole { offset, length }
        }
        6 => Change::SetXattr { name: from.text()?.to_vec(), value: from.text()?.to_vec() },
        7 => Change::RemoveXattr { name: from.text()?.to_vec() },
        _ => return Err(Malformed("a known operation")),
    };
    Ok(Operation { at, change })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_survive_a_round_trip() {
        let change = [
            Change::Write { offset: 0, data: 100..49_252 },
            Change::Write { offset: 49_152, data: 49_300..98_452 },
            Change::Truncate { length: 98_000 },
            Change::EncodedWrite(EncodedWrite {
                offset: 4096,
                length: 8192,
                data: 99_100..99_500,
                decoded_length: 131_072,
                skip: 12_288,
                compression: 2,
            }),
            Change::Clone {
                offset: 1 << 40,
                length: 4096,
                source: CloneSource::Name { directory: 7, name: b"\xff".to_vec() },
                source_offset: 8192,
            },
            Change::Clone {
                offset: 0,
                length: 4096,
                source: CloneSource::Parent { path: b"a/b".to_vec() },
                source_offset: 0,
            },
            Change::Clone { offset: 3, length: 1, source: CloneSource::Node(9), source_offset: 5 },
            Change::Clone {
                offset: 3,
                length: 1,
                source: CloneSource::Changed { path: b"c".to_vec() },
                source_offset: 5,
            },
            Change::Hole { offset: 1, length: 2 },
            Change::SetXattr { name: b"user.x".to_vec(), value: vec![0, 1] },
            Change::RemoveXattr { name: b"user.y".to_vec() },
        ];
        let mut at = 0;
        let operation = |change: Change| {
            let operation = Operation { at, change };
            at = match &operation.change {
                Change::Write { data, .. } => data.end,
                Change::EncodedWrite(write) => write.data.end,
                Change::Clone { .. }
                | Change::Truncate { .. }
                | Change::Hole { .. }
                | Change::SetXattr { .. }
                | Change::RemoveXattr { .. } => at + 20,
            };
            operation
        };
        let operations: Vec<_> = change.into_iter().map(operation).collect();
        assert_eq!(decode(&encode(&operations)), Ok(operations));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            if let Ok(operations) = decode(&bytes) {
                proptest::prop_assert!(operations.len() <= bytes.len());
            }
        }
    }
}

//! Splits the body of a command into its head, the attributes that are looked
//! at, and the file data that goes by.
//!
//! A body may arrive in pieces: [`split`] says how much of it must be there
//! before it can go on. What it finds depends on the bytes alone, not on how
//! they were cut.

use std::ops::Range;

use crate::{Attribute, Protocol, Wrong};

/// How long the attributes of a command may be, all but the file data: they are
/// kept until the checksum of the command is known. The longest the kernel
/// writes set an extended attribute: a value of at most 64 KiB, a name of 255
/// bytes, a path of 4 KiB.
pub const HEAD_BYTES_MAX: u64 = 128 * 1024;

/// Type and length; file data in protocol 2 has a type only.
const TYPE_BYTES: usize = 2;
const LENGTH_BYTES: usize = 2;

/// Where the head of a command ends, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the attributes before the file data.
    pub bytes: usize,
    /// Where the file data starts in the body; it reaches to the end.
    pub data_start: Option<usize>,
    /// The [`Attribute::bit`]s of what is there, file data included.
    pub present: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// So many bytes of the body must be there.
    Needs(usize),
    Done(Result<Head, Wrong>),
}

/// Splits a body of `body_bytes`, of which `body` is the beginning.
pub(crate) fn split(body: &[u8], body_bytes: usize, protocol: Protocol) -> Split {
    match walk(body, body_bytes, protocol) {
        Ok(head) => Split::Done(Ok(head)),
        Err(Stop::Needs(bytes)) => Split::Needs(bytes),
        Err(Stop::Wrong(wrong)) => Split::Done(Err(wrong)),
    }
}

/// The attributes of a head that was split off before.
pub(crate) fn attributes(head: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    attributes_at(head).map(|(number, place)| (number, &head[place]))
}

/// The number of each attribute, and the place of its value. Ends where nothing
/// more can be told apart.
pub(crate) fn attributes_at(head: &[u8]) -> impl Iterator<Item = (u16, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (number, after) = number_at(head.get(at..)?)?;
        let (bytes, _) = number_at(after)?;
        let start = at + TYPE_BYTES + LENGTH_BYTES;
        let place = start..start + usize::from(bytes);
        at = place.end;
        (at <= head.len()).then_some((number, place))
    })
}

enum Stop {
    Needs(usize),
    Wrong(Wrong),
}

/// Each attribute may be there once, so there are at most 31 rounds.
fn walk(body: &[u8], body_bytes: usize, protocol: Protocol) -> Result<Head, Stop> {
    let mut at = 0;
    let mut present = 0;
    while at < body_bytes {
        let left = body_bytes - at;
        let number = read(body, at, left)?;
        let attribute = Attribute::from_number(number, protocol)
            .ok_or(Stop::Wrong(Wrong::UnknownAttribute(number)))?;
        if present & attribute.bit() != 0 {
            return Err(Stop::Wrong(Wrong::AttributeTwice(attribute)));
        }
        present |= attribute.bit();
        let data_start = at + TYPE_BYTES;
        if attribute == Attribute::Data && protocol == Protocol::V2 {
            return Ok(Head { bytes: at, data_start: Some(data_start), present });
        }
        let bytes = usize::from(read(body, data_start, left - TYPE_BYTES)?);
        let value_start = data_start + LENGTH_BYTES;
        let value_end = value_start + bytes;
        if value_end > body_bytes {
            return Err(Stop::Wrong(Wrong::AttributeCut { left: left as u64 }));
        }
        if attribute == Attribute::Data {
            if value_end < body_bytes {
                return Err(Stop::Wrong(Wrong::DataNotLast));
            }
            return Ok(Head { bytes: at, data_start: Some(value_start), present });
        }
        if value_end as u64 > HEAD_BYTES_MAX {
            let (bytes, limit) = (value_end as u64, HEAD_BYTES_MAX);
            return Err(Stop::Wrong(Wrong::HeadTooLong { bytes, limit }));
        }
        at = value_end;
    }
    match body.len() < body_bytes {
        true => Err(Stop::Needs(body_bytes)),
        false => Ok(Head { bytes: at, data_start: None, present }),
    }
}

/// The number at `at`, where `left` bytes of the body are left.
fn read(body: &[u8], at: usize, left: usize) -> Result<u16, Stop> {
    if left < TYPE_BYTES {
        return Err(Stop::Wrong(Wrong::AttributeCut { left: left as u64 }));
    }
    let found = body.get(at..).and_then(number_at);
    found.map(|(number, _)| number).ok_or(Stop::Needs(at + TYPE_BYTES))
}

fn number_at(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_le_bytes(*number), rest))
}

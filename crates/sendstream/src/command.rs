//! One command of a stream, as the verifier hands it out.

use std::ops::Range;

use crate::attribute::{Attribute, ValueFormat};
use crate::command_head;
use crate::error::Defect;
use crate::kind::CommandKind;
use crate::path::{StreamPathRule, check_name, check_path, check_text};
use crate::protocol::Protocol;
use crate::summary::{Parent, Snapshot, Time, Times};
use crate::uuid::Uuid;

/// A command with a valid checksum and valid attributes. It borrows its
/// attributes, but has only the range of its file data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    pub kind: CommandKind,
    /// Byte range of the whole command in the stream, including its header.
    pub range: Range<u64>,
    /// Byte range of its file data in the stream. The data of an
    /// [`CommandKind::EncodedWrite`] is compressed.
    pub data: Option<Range<u64>>,
    pub(crate) head: &'a [u8],
}

impl<'a> Command<'a> {
    /// Returns all attributes except the file data, in the order of the stream.
    pub fn attributes(&self) -> impl Iterator<Item = (Attribute, &'a [u8])> {
        command_head::attributes(self.head).filter_map(|(number, value)| {
            // Numbers that this protocol lacks were refused by `scan_head`.
            Some((Attribute::from_number(number, Protocol::V2)?, value))
        })
    }

    pub fn bytes(&self, attribute: Attribute) -> Option<&'a [u8]> {
        self.attributes().find(|(each, _)| *each == attribute).map(|(_, value)| value)
    }

    /// Returns the value of an attribute of 8 or 4 bytes.
    pub fn number(&self, attribute: Attribute) -> Option<u64> {
        let value = self.bytes(attribute)?;
        let long = value.try_into().map(u64::from_le_bytes);
        long.ok().or_else(|| Some(u32::from_le_bytes(value.try_into().ok()?).into()))
    }

    pub fn uuid(&self, attribute: Attribute) -> Option<Uuid> {
        self.bytes(attribute)?.try_into().ok().map(Uuid)
    }

    pub fn time(&self, attribute: Attribute) -> Option<Time> {
        self.bytes(attribute)?.try_into().ok().map(Time::from_bytes)
    }

    /// Returns the path that the command applies to. It is empty for the root of
    /// the subvolume.
    pub fn path(&self) -> Option<&'a [u8]> {
        self.bytes(Attribute::Path)
    }

    /// Checks everything that a receiver relies on. `present` is the set of
    /// attributes of the command, as [`Attribute::bit`]s.
    pub(crate) fn check(&self, present: u32) -> Result<(), Defect> {
        for attribute in self.kind.required() {
            if present & attribute.bit() == 0 {
                return Err(Defect::MissingAttribute(*attribute));
            }
        }
        self.attributes().try_for_each(|(attribute, value)| self.check_value(attribute, value))
    }

    fn check_value(&self, attribute: Attribute, value: &[u8]) -> Result<(), Defect> {
        let checked = match attribute.format() {
            ValueFormat::Bytes(expected) if expected != value.len() => {
                return Err(Defect::WrongAttributeLength {
                    attribute,
                    bytes: value.len(),
                    expected,
                });
            }
            ValueFormat::Bytes(_) | ValueFormat::Free => Ok(()),
            ValueFormat::Text => check_text(value),
            ValueFormat::Path => self.check_path(attribute, value),
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        checked.map_err(|rule| Defect::InvalidPath { attribute, text: text(), rule })
    }

    fn check_path(&self, attribute: Attribute, path: &[u8]) -> Result<(), StreamPathRule> {
        if attribute == Attribute::Path && self.kind.is_first() {
            return check_name(path);
        }
        if attribute == Attribute::Path && self.kind.may_change_root() && path.is_empty() {
            return Ok(());
        }
        // A symlink may point anywhere; this crate does not follow it.
        if attribute == Attribute::PathLink && self.kind == CommandKind::Symlink {
            return check_text(path);
        }
        check_path(path)
    }

    /// Returns the times that the command sets on the root of the subvolume.
    pub(crate) fn root_times(&self) -> Option<Times> {
        if self.kind != CommandKind::Utimes || self.path() != Some(b"") {
            return None;
        }
        Some(Times {
            accessed: self.time(Attribute::Atime)?,
            modified: self.time(Attribute::Mtime)?,
        })
    }

    /// Returns the snapshot that the first command names, and `None` for any
    /// other command.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        if !self.kind.is_first() {
            return None;
        }
        let parent = || {
            let uuid = self.uuid(Attribute::CloneUuid)?;
            Some(Parent { uuid, ctransid: self.number(Attribute::CloneCtransid)? })
        };
        Some(Snapshot {
            name: self.path()?.to_vec(),
            uuid: self.uuid(Attribute::Uuid)?,
            ctransid: self.number(Attribute::Ctransid)?,
            parent: if self.kind == CommandKind::Snapshot { parent() } else { None },
        })
    }
}

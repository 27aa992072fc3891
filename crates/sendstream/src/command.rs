//! One command of a stream, as it is handed out.

use std::ops::Range;

use crate::attribute::Form;
use crate::path::{check_name, check_path, check_text};
use crate::{Attribute, Kind, Parent, PathRule, Snapshot, Time, Times, Uuid, Wrong, head};

/// A command whose checksum and form were found right. Its attributes are
/// borrowed; of its file data only the place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    pub kind: Kind,
    /// The bytes of the stream that it takes, from its header on.
    pub place: Range<u64>,
    /// The bytes of the stream that are its file data (compressed, in an
    /// [`Kind::EncodedWrite`]).
    pub data: Option<Range<u64>>,
    pub(crate) head: &'a [u8],
}

impl<'a> Command<'a> {
    /// All attributes but the file data, in the order of the stream.
    pub fn attributes(&self) -> impl Iterator<Item = (Attribute, &'a [u8])> {
        head::attributes(self.head).filter_map(|(number, value)| {
            // Which numbers the protocol has was checked when it was split.
            Some((Attribute::from_number(number, crate::Protocol::V2)?, value))
        })
    }

    pub fn bytes(&self, attribute: Attribute) -> Option<&'a [u8]> {
        self.attributes().find(|(each, _)| *each == attribute).map(|(_, value)| value)
    }

    /// An attribute of 8 or 4 bytes.
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

    /// What the command is about; empty for the root of the subvolume.
    pub fn path(&self) -> Option<&'a [u8]> {
        self.bytes(Attribute::Path)
    }

    /// Checks everything that a receiver relies on. `present` is the set of
    /// its attributes.
    pub(crate) fn check(&self, present: u32) -> Result<(), Wrong> {
        for attribute in self.kind.required() {
            if present & attribute.bit() == 0 {
                return Err(Wrong::AttributeMissing(*attribute));
            }
        }
        self.attributes().try_for_each(|(attribute, value)| self.check_value(attribute, value))
    }

    fn check_value(&self, attribute: Attribute, value: &[u8]) -> Result<(), Wrong> {
        let checked = match attribute.form() {
            Form::Bytes(expected) if expected != value.len() => {
                return Err(Wrong::AttributeLength { attribute, bytes: value.len(), expected });
            }
            Form::Bytes(_) | Form::Free => Ok(()),
            Form::Text => check_text(value),
            Form::Path => self.check_path(attribute, value),
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        checked.map_err(|rule| Wrong::Path { attribute, text: text(), rule })
    }

    fn check_path(&self, attribute: Attribute, path: &[u8]) -> Result<(), PathRule> {
        if attribute == Attribute::Path && self.kind.is_first() {
            return check_name(path);
        }
        if attribute == Attribute::Path && self.kind.may_change_root() && path.is_empty() {
            return Ok(());
        }
        // The target of a symlink may be anything; it is not followed here.
        if attribute == Attribute::PathLink && self.kind == Kind::Symlink {
            return check_text(path);
        }
        check_path(path)
    }

    /// What it says of the subvolume's own folder.
    pub(crate) fn root_times(&self) -> Option<Times> {
        if self.kind != Kind::Utimes || self.path() != Some(b"") {
            return None;
        }
        Some(Times {
            accessed: self.time(Attribute::Atime)?,
            modified: self.time(Attribute::Mtime)?,
        })
    }

    /// What the first command says; `None` of any other.
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
            parent: if self.kind == Kind::Snapshot { parent() } else { None },
        })
    }
}

//! The capabilities of a server, in one value: learned by probes and from answers.
//!
//! A condition is recorded for each call by itself: servers honour `If-None-Match`
//! on a PUT and ignore it on a completion, and some refuse even the condition that
//! holds. What a call does with its condition follows from this value
//! ([`ConditionHeaders`]), and so do the findings that a user sees (`findings`).
//!
//! Not here: the probes (`probes::conditions`, `probes::upload`), and which checksums are
//! verified while uploads run (`checksums`).

use std::sync::{Mutex, PoisonError};

use crate::objects::etag::{is_reported, unquoted};
use crate::overwrite::Overwrite;
use crate::settings::Profile;

/// Says if the bucket keeps the versions that are overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    Enabled,
    Off,
    /// The credentials have no right to ask, or the server does not know the call.
    Unknown,
}

/// The reaction of a server to the condition of one kind of call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// The server was not probed, or its answers show neither.
    #[default]
    Unknown,
    /// It refuses the write if the condition does not hold, and only then.
    Honoured,
    /// The same as `Honoured`, but the server takes an ETag only without its quotes.
    HonouredUnquoted,
    /// It refuses the write even if the condition holds.
    NeverHolds,
    /// It writes anyway: of two writers, the last one wins.
    Ignored,
    /// It answers that it does not implement the condition.
    Refused,
}

/// The reaction of a server to each condition that we send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-None-Match: *` on PutObject.
    pub put_if_none_match: Condition,
    /// `If-Match` on PutObject.
    pub put_if_match: Condition,
    /// `If-None-Match: *` on CompleteMultipartUpload.
    pub complete_if_none_match: Condition,
    /// `If-Match` on CompleteMultipartUpload.
    pub complete_if_match: Condition,
}

/// A call that can carry a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionalCall {
    Put,
    Complete,
}

/// The reaction of a server to a wrong checksum of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verified {
    /// It was not probed.
    #[default]
    Unknown,
    /// A body with a wrong checksum is refused.
    Yes,
    /// A body with a wrong checksum is stored.
    No,
    /// The header is refused, whatever its value.
    Refused,
}

/// The checksums of a body that the server verifies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verifications {
    pub crc64nvme: Verified,
    pub content_md5: Verified,
    /// The SHA-256 of the payload, which the signature covers.
    pub payload_sha256: Verified,
}

/// The property that HEAD returns for an object, beside the requested one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reported {
    /// The upload asked for nothing, or was not made.
    #[default]
    NotRequested,
    AsRequested(String),
    /// `None` means that HEAD returned none.
    Different {
        requested: String,
        found: Option<String>,
    },
}

/// The behaviour of a server for objects of an archive class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archive {
    /// No object of an archive class was examined.
    #[default]
    Unknown,
    /// Objects of the class cannot be read before a thaw.
    Archives,
    /// The server returns the class and serves the object at once.
    InNameOnly,
}

/// The order in which ListObjectsV2 returns keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListingOrder {
    #[default]
    Unknown,
    /// Sorted by their UTF-8 bytes, as in S3.
    Bytes,
    Other,
}

/// Everything that is known about a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub conditions: Conditions,
    pub verifications: Verifications,
    pub sse: Reported,
    pub storage_class: Reported,
    pub archive: Archive,
    /// `None` means that no answer to HEAD was seen.
    pub head_has_etag: Option<bool>,
    /// Maximum number of parts of an upload, if the server refused more.
    pub parts_max: Option<u32>,
    pub listing_order: ListingOrder,
    pub versioning: Option<Versioning>,
}

/// The headers of a conditional write, and what replaces them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConditionHeaders {
    pub if_none_match: Option<String>,
    pub if_match: Option<String>,
    /// The server is not known to enforce the condition, so HEAD is sent
    /// right before the write.
    pub checks_first: bool,
}

impl Condition {
    const ALL: [Condition; 6] = [
        Condition::Unknown,
        Condition::Honoured,
        Condition::HonouredUnquoted,
        Condition::NeverHolds,
        Condition::Ignored,
        Condition::Refused,
    ];

    /// Returns the name in probe objects and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Unknown => "unknown",
            Condition::Honoured => "honoured",
            Condition::HonouredUnquoted => "honoured-unquoted",
            Condition::NeverHolds => "never-holds",
            Condition::Ignored => "ignored",
            Condition::Refused => "not-implemented",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Condition> {
        Condition::ALL.into_iter().find(|condition| condition.as_str() == name)
    }

    /// Returns true if of two concurrent writers at most one succeeds.
    pub fn is_enforced(self) -> bool {
        matches!(self, Condition::Honoured | Condition::HonouredUnquoted)
    }

    /// Returns true if the server is known not to enforce the condition.
    pub fn is_broken(self) -> bool {
        matches!(self, Condition::NeverHolds | Condition::Ignored | Condition::Refused)
    }

    /// Returns true if the header is sent. A server that ignores it today may
    /// honour it after an update, and it does no harm.
    fn is_sent(self) -> bool {
        !matches!(self, Condition::NeverHolds | Condition::Refused)
    }

    /// Returns what is known after the server refused a condition that holds.
    pub(crate) fn after_false_refusal(self) -> Condition {
        match self {
            Condition::Unknown | Condition::Honoured => Condition::HonouredUnquoted,
            Condition::HonouredUnquoted
            | Condition::NeverHolds
            | Condition::Ignored
            | Condition::Refused => Condition::NeverHolds,
        }
    }
}

impl Conditions {
    const HONOURED: Conditions = Conditions {
        put_if_none_match: Condition::Honoured,
        put_if_match: Condition::Honoured,
        complete_if_none_match: Condition::Honoured,
        complete_if_match: Condition::Honoured,
    };

    pub(crate) fn of(self, call: ConditionalCall, overwrite: &Overwrite) -> Condition {
        let mut conditions = self;
        match overwrite {
            Overwrite::Allowed => Condition::Honoured,
            Overwrite::Never | Overwrite::Only { .. } => *conditions.slot(call, overwrite),
        }
    }

    fn slot(&mut self, call: ConditionalCall, overwrite: &Overwrite) -> &mut Condition {
        match (call, overwrite) {
            (ConditionalCall::Put, Overwrite::Only { .. }) => &mut self.put_if_match,
            (ConditionalCall::Put, Overwrite::Never | Overwrite::Allowed) => {
                &mut self.put_if_none_match
            }
            (ConditionalCall::Complete, Overwrite::Only { .. }) => &mut self.complete_if_match,
            (ConditionalCall::Complete, Overwrite::Never | Overwrite::Allowed) => {
                &mut self.complete_if_none_match
            }
        }
    }
}

impl ConditionHeaders {
    /// Returns the headers of a write to a server that treats conditions like this.
    pub(crate) fn of(overwrite: &Overwrite, condition: Condition) -> ConditionHeaders {
        let is_sent = condition.is_sent();
        match overwrite {
            Overwrite::Allowed => {
                ConditionHeaders { if_none_match: None, if_match: None, checks_first: false }
            }
            Overwrite::Never => ConditionHeaders {
                if_none_match: is_sent.then(|| "*".to_owned()),
                if_match: None,
                checks_first: !condition.is_enforced(),
            },
            Overwrite::Only { etag } if !is_reported(etag) => {
                ConditionHeaders { if_none_match: None, if_match: None, checks_first: true }
            }
            Overwrite::Only { etag } => {
                let etag = match condition {
                    Condition::HonouredUnquoted => unquoted(etag),
                    Condition::Unknown
                    | Condition::Honoured
                    | Condition::NeverHolds
                    | Condition::Ignored
                    | Condition::Refused => etag,
                };
                ConditionHeaders {
                    if_none_match: None,
                    if_match: is_sent.then(|| etag.to_owned()),
                    // The caller has just read the object that it replaces.
                    checks_first: condition.is_broken(),
                }
            }
        }
    }

    pub(crate) fn are_sent(&self) -> bool {
        self.if_none_match.is_some() || self.if_match.is_some()
    }
}

impl Capabilities {
    /// Returns what is known before the first call.
    pub(crate) fn of(profile: Profile) -> Capabilities {
        match profile {
            Profile::Aws => Capabilities {
                conditions: Conditions::HONOURED,
                verifications: Verifications {
                    crc64nvme: Verified::Yes,
                    content_md5: Verified::Yes,
                    payload_sha256: Verified::Yes,
                },
                ..Capabilities::default()
            },
            Profile::Generic => Capabilities::default(),
        }
    }
}

/// The capabilities as all clones of a store learn them.
#[derive(Debug)]
pub(crate) struct Learned(Mutex<Capabilities>);

impl Learned {
    pub(crate) fn of(profile: Profile) -> Learned {
        Learned(Mutex::new(Capabilities::of(profile)))
    }

    pub(crate) fn get(&self) -> Capabilities {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn condition(&self, call: ConditionalCall, overwrite: &Overwrite) -> Condition {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).conditions.of(call, overwrite)
    }

    /// Changes the value, and returns what the change returns.
    pub(crate) fn learn<T>(&self, change: impl FnOnce(&mut Capabilities) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn learn_condition(
        &self,
        call: ConditionalCall,
        overwrite: &Overwrite,
        condition: Condition,
    ) {
        self.learn(|known| *known.conditions.slot(call, overwrite) = condition);
    }
}

#[cfg(test)]
mod tests {
    use super::Condition::*;
    use super::*;

    fn only(etag: &str) -> Overwrite {
        Overwrite::Only { etag: etag.to_owned() }
    }

    #[test]
    fn the_headers_of_a_write_follow_from_what_the_server_does_with_them() {
        let substitute =
            crate::objects::etag::substitute(3, std::time::SystemTime::UNIX_EPOCH, None, None);
        #[rustfmt::skip]
        let cases = [
            // overwrite          condition         If-None-Match  If-Match       looks first
            (Overwrite::Allowed,  Ignored,          None,          None,          false),
            (Overwrite::Never,    Unknown,          Some("*"),     None,          true),
            (Overwrite::Never,    Honoured,         Some("*"),     None,          false),
            (Overwrite::Never,    Ignored,          Some("*"),     None,          true),
            (Overwrite::Never,    Refused,          None,          None,          true),
            (only("\"a\""),       Unknown,          None,          Some("\"a\""), false),
            (only("\"a\""),       Honoured,         None,          Some("\"a\""), false),
            (only("\"a\""),       HonouredUnquoted, None,          Some("a"),     false),
            (only("\"a\""),       NeverHolds,       None,          None,          true),
            (only("\"a\""),       Ignored,          None,          Some("\"a\""), true),
            (only("\"a\""),       Refused,          None,          None,          true),
            (only(&substitute),  Honoured,         None,          None,          true),
        ];
        for (overwrite, condition, none_match, match_, checks_first) in cases {
            let found = ConditionHeaders::of(&overwrite, condition);
            let want = ConditionHeaders {
                if_none_match: none_match.map(str::to_owned),
                if_match: match_.map(str::to_owned),
                checks_first,
            };
            assert_eq!(found, want, "{overwrite:?} {condition:?}");
        }
    }

    #[test]
    fn a_condition_is_learned_for_its_own_call_only() {
        let learned = Learned::of(Profile::Generic);
        learned.learn_condition(ConditionalCall::Complete, &Overwrite::Never, Ignored);
        assert_eq!(
            learned.get().conditions,
            Conditions { complete_if_none_match: Ignored, ..Conditions::default() }
        );
        assert_eq!(learned.condition(ConditionalCall::Put, &Overwrite::Never), Unknown);
    }

    #[test]
    fn a_false_refusal_leads_to_the_other_spelling_and_then_to_none() {
        #[rustfmt::skip]
        let cases = [
            (Unknown, HonouredUnquoted), (Honoured, HonouredUnquoted),
            (HonouredUnquoted, NeverHolds), (NeverHolds, NeverHolds),
        ];
        for (before, after) in cases {
            assert_eq!(before.after_false_refusal(), after, "{before:?}");
        }
    }
}

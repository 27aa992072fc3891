//! Conditional writes: conditions on the current object.
//!
//! They are checked under the same lock under which the write becomes visible, so
//! of two writers of a new key exactly one wins.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>

use s3s::dto::{ETagCondition, IfMatch, IfNoneMatch};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::behaviours::ConditionBehaviour;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: *`
    Present,
    /// `If-Match: "etag"`
    ETag(String),
}

/// The headers of a conditional write.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConditionHeaders {
    pub(crate) if_match: Option<IfMatch>,
    pub(crate) if_none_match: Option<IfNoneMatch>,
    /// True if the ETag of `If-Match` is in quotes.
    pub(crate) is_quoted: bool,
}

impl ConditionHeaders {
    /// Returns the condition that a server which treats them like this checks.
    pub(crate) fn precondition(self, conditions: ConditionBehaviour) -> S3Result<Precondition> {
        let ConditionHeaders { if_match, if_none_match, is_quoted } = self;
        match conditions {
            ConditionBehaviour::Ignored => Ok(Precondition::None),
            ConditionBehaviour::NotImplemented if if_match.is_some() || if_none_match.is_some() => {
                Err(not_implemented())
            }
            ConditionBehaviour::IfMatchNeverHolds if if_match.is_some() => Err(failed()),
            ConditionBehaviour::NotImplemented
            | ConditionBehaviour::IfMatchNeverHolds
            | ConditionBehaviour::Honoured => Precondition::parse(if_match, if_none_match),
            ConditionBehaviour::OnlyBareETag if if_none_match.is_some() => Ok(Precondition::None),
            ConditionBehaviour::BareETag | ConditionBehaviour::OnlyBareETag => {
                match Precondition::parse(if_match, if_none_match)? {
                    // An ETag is stored without quotes, so this one is never found.
                    Precondition::ETag(etag) if is_quoted => {
                        Ok(Precondition::ETag(format!("\"{etag}\"")))
                    }
                    other @ (Precondition::None
                    | Precondition::Absent
                    | Precondition::Present
                    | Precondition::ETag(_)) => Ok(other),
                }
            }
        }
    }
}

impl Precondition {
    pub(crate) fn parse(
        if_match: Option<IfMatch>,
        if_none_match: Option<IfNoneMatch>,
    ) -> S3Result<Precondition> {
        match (if_match, if_none_match) {
            (None, None) => Ok(Precondition::None),
            (None, Some(ETagCondition::Any)) => Ok(Precondition::Absent),
            (Some(ETagCondition::Any), None) => Ok(Precondition::Present),
            (Some(ETagCondition::ETag(etag)), None) => Ok(Precondition::ETag(etag.into_value())),
            (_, Some(_)) => Err(not_implemented()),
        }
    }

    /// Checks the ETag of the current object. A delete marker is no object.
    pub(crate) fn check(&self, etag: Option<&str>) -> S3Result<()> {
        let holds = match (self, etag) {
            (Precondition::None, _) => true,
            (Precondition::Absent, etag) => etag.is_none(),
            (Precondition::Present | Precondition::ETag(_), None) => {
                return Err(S3Error::new(S3ErrorCode::NoSuchKey));
            }
            (Precondition::Present, Some(_)) => true,
            (Precondition::ETag(wanted), Some(etag)) => wanted == etag,
        };
        if holds { Ok(()) } else { Err(failed()) }
    }
}

/// Returns the answer of S3 to `If-None-Match` with an ETag on a write.
fn not_implemented() -> S3Error {
    let message = "A header you provided implies functionality that is not implemented.";
    S3Error::with_message(S3ErrorCode::NotImplemented, message)
}

pub(crate) fn failed() -> S3Error {
    let message = "At least one of the pre-conditions you specified did not hold.";
    S3Error::with_message(S3ErrorCode::PreconditionFailed, message)
}

#[cfg(test)]
mod tests {
    use s3s::dto::ETag;

    use super::*;

    #[test]
    fn a_write_is_refused_unless_its_condition_holds() {
        use S3ErrorCode::{NoSuchKey, PreconditionFailed};
        let etag = |text: &str| Precondition::ETag(text.to_owned());
        #[rustfmt::skip]
        let cases = [
            // condition             current    refused with
            (Precondition::None,     None,      None),
            (Precondition::None,     Some("a"), None),
            (Precondition::Absent,   None,      None),
            (Precondition::Absent,   Some("a"), Some(PreconditionFailed)),
            (Precondition::Present,  None,      Some(NoSuchKey)),
            (Precondition::Present,  Some("a"), None),
            (etag("a"),              None,      Some(NoSuchKey)),
            (etag("a"),              Some("a"), None),
            (etag("a"),              Some("b"), Some(PreconditionFailed)),
        ];
        for (condition, current, want) in cases {
            let got = condition.check(current).err().map(|e| e.code().clone());
            assert_eq!(got, want, "{condition:?} {current:?}");
        }
    }

    #[test]
    fn each_kind_of_server_checks_its_own_condition() {
        let if_match = || Some(ETagCondition::ETag(ETag::Strong("a".to_owned())));
        let headers =
            |is_quoted| ConditionHeaders { if_match: if_match(), if_none_match: None, is_quoted };
        let new = || ConditionHeaders {
            if_none_match: Some(ETagCondition::Any),
            ..ConditionHeaders::default()
        };
        let etag = |text: &str| Some(Precondition::ETag(text.to_owned()));
        #[rustfmt::skip]
        let cases = [
            (ConditionBehaviour::Honoured,       headers(true),  etag("a")),
            (ConditionBehaviour::Honoured,       headers(false), etag("a")),
            (ConditionBehaviour::Honoured,       new(),          Some(Precondition::Absent)),
            (ConditionBehaviour::BareETag,       headers(true),  etag("\"a\"")),
            (ConditionBehaviour::BareETag,       headers(false), etag("a")),
            (ConditionBehaviour::BareETag,       new(),          Some(Precondition::Absent)),
            (ConditionBehaviour::OnlyBareETag,   headers(true),  etag("\"a\"")),
            (ConditionBehaviour::OnlyBareETag,   headers(false), etag("a")),
            (ConditionBehaviour::OnlyBareETag,   new(),          Some(Precondition::None)),
            (ConditionBehaviour::NotImplemented, headers(true),  None),
            (ConditionBehaviour::NotImplemented, new(),          None),
            (ConditionBehaviour::NotImplemented, ConditionHeaders::default(), Some(Precondition::None)),
            (ConditionBehaviour::IfMatchNeverHolds, headers(true),  None),
            (ConditionBehaviour::IfMatchNeverHolds, new(),          Some(Precondition::Absent)),
            (ConditionBehaviour::Ignored,        headers(true),  Some(Precondition::None)),
            (ConditionBehaviour::Ignored,        new(),          Some(Precondition::None)),
        ];
        for (conditions, headers, want) in cases {
            let got = headers.clone().precondition(conditions).ok();
            assert_eq!(got, want, "{conditions:?} {headers:?}");
        }
    }

    #[test]
    fn a_condition_that_s3_does_not_support_on_writes_is_refused() {
        let etag = || ETagCondition::ETag(ETag::Strong("a".to_owned()));

        let err = Precondition::parse(None, Some(etag())).unwrap_err();

        assert_eq!(*err.code(), S3ErrorCode::NotImplemented);
        assert!(Precondition::parse(Some(etag()), Some(ETagCondition::Any)).is_err());
    }
}

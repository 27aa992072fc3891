//! The archive state of an object, and what a thaw has to do about it.
//!
//! Pure; the time is a parameter. S3 keeps a copy of a thawed object for a number
//! of days. A request while the copy exists moves its expiry, also to an earlier
//! day, so we only request what makes it later.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html>

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use s3up_core::storage_class::{StorageClass, is_archive_class};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Says if an object can be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveState {
    /// Its storage class allows reading at once.
    NotArchived,
    Archived,
    /// A thaw was requested, and the copy is not there yet.
    InProgress,
    /// A copy can be read until then.
    Ready {
        expires_at: SystemTime,
    },
}

/// Speed at which S3 thaws an object; a faster one is more expensive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Takes minutes. S3 does not offer it for `DEEP_ARCHIVE`.
    Expedited,
    /// Takes hours.
    Standard,
    /// Takes half a day to two days.
    Bulk,
}

/// The state of a thaw as S3 reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestoreStatus {
    InProgress,
    Done { expires_at: SystemTime },
}

/// The effect of a thaw on one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThawAction {
    Nothing,
    /// Request a copy.
    Request,
    /// Request that the copy is kept longer.
    Extend,
}

impl Tier {
    /// Parses the name that S3 uses.
    pub fn parse(text: &str) -> Option<Tier> {
        match text {
            "Expedited" => Some(Tier::Expedited),
            "Standard" => Some(Tier::Standard),
            "Bulk" => Some(Tier::Bulk),
            _ => None,
        }
    }

    /// Returns the name that S3 uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Expedited => "Expedited",
            Tier::Standard => "Standard",
            Tier::Bulk => "Bulk",
        }
    }
}

impl ArchiveState {
    pub(crate) fn of(is_archived: bool, restore: Option<RestoreStatus>, now: SystemTime) -> Self {
        match restore {
            Some(RestoreStatus::InProgress) => ArchiveState::InProgress,
            Some(RestoreStatus::Done { expires_at }) if now < expires_at => {
                ArchiveState::Ready { expires_at }
            }
            Some(RestoreStatus::Done { .. }) | None if is_archived => ArchiveState::Archived,
            Some(RestoreStatus::Done { .. }) | None => ArchiveState::NotArchived,
        }
    }

    pub(crate) fn thaw_action(self, days: u32, now: SystemTime) -> ThawAction {
        match self {
            ArchiveState::NotArchived | ArchiveState::InProgress => ThawAction::Nothing,
            ArchiveState::Archived => ThawAction::Request,
            ArchiveState::Ready { expires_at } if now + DAY * days > expires_at => {
                ThawAction::Extend
            }
            ArchiveState::Ready { .. } => ThawAction::Nothing,
        }
    }
}

/// Returns why S3 cannot thaw an object of this class with this tier.
pub(crate) fn unsupported_tier(class: Option<&str>, tier: Tier) -> Option<String> {
    let class = StorageClass::find(class?)?;
    if tier != Tier::Expedited || class.thaw?.has_expedited {
        return None;
    }
    let name = class.name;
    Some(format!("{name} does not offer Expedited; use Standard (hours) or Bulk (two days)"))
}

/// Returns true if a listing does not determine the state of an object, so that
/// HEAD has to. Some servers never report thaws in listings, and no listing reports
/// the archive tiers of `INTELLIGENT_TIERING`. A server that reports one thaw in a
/// listing reports all.
pub(crate) fn needs_head(
    class: Option<&str>,
    restore: Option<RestoreStatus>,
    listing_reports_thaws: bool,
) -> bool {
    let is_unknown = is_archive_class(class) && restore.is_none() && !listing_reports_thaws;
    is_unknown || class == Some("INTELLIGENT_TIERING")
}

/// Parses `x-amz-restore`, for example `ongoing-request="false", expiry-date="Fri,
/// 21 Dec 2012 00:00:00 GMT"`.
pub(crate) fn parse_restore(header: &str) -> Option<RestoreStatus> {
    if header.contains(r#"ongoing-request="true""#) {
        return Some(RestoreStatus::InProgress);
    }
    let (_, date) = header.split_once(r#"expiry-date=""#)?;
    let (date, _) = date.split_once('"')?;
    let expires_at = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    Some(RestoreStatus::Done { expires_at: expires_at.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLACIER: Option<&str> = Some("GLACIER");
    const DEEP: Option<&str> = Some("DEEP_ARCHIVE");

    fn day(day: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * day
    }

    fn done(expires: u32) -> Option<RestoreStatus> {
        Some(RestoreStatus::Done { expires_at: day(expires) })
    }

    #[test]
    fn the_state_follows_from_class_and_thaw() {
        use ArchiveState::*;
        #[rustfmt::skip]
        let cases = [
            // class               restore                  today  state
            (None,                 None,                    5,     NotArchived),
            (Some("GLACIER_IR"),   None,                    5,     NotArchived),
            (GLACIER,              None,                    5,     Archived),
            (DEEP,                 Some(RestoreStatus::InProgress), 5,     InProgress),
            (DEEP,                 done(6),                 5,     Ready { expires_at: day(6) }),
            (DEEP,                 done(5),                 5,     Archived),
            (Some("STANDARD"),     done(5),                 5,     NotArchived),
        ];
        for (class, restore, today, want) in cases {
            let found = ArchiveState::of(is_archive_class(class), restore, day(today));
            assert_eq!(found, want, "{class:?} {restore:?}");
        }
    }

    #[test]
    fn only_archived_objects_and_early_expiries_are_requested() {
        use ArchiveState::*;
        #[rustfmt::skip]
        let cases = [
            // state                           days  action
            (NotArchived,                      7,    ThawAction::Nothing),
            (Archived,                         7,    ThawAction::Request),
            (InProgress,                       7,    ThawAction::Nothing),
            (Ready { expires_at: day(11) },    7,    ThawAction::Extend),
            (Ready { expires_at: day(17) },    7,    ThawAction::Nothing),
            (Ready { expires_at: day(18) },    7,    ThawAction::Nothing),
        ];
        for (state, days, want) in cases {
            assert_eq!(state.thaw_action(days, day(10)), want, "{state:?}");
        }
    }

    #[test]
    fn only_what_a_listing_leaves_open_needs_head() {
        #[rustfmt::skip]
        let cases = [
            // class                        restore  reports needs HEAD
            (GLACIER,                       None,    false, true),
            (GLACIER,                       None,    true,  false),
            (GLACIER,                       done(1), true,  false),
            (None,                          None,    false, false),
            (Some("STANDARD_IA"),           None,    false, false),
            (Some("INTELLIGENT_TIERING"),   None,    true,  true),
        ];
        for (class, restore, reports, want) in cases {
            assert_eq!(
                needs_head(class, restore, reports),
                want,
                "{class:?} {restore:?} {reports}"
            );
        }
    }

    #[test]
    fn the_restore_header_is_parsed() {
        let until = r#"ongoing-request="false", expiry-date="Fri, 02 Jan 1970 00:00:00 GMT""#;
        #[rustfmt::skip]
        let cases = [
            (r#"ongoing-request="true""#,                              Some(RestoreStatus::InProgress)),
            (until,                                                    done(1)),
            (r#"ongoing-request="false""#,                             None),
            (r#"ongoing-request="false", expiry-date="soon""#,         None),
            ("",                                                       None),
        ];
        for (header, want) in cases {
            assert_eq!(parse_restore(header), want, "{header}");
        }
    }

    #[test]
    fn only_deep_archive_does_not_offer_expedited() {
        assert!(unsupported_tier(DEEP, Tier::Expedited).is_some());
        for (class, tier) in
            [(DEEP, Tier::Standard), (DEEP, Tier::Bulk), (GLACIER, Tier::Expedited)]
        {
            assert_eq!(unsupported_tier(class, tier), None, "{class:?} {tier:?}");
        }
    }
}

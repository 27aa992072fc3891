//! What an archived object is, and what asking for it does.
//!
//! Pure; the time is a parameter. S3 keeps a copy of a thawed object for so many
//! days. Asking again while the copy is there moves its end, also to an earlier
//! day, so it is only done where that makes it later.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html>

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether an object can be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveState {
    /// It is of a class that is read at once.
    NotArchived,
    Archived,
    /// It was asked for, and is not there yet.
    InProgress,
    /// It can be read until then.
    Ready {
        expires_at: SystemTime,
    },
}

/// How fast an archived object is wanted; the faster, the dearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Minutes. Not for `DEEP_ARCHIVE`.
    Expedited,
    /// Hours.
    Standard,
    /// Half a day to two days.
    Bulk,
}

/// A restore as S3 tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restore {
    UnderWay,
    Done { expires_at: SystemTime },
}

/// What to do for one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Ask,
    Prolong,
}

impl Tier {
    /// As S3 names it.
    pub fn parse(text: &str) -> Option<Tier> {
        match text {
            "Expedited" => Some(Tier::Expedited),
            "Standard" => Some(Tier::Standard),
            "Bulk" => Some(Tier::Bulk),
            _ => None,
        }
    }

    /// The same name.
    pub fn word(self) -> &'static str {
        match self {
            Tier::Expedited => "Expedited",
            Tier::Standard => "Standard",
            Tier::Bulk => "Bulk",
        }
    }
}

impl ArchiveState {
    pub(crate) fn of(is_archived: bool, restore: Option<Restore>, now: SystemTime) -> Self {
        match restore {
            Some(Restore::UnderWay) => ArchiveState::InProgress,
            Some(Restore::Done { expires_at }) if now < expires_at => {
                ArchiveState::Ready { expires_at }
            }
            Some(Restore::Done { .. }) | None if is_archived => ArchiveState::Archived,
            Some(Restore::Done { .. }) | None => ArchiveState::NotArchived,
        }
    }

    pub(crate) fn step(self, days: u32, now: SystemTime) -> Step {
        match self {
            ArchiveState::NotArchived | ArchiveState::InProgress => Step::Nothing,
            ArchiveState::Archived => Step::Ask,
            ArchiveState::Ready { expires_at } if now + DAY * days > expires_at => Step::Prolong,
            ArchiveState::Ready { .. } => Step::Nothing,
        }
    }
}

pub(crate) fn is_archive(class: Option<&str>) -> bool {
    matches!(class, Some("GLACIER" | "DEEP_ARCHIVE"))
}

/// Why S3 will not bring an object of this class so fast.
pub(crate) fn refusal(class: Option<&str>, tier: Tier) -> Option<&'static str> {
    match (class, tier) {
        (Some("DEEP_ARCHIVE"), Tier::Expedited) => {
            Some("DEEP_ARCHIVE knows no Expedited; ask for Standard (hours) or Bulk (two days)")
        }
        _ => None,
    }
}

/// Whether a listing leaves open what an object is: some servers tell nothing of
/// restores there, and no listing tells of the archives of
/// `INTELLIGENT_TIERING`. One that tells of any restore tells of all.
pub(crate) fn is_unsure(
    class: Option<&str>,
    restore: Option<Restore>,
    listing_tells: bool,
) -> bool {
    let is_silent = is_archive(class) && restore.is_none() && !listing_tells;
    is_silent || class == Some("INTELLIGENT_TIERING")
}

/// `x-amz-restore`, as in
/// `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`.
pub(crate) fn parse_restore(header: &str) -> Option<Restore> {
    if header.contains(r#"ongoing-request="true""#) {
        return Some(Restore::UnderWay);
    }
    let (_, date) = header.split_once(r#"expiry-date=""#)?;
    let (date, _) = date.split_once('"')?;
    let expires_at = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    Some(Restore::Done { expires_at: expires_at.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLACIER: Option<&str> = Some("GLACIER");
    const DEEP: Option<&str> = Some("DEEP_ARCHIVE");

    fn day(day: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * day
    }

    fn done(expires: u32) -> Option<Restore> {
        Some(Restore::Done { expires_at: day(expires) })
    }

    #[test]
    fn what_an_object_is() {
        use ArchiveState::*;
        #[rustfmt::skip]
        let cases = [
            // class               restore                  today  state
            (None,                 None,                    5,     NotArchived),
            (Some("GLACIER_IR"),   None,                    5,     NotArchived),
            (GLACIER,              None,                    5,     Archived),
            (DEEP,                 Some(Restore::UnderWay), 5,     InProgress),
            (DEEP,                 done(6),                 5,     Ready { expires_at: day(6) }),
            (DEEP,                 done(5),                 5,     Archived),
            (Some("STANDARD"),     done(5),                 5,     NotArchived),
        ];
        for (class, restore, today, want) in cases {
            let found = ArchiveState::of(is_archive(class), restore, day(today));
            assert_eq!(found, want, "{class:?} {restore:?}");
        }
    }

    #[test]
    fn what_is_done_for_an_object() {
        use ArchiveState::*;
        #[rustfmt::skip]
        let cases = [
            // state                           days  step
            (NotArchived,                      7,    Step::Nothing),
            (Archived,                         7,    Step::Ask),
            (InProgress,                       7,    Step::Nothing),
            (Ready { expires_at: day(11) },    7,    Step::Prolong),
            (Ready { expires_at: day(17) },    7,    Step::Nothing),
            (Ready { expires_at: day(18) },    7,    Step::Nothing),
        ];
        for (state, days, want) in cases {
            assert_eq!(state.step(days, day(10)), want, "{state:?}");
        }
    }

    #[test]
    fn what_a_listing_leaves_open() {
        #[rustfmt::skip]
        let cases = [
            // class                        restore  tells  unsure
            (GLACIER,                       None,    false, true),
            (GLACIER,                       None,    true,  false),
            (GLACIER,                       done(1), true,  false),
            (None,                          None,    false, false),
            (Some("STANDARD_IA"),           None,    false, false),
            (Some("INTELLIGENT_TIERING"),   None,    true,  true),
        ];
        for (class, restore, tells, want) in cases {
            assert_eq!(is_unsure(class, restore, tells), want, "{class:?} {restore:?} {tells}");
        }
    }

    #[test]
    fn the_header_is_read() {
        let until = r#"ongoing-request="false", expiry-date="Fri, 02 Jan 1970 00:00:00 GMT""#;
        #[rustfmt::skip]
        let cases = [
            (r#"ongoing-request="true""#,                              Some(Restore::UnderWay)),
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
    fn only_a_deep_archive_knows_no_hurry() {
        assert!(refusal(DEEP, Tier::Expedited).is_some());
        for (class, tier) in
            [(DEEP, Tier::Standard), (DEEP, Tier::Bulk), (GLACIER, Tier::Expedited)]
        {
            assert_eq!(refusal(class, tier), None, "{class:?} {tier:?}");
        }
    }
}

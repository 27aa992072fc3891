//! Archived objects: whether they can be read, and the effect of RestoreObject.
//!
//! Pure; the time is a parameter. A restore consists of two instants: when its
//! copy becomes readable, and when it expires. The state of the object at any
//! time follows from them, so no timer is needed.
//!
//! This crate says *restore* for what the other crates call a thaw, as S3 does.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A readable copy of an archived object, requested or finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restore {
    pub(crate) done_at: SystemTime,
    pub(crate) expires_at: SystemTime,
    #[serde(default)]
    pub(crate) tier: Tier,
}

/// Speed of a restore, from the fastest to the slowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Tier {
    Expedited,
    #[default]
    Standard,
    Bulk,
}

/// The parameters of a restore request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoreTerms {
    pub(crate) days: u32,
    pub(crate) tier: Tier,
}

/// The state of an object at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveState {
    /// The storage class can be read immediately.
    Active,
    Archived,
    Restoring,
    Restored {
        expires_at: SystemTime,
    },
}

/// The effect of a restore request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RestoreAction {
    Start(Restore),
    /// The copy exists already; only its expiry changes, to a later or earlier time.
    Extend(Restore),
}

impl ArchiveState {
    pub(crate) fn of(
        class: Option<&str>,
        restore: Option<&Restore>,
        now: SystemTime,
    ) -> ArchiveState {
        match restore {
            _ if !is_archive(class) => ArchiveState::Active,
            Some(restore) if now < restore.done_at => ArchiveState::Restoring,
            Some(restore) if now < restore.expires_at => {
                ArchiveState::Restored { expires_at: restore.expires_at }
            }
            Some(_) | None => ArchiveState::Archived,
        }
    }

    /// Refuses to read an object that is archived.
    pub(crate) fn check_readable(self) -> S3Result<()> {
        match self {
            ArchiveState::Active | ArchiveState::Restored { .. } => Ok(()),
            ArchiveState::Archived | ArchiveState::Restoring => {
                Err(invalid_state("The operation is not valid for the object's storage class"))
            }
        }
    }
}

pub(crate) fn decide(
    class: Option<&str>,
    (state, tier_so_far): (ArchiveState, Tier),
    terms: RestoreTerms,
    now: SystemTime,
    delay: Duration,
) -> S3Result<RestoreAction> {
    if terms.days == 0 {
        return Err(invalid_argument("Days must be at least 1"));
    }
    if terms.tier == Tier::Expedited && class == Some("DEEP_ARCHIVE") {
        return Err(invalid_argument("Retrieval option is not supported by this storage class"));
    }
    let copy =
        |done_at| Restore { done_at, expires_at: expiry(done_at, terms.days), tier: terms.tier };
    match state {
        ArchiveState::Active => {
            Err(invalid_state("Restore is not allowed for the object's current storage class"))
        }
        ArchiveState::Restoring if terms.tier < tier_so_far => {
            Ok(RestoreAction::Start(copy(now + delay)))
        }
        ArchiveState::Restoring => Err(S3Error::with_message(
            S3ErrorCode::RestoreAlreadyInProgress,
            "Object restore is already in progress",
        )),
        ArchiveState::Archived => Ok(RestoreAction::Start(copy(now + delay))),
        ArchiveState::Restored { .. } => Ok(RestoreAction::Extend(copy(now))),
    }
}

fn is_archive(class: Option<&str>) -> bool {
    matches!(class, Some("GLACIER" | "DEEP_ARCHIVE"))
}

/// Returns the expiry: `days` later, rounded up to midnight UTC as in S3.
fn expiry(from: SystemTime, days: u32) -> SystemTime {
    let since_epoch = from.duration_since(UNIX_EPOCH).unwrap_or_default();
    let whole_days = since_epoch.as_secs().div_ceil(DAY.as_secs());
    UNIX_EPOCH + DAY * (u32::try_from(whole_days).unwrap_or(u32::MAX / 2) + days)
}

fn invalid_state(message: &'static str) -> S3Error {
    let mut refusal = S3Error::with_message(S3ErrorCode::InvalidObjectState, message);
    refusal.set_status_code(StatusCode::FORBIDDEN);
    refusal
}

fn invalid_argument(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLACIER: Option<&str> = Some("GLACIER");
    const DEEP: Option<&str> = Some("DEEP_ARCHIVE");

    #[test]
    fn the_state_follows_from_class_restore_and_time() {
        let restore = copy(10, 48, Tier::Standard);
        let restored = ArchiveState::Restored { expires_at: hour(48) };
        #[rustfmt::skip]
        let cases = [
            // class               restore         now  state
            (None,                 None,            0,  ArchiveState::Active),
            (Some("GLACIER_IR"),   None,            0,  ArchiveState::Active),
            (GLACIER,              None,            0,  ArchiveState::Archived),
            (DEEP,                 None,            0,  ArchiveState::Archived),
            (GLACIER,              Some(&restore),  9,  ArchiveState::Restoring),
            (GLACIER,              Some(&restore), 10,  restored),
            (GLACIER,              Some(&restore), 47,  restored),
            (GLACIER,              Some(&restore), 48,  ArchiveState::Archived),
        ];
        for (class, restore, now, want) in cases {
            assert_eq!(ArchiveState::of(class, restore, hour(now)), want, "{class:?} at {now}");
        }
    }

    #[test]
    fn a_restore_request_starts_extends_or_is_refused() {
        use S3ErrorCode::{InvalidArgument, InvalidObjectState, RestoreAlreadyInProgress};
        let restored = ArchiveState::Restored { expires_at: hour(24) };
        let start = |done, expires, tier| Ok(RestoreAction::Start(copy(done, expires, tier)));
        #[rustfmt::skip]
        let cases = [
            // class  state             days  tier             result at hour 10 with a delay of 4 hours
            (None,    ArchiveState::Active,    1,    Tier::Standard,  Err(InvalidObjectState)),
            (GLACIER, ArchiveState::Restoring, 1,    Tier::Standard,  Err(RestoreAlreadyInProgress)),
            (GLACIER, ArchiveState::Restoring, 1,    Tier::Bulk,      Err(RestoreAlreadyInProgress)),
            (GLACIER, ArchiveState::Restoring, 1,    Tier::Expedited, start(14, 48, Tier::Expedited)),
            (GLACIER, ArchiveState::Archived,  0,    Tier::Standard,  Err(InvalidArgument)),
            (DEEP,    ArchiveState::Archived,  1,    Tier::Expedited, Err(InvalidArgument)),
            (DEEP,    ArchiveState::Archived,  1,    Tier::Bulk,      start(14, 48, Tier::Bulk)),
            (GLACIER, ArchiveState::Archived,  1,    Tier::Expedited, start(14, 48, Tier::Expedited)),
            (GLACIER, ArchiveState::Archived,  2,    Tier::Standard,  start(14, 72, Tier::Standard)),
            (GLACIER, restored,         5,    Tier::Standard,  Ok(RestoreAction::Extend(copy(10, 144, Tier::Standard)))),
        ];
        for (class, state, days, tier, want) in cases {
            let terms = RestoreTerms { days, tier };
            let got = decide(class, (state, Tier::Standard), terms, hour(10), 4 * HOUR);
            assert_eq!(got.map_err(|e| e.code().clone()), want, "{class:?} {state:?} {terms:?}");
        }
    }

    #[test]
    fn a_copy_expires_at_midnight() {
        for (from, days, want) in [(0, 1, 24), (1, 1, 48), (23, 1, 48), (24, 3, 96), (30, 3, 120)] {
            assert_eq!(expiry(hour(from), days), hour(want), "{from} {days}");
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn hour(n: u32) -> SystemTime {
        UNIX_EPOCH + n * HOUR
    }

    fn copy(done: u32, expires: u32, tier: Tier) -> Restore {
        Restore { done_at: hour(done), expires_at: hour(expires), tier }
    }
}

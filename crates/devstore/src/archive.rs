//! Archived objects: whether one can be read, and what a restore does.
//!
//! Pure; the time is a parameter. A restore is two instants: when the copy is
//! there, and when it goes again. What the object is in between follows from
//! them, so nothing has to happen when the time comes.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A copy of an archived object, under way or there for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restore {
    pub(crate) done_at: SystemTime,
    pub(crate) expires_at: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Expedited,
    Standard,
    Bulk,
}

/// What a client asks of a restore.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) days: u32,
    pub(crate) tier: Tier,
}

/// What an object is at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Of a class that is read at once.
    Active,
    Archived,
    Restoring,
    Restored {
        expires_at: SystemTime,
    },
}

/// What a request to restore does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Start(Restore),
    /// The copy is there, and stays longer or shorter than it would have.
    Prolong(Restore),
}

impl State {
    pub(crate) fn of(class: Option<&str>, restore: Option<&Restore>, now: SystemTime) -> State {
        match restore {
            _ if !is_archive(class) => State::Active,
            Some(restore) if now < restore.done_at => State::Restoring,
            Some(restore) if now < restore.expires_at => {
                State::Restored { expires_at: restore.expires_at }
            }
            Some(_) | None => State::Archived,
        }
    }

    /// Refuses to read what is in the archive.
    pub(crate) fn check_readable(self) -> S3Result<()> {
        match self {
            State::Active | State::Restored { .. } => Ok(()),
            State::Archived | State::Restoring => {
                Err(invalid_state("The operation is not valid for the object's storage class"))
            }
        }
    }
}

pub(crate) fn decide(
    class: Option<&str>,
    state: State,
    wanted: Wanted,
    now: SystemTime,
    delay: Duration,
) -> S3Result<Verdict> {
    if wanted.days == 0 {
        return Err(invalid_argument("Days must be at least 1"));
    }
    if wanted.tier == Tier::Expedited && class == Some("DEEP_ARCHIVE") {
        return Err(invalid_argument("Retrieval option is not supported by this storage class"));
    }
    let copy = |done_at| Restore { done_at, expires_at: expiry(done_at, wanted.days) };
    match state {
        State::Active => {
            Err(invalid_state("Restore is not allowed for the object's current storage class"))
        }
        State::Restoring => Err(S3Error::with_message(
            S3ErrorCode::RestoreAlreadyInProgress,
            "Object restore is already in progress",
        )),
        State::Archived => Ok(Verdict::Start(copy(now + delay))),
        State::Restored { .. } => Ok(Verdict::Prolong(copy(now))),
    }
}

fn is_archive(class: Option<&str>) -> bool {
    matches!(class, Some("GLACIER" | "DEEP_ARCHIVE"))
}

/// So many days later, and then the next midnight (UTC), as S3 rounds.
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
    fn what_an_object_is() {
        let restore = Restore { done_at: hour(10), expires_at: hour(48) };
        let restored = State::Restored { expires_at: hour(48) };
        #[rustfmt::skip]
        let cases = [
            // class               restore         now  state
            (None,                 None,            0,  State::Active),
            (Some("GLACIER_IR"),   None,            0,  State::Active),
            (GLACIER,              None,            0,  State::Archived),
            (DEEP,                 None,            0,  State::Archived),
            (GLACIER,              Some(&restore),  9,  State::Restoring),
            (GLACIER,              Some(&restore), 10,  restored),
            (GLACIER,              Some(&restore), 47,  restored),
            (GLACIER,              Some(&restore), 48,  State::Archived),
        ];
        for (class, restore, now, want) in cases {
            assert_eq!(State::of(class, restore, hour(now)), want, "{class:?} at {now}");
        }
    }

    #[test]
    fn what_a_request_to_restore_does() {
        use S3ErrorCode::{InvalidArgument, InvalidObjectState, RestoreAlreadyInProgress};
        let restored = State::Restored { expires_at: hour(24) };
        let start = |done, expires| Ok(Verdict::Start(copy(done, expires)));
        #[rustfmt::skip]
        let cases = [
            // class  state             days  tier             outcome at 10 o'clock, 4 hours' delay
            (None,    State::Active,    1,    Tier::Standard,  Err(InvalidObjectState)),
            (GLACIER, State::Restoring, 1,    Tier::Standard,  Err(RestoreAlreadyInProgress)),
            (GLACIER, State::Archived,  0,    Tier::Standard,  Err(InvalidArgument)),
            (DEEP,    State::Archived,  1,    Tier::Expedited, Err(InvalidArgument)),
            (DEEP,    State::Archived,  1,    Tier::Bulk,      start(14, 48)),
            (GLACIER, State::Archived,  1,    Tier::Expedited, start(14, 48)),
            (GLACIER, State::Archived,  2,    Tier::Standard,  start(14, 72)),
            (GLACIER, restored,         5,    Tier::Standard,  Ok(Verdict::Prolong(copy(10, 144)))),
        ];
        for (class, state, days, tier, want) in cases {
            let wanted = Wanted { days, tier };
            let got = decide(class, state, wanted, hour(10), 4 * HOUR);
            assert_eq!(got.map_err(|e| e.code().clone()), want, "{class:?} {state:?} {wanted:?}");
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

    fn copy(done: u32, expires: u32) -> Restore {
        Restore { done_at: hour(done), expires_at: hour(expires) }
    }
}

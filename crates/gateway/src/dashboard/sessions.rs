//! Sessions of the dashboard: which browsers are signed in with which admin key, and until when.
//!
//! They are kept in memory only, so a restart ends all of them. A session is found by the SHA-256 of its
//! token, so that the comparison tells nothing about the token itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3up_core::{Clock, Sha256Digest, Stopwatch};
use subtle::ConstantTimeEq;

/// Time without a page that a person asked for, after which a session ends. Live updates do not count.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(2 * 3600);
/// Time after which every session ends.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(12 * 3600);
/// Maximum number of sessions; a new one then ends the one that was not used for longest.
const SESSIONS_MAX: usize = 1000;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// The sessions of one gateway.
pub(crate) struct Sessions {
    open: Mutex<OpenSessions>,
    running: Stopwatch,
}

/// One browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// SHA-256 of the admin key. The session ends with the key.
    pub key: Sha256Digest,
    /// Every action has to repeat it, which a page of another site cannot.
    pub csrf: String,
    began_at: Duration,
    used_at: Duration,
}

/// The sessions by the SHA-256 of their tokens. Pure.
#[derive(Debug, Default)]
struct OpenSessions(HashMap<Sha256Digest, Session>);

impl Sessions {
    pub(crate) fn new(clock: Clock) -> Sessions {
        Sessions { open: Mutex::default(), running: clock.start() }
    }

    /// Begins a session for an admin key, and returns its token.
    pub(crate) fn begin(&self, key: Sha256Digest) -> Result<String, getrandom::Error> {
        let (token, csrf) = (random_token()?, random_token()?);
        let now = self.running.elapsed();
        let session = Session { key, csrf, began_at: now, used_at: now };
        self.open().begin(digest(&token), session);
        Ok(token)
    }

    /// Returns the session of a token. `renews` is true for a page that a person asked for.
    pub(crate) fn find(&self, token: &str, renews: bool) -> Option<Session> {
        self.open().find(&digest(token), self.running.elapsed(), renews)
    }

    pub(crate) fn end(&self, token: &str) {
        self.open().0.remove(&digest(token));
    }

    fn open(&self) -> MutexGuard<'_, OpenSessions> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Returns true if this is the token that the pages of the session have.
    pub(crate) fn has_csrf(&self, presented: &str) -> bool {
        self.csrf.as_bytes().ct_eq(presented.as_bytes()).into()
    }

    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.began_at) >= AGE_MAX || now.saturating_sub(self.used_at) >= IDLE_MAX
    }
}

impl OpenSessions {
    fn begin(&mut self, token: Sha256Digest, session: Session) {
        let now = session.began_at;
        self.0.retain(|_, session| !session.is_over(now));
        if self.0.len() >= SESSIONS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, session)| session.used_at);
            if let Some(oldest) = oldest.map(|(token, _)| *token) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(token, session);
    }

    fn find(&mut self, token: &Sha256Digest, now: Duration, renews: bool) -> Option<Session> {
        let session = self.0.get_mut(token)?;
        if session.is_over(now) {
            self.0.remove(token);
            return None;
        }
        if renews {
            session.used_at = now;
        }
        Some(session.clone())
    }
}

fn digest(token: &str) -> Sha256Digest {
    Sha256Digest::of(token.as_bytes())
}

fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn session(now: Duration) -> Session {
        let key = Sha256Digest::of(b"key");
        Session { key, csrf: "csrf".to_owned(), began_at: now, used_at: now }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let minute = HOUR / 60;
        #[rustfmt::skip]
        let cases = [
            // pages at (true: asked for by a person)                    last page at       is open
            (vec![],                                                     2 * HOUR - minute, true),
            (vec![],                                                     2 * HOUR,          false),
            (vec![(HOUR, true)],                                         3 * HOUR - minute, true),
            (vec![(HOUR, true)],                                         3 * HOUR,          false),
            // Live updates keep no session open.
            (vec![(HOUR, false), (2 * HOUR - minute, false)],            2 * HOUR,          false),
            ((1..12).map(|hour| (hour * HOUR, true)).collect(),          12 * HOUR - minute, true),
            ((1..12).map(|hour| (hour * HOUR, true)).collect(),          12 * HOUR,         false),
        ];
        for (pages, at, want) in cases {
            let (mut open, token) = (OpenSessions::default(), digest("token"));
            open.begin(token, session(Duration::ZERO));
            for (at, renews) in &pages {
                assert!(open.find(&token, *at, *renews).is_some(), "{pages:?} {at:?}");
            }
            assert_eq!(open.find(&token, at, true).is_some(), want, "{pages:?} {at:?}");
        }
    }

    #[test]
    fn the_number_of_sessions_is_limited() {
        let mut open = OpenSessions::default();
        let token = |n: usize| digest(&n.to_string());
        let at = |n: usize| Duration::from_secs(n as u64);
        for n in 0..=SESSIONS_MAX {
            open.begin(token(n), session(at(n)));
        }
        assert_eq!(open.0.len(), SESSIONS_MAX);
        assert_eq!(open.find(&token(0), at(SESSIONS_MAX), true), None, "it was idle for longest");
        assert!(open.find(&token(1), at(SESSIONS_MAX), true).is_some());
        open.begin(token(5000), session(24 * HOUR));
        assert_eq!(open.0.len(), 1, "those that are over are forgotten");
    }

    #[test]
    fn only_the_right_tokens_count() {
        let sessions = Sessions::new(crate::clock::CLOCK);
        let token = sessions.begin(Sha256Digest::of(b"key")).unwrap();
        let found = sessions.find(&token, true).unwrap();
        assert_eq!(found.key, Sha256Digest::of(b"key"));
        assert!(found.has_csrf(&found.csrf) && found.csrf != token && token.len() == 43);
        for wrong in ["", "x", &token, &found.csrf[1..]] {
            assert!(!found.has_csrf(wrong), "{wrong}");
        }
        assert_eq!(sessions.find(&found.csrf, true), None);
        sessions.end(&token);
        assert_eq!(sessions.find(&token, true), None);
    }
}

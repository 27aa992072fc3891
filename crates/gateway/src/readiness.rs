//! The answer of `GET /ready`, kept for some seconds: the call needs no key, and each check costs
//! requests to S3.

use std::time::Duration;

use s3up_core::wire::{Part, Readiness};
use s3up_core::{KeyPrefix, Stopwatch, error_chain};
use s3up_store::{Store, Versioning};
use tokio::sync::Mutex;

use crate::clock::CLOCK;
use crate::database::Database;

/// Time for which an answer is given again.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// Maximum time for the answer of S3. Monitors usually wait for 5 to 10 s.
const S3_WAIT_MAX: Duration = Duration::from_secs(4);

#[derive(Default)]
pub(crate) struct ReadinessCheck(Mutex<Option<(Stopwatch, Readiness)>>);

impl ReadinessCheck {
    /// Returns the last answer, or checks again. Calls that arrive meanwhile wait for the same check.
    pub(crate) async fn check(
        &self,
        store: &Store,
        prefix: &KeyPrefix,
        database: &Database,
    ) -> Readiness {
        let mut last = self.0.lock().await;
        if let Some((at, readiness)) = last.as_ref()
            && at.elapsed() < FRESH_FOR
        {
            return readiness.clone();
        }
        let (versioning, database_ok) = tokio::join!(ask_s3(store, prefix), database.is_ready());
        let readiness = readiness(versioning, database_ok);
        *last = Some((CLOCK.start(), readiness.clone()));
        readiness
    }
}

/// Returns `None` if S3 does not answer, or refuses.
async fn ask_s3(store: &Store, prefix: &KeyPrefix) -> Option<Versioning> {
    let asked = tokio::time::timeout(S3_WAIT_MAX, store.probe(prefix, Duration::ZERO)).await;
    let error = match asked {
        Ok(Ok(versioning)) => return Some(versioning),
        Ok(Err(err)) => error_chain(&err),
        Err(_) => format!("no answer within {} s", S3_WAIT_MAX.as_secs()),
    };
    tracing::warn!(
        event = "s3_not_ready",
        error,
        "S3 does not answer, or refuses (checked by GET /ready)"
    );
    None
}

fn readiness(versioning: Option<Versioning>, database_ok: bool) -> Readiness {
    let part = |ok| if ok { Part::Ok } else { Part::Failing };
    let versioning_name = match versioning {
        Some(Versioning::Enabled) => "enabled",
        Some(Versioning::Off) => "off",
        Some(Versioning::Unknown) | None => "unknown",
    };
    Readiness {
        ready: versioning.is_some() && database_ok,
        s3: part(versioning.is_some()),
        database: part(database_ok),
        versioning: versioning_name.to_owned(),
        // The gateway adds them.
        config: Part::Ok,
        configs_refused: 0,
        temporary_files: Part::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_ready_if_both_s3_and_the_database_answer() {
        use Versioning::*;
        #[rustfmt::skip]
        let cases = [
            // versioning     database  ready  s3             database       versioning
            (Some(Enabled),   true,     true,  Part::Ok,      Part::Ok,      "enabled"),
            (Some(Off),       true,     true,  Part::Ok,      Part::Ok,      "off"),
            (Some(Unknown),   false,    false, Part::Ok,      Part::Failing, "unknown"),
            (None,            true,     false, Part::Failing, Part::Ok,      "unknown"),
            (None,            false,    false, Part::Failing, Part::Failing, "unknown"),
        ];
        for (found, database_ok, ready, s3, database, versioning) in cases {
            let (versioning, config) = (versioning.to_owned(), Part::Ok);
            let temporary_files = Part::Ok;
            let want = Readiness {
                ready,
                s3,
                database,
                versioning,
                config,
                configs_refused: 0,
                temporary_files,
            };
            assert_eq!(readiness(found, database_ok), want);
        }
    }
}

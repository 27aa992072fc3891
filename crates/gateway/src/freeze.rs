//! Freezes: an operator stops the uploads of a client, for example because it may be compromised.
//!
//! Its uploads are refused with [`Code::Frozen`], also those in progress. Downloads, heartbeats and reports
//! continue.

use std::time::Duration;

use s3up_core::{ClientName, Code, error_chain};

use crate::database::Database;
use crate::database::freezes::Remembered;
use crate::refusal::Refusal;

/// Pause between two reads of the freezes that another gateway or `s3up-server freeze` has recorded.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Time after which a client tries again.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Maximum length of a reason.
pub(crate) const REASON_CHARS_MAX: usize = 500;

/// Refuses an upload of a client that is frozen.
pub(crate) fn check(database: &Database, client: &ClientName) -> Result<(), Refusal> {
    let Some(freeze) = database.freeze_of(client) else { return Ok(()) };
    Err(Refusal::new(Code::Frozen, freeze.sentence()).retry_after(RETRY_AFTER))
}

/// Checks the words of an operator.
pub(crate) fn parse_reason(text: &str) -> Result<String, String> {
    let chars = text.chars().count();
    if chars > REASON_CHARS_MAX {
        return Err(format!("expected at most {REASON_CHARS_MAX} characters, found {chars}"));
    }
    if text.chars().any(char::is_control) {
        return Err("expected one line without control characters".to_owned());
    }
    Ok(text.trim().to_owned())
}

/// Reads the freezes at the start. If the database does not answer, those of its last answer count. A client
/// that was frozen later may upload until it answers: its failure stops the uploads of no client.
pub(crate) async fn read_first(database: &Database) {
    let Err(err) = database.read_freezes().await else { return };
    let error = error_chain(&err);
    match database.remember_freezes().await {
        Remembered::Clients(clients) => tracing::warn!(
            event = "freezes_not_read",
            error,
            clients,
            "the database does not say which clients are frozen; the {clients} that were when it last \
             answered stay frozen"
        ),
        Remembered::Nothing => tracing::warn!(
            event = "freezes_not_read",
            error,
            "the database does not say which clients are frozen, and this gateway never knew; all may \
             upload until it does"
        ),
        Remembered::Unreadable { path, error: cause } => tracing::error!(
            event = "freezes_not_read",
            error,
            path = %path.display(),
            cause = error_chain(&cause),
            "neither the database nor the file says which clients are frozen; all may upload until the \
             database does"
        ),
    }
}

/// Reads the freezes again and again until the gateway stops. Never returns.
pub(crate) async fn watch(database: Database) {
    let mut is_failing = false;
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let looked = database.read_freezes().await;
        if let Err(err) = &looked
            && !is_failing
        {
            tracing::warn!(
                event = "freezes_not_read",
                error = error_chain(err),
                "cannot read from the database which clients are frozen; the last known ones stay frozen"
            );
        }
        is_failing = looked.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        let long = "x".repeat(REASON_CHARS_MAX + 1);
        #[rustfmt::skip]
        let cases = [
            ("",                    Some("")),
            (" strange changes ",   Some("strange changes")),
            (&long[1..],            Some(&long[1..])),
            (&long,                 None),
            ("two\nlines",          None),
        ];
        for (text, want) in cases {
            assert_eq!(parse_reason(text).ok().as_deref(), want, "{text}");
        }
    }
}

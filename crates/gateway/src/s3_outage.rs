//! Watches whether S3 is known to be away.
//!
//! While it is, requests that need S3 are refused at once, so that no client waits for the retries of
//! its request, and S3 is not flooded with them once it answers again. One call at a time asks S3 instead.
//!
//! Not here: the decision that S3 is away (the store), the refusal (`refusal::store`).

use std::time::Duration;

use crate::gateway::Gateway;

/// Pause between two checks of the failures of the calls.
const WATCHED_EVERY: Duration = Duration::from_secs(1);
/// Pause between two calls while S3 is away.
const ASKED_EVERY: Duration = Duration::from_secs(2);
/// Maximum time for an answer to such a call.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Watches S3 until the gateway stops. Never returns.
pub(crate) async fn watch(gateway: Gateway) {
    loop {
        tokio::time::sleep(WATCHED_EVERY).await;
        match gateway.store().away_for() {
            Some(away_for) => until_s3_answers(&gateway, away_for).await,
            None => abort_remaining(&gateway).await,
        }
    }
}

async fn until_s3_answers(gateway: &Gateway, away_for: Duration) {
    tracing::error!(
        event = "s3_away",
        waited_seconds = away_for.as_secs(),
        "S3 answers no call; requests that need it are refused until it does"
    );
    let mut away_for_max = away_for;
    // A reload may replace the connection.
    while let Some(away_for) = gateway.store().away_for() {
        away_for_max = away_for;
        tokio::time::sleep(ASKED_EVERY).await;
        let store = gateway.store();
        let asked = store.probe(gateway.prefix(), Duration::ZERO);
        // The store learns from each answer. One that comes too late is none.
        drop(tokio::time::timeout(ANSWER_MAX, asked).await);
    }
    tracing::info!(
        event = "s3_back",
        elapsed_seconds = away_for_max.as_secs(),
        "S3 answers again; requests are served"
    );
}

/// Aborts the multipart uploads that could not be aborted while S3 did not answer. An error is logged by
/// the next outage, or by the next abort that succeeds.
async fn abort_remaining(gateway: &Gateway) {
    match gateway.store().abort_remaining().await {
        Ok(0) => {}
        Ok(uploads) => tracing::info!(
            event = "uploads_aborted",
            uploads,
            "aborted multipart uploads that an outage of S3 had left behind"
        ),
        Err(err) => tracing::debug!(
            event = "uploads_not_aborted_yet",
            error = s3up_core::error_chain(&err),
            "cannot abort multipart uploads that an outage of S3 left behind; trying again"
        ),
    }
}

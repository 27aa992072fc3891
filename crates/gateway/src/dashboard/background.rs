//! Gathers the facts that no page waits for: the rates of this gateway, and what is in its bucket.

use std::time::Duration;

use s3up_core::error_chain;
use s3up_store::StoreError;

use super::bucket_watch::{BucketFacts, FoundUploads};
use super::rates::{SAMPLED_EVERY, Sample};
use crate::clock::CLOCK;
use crate::gateway::Gateway;
use crate::{posture, sweep};

/// Pause between two checks. Each costs some requests.
const CHECKED_EVERY: Duration = Duration::from_secs(3600);
/// Time for which a failing request is retried.
const RETRY_FOR: Duration = Duration::from_secs(30);
/// Pages of multipart uploads that are read, of up to 1,000 each.
const PAGES_MAX: usize = 20;

/// Adds a sample of the work every few seconds, until the gateway stops. Never returns.
pub(super) async fn sample(gateway: Gateway) {
    let running = CLOCK.start();
    loop {
        let (at, calls) = (running.elapsed(), gateway.store().call_totals());
        let clients = gateway.database().counters().by_client();
        gateway.dashboard().work.add(Sample { at, calls, clients });
        tokio::time::sleep(SAMPLED_EVERY).await;
    }
}

/// Examines the bucket every hour, until the gateway stops. Never returns.
pub(super) async fn watch_bucket(gateway: Gateway) {
    loop {
        check(&gateway).await;
        tokio::time::sleep(CHECKED_EVERY).await;
    }
}

async fn check(gateway: &Gateway) {
    let store = gateway.store();
    let abort_rule = store.abort_rule(gateway.prefix(), RETRY_FOR).await;
    let (rules, accepted) = (store.expiry_rules(RETRY_FOR).await, &gateway.live().accepted_rules);
    let expiry = posture::expiry(&rules, accepted, gateway.prefix());
    let uploads = open_uploads(gateway).await.map_err(|err| error_chain(&err));
    let at = gateway.database().now();
    gateway.dashboard().bucket.set(BucketFacts { at, abort_rule, expiry, uploads });
}

async fn open_uploads(gateway: &Gateway) -> Result<FoundUploads, StoreError> {
    let (live, now) = (gateway.live(), CLOCK.now());
    let clients = live.clients.policies().map(|policy| policy.name.clone());
    let mut found = FoundUploads::default();
    let mut pages = 0;
    for prefix in sweep::prefixes(gateway.prefix(), clients) {
        let mut uploads = live.store.abandoned_uploads(&prefix, now, RETRY_FOR);
        while let Some(page) = uploads.next_page().await? {
            if pages == PAGES_MAX {
                found.has_more = true;
                return Ok(found);
            }
            pages += 1;
            found.count(&page, now);
        }
    }
    Ok(found)
}

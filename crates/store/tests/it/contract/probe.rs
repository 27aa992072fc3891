//! Checks that the store's own probe finds what the suite found about conditional
//! writes.

use std::time::Duration;

use s3up_core::KeyPrefix;
use s3up_store::{
    Bandwidth, Condition, Conditions, Credentials, Profile, Settings, Sse, Store, Timeouts,
};

use super::server::Server;
use super::servers::{ServerName, Target};
use super::suite::{Answer, Outcome};

const IF_NONE_MATCH: &str = "a_put_if_none_match_succeeds_only_once";
const IF_MATCH: &str = "a_put_if_match_with_a_stale_etag_is_refused";
const COMPLETE_IF_NONE_MATCH: &str = "a_completion_if_none_match_succeeds_only_once";
const COMPLETE_IF_MATCH: &str = "a_completion_if_match_with_a_stale_etag_is_refused";
const RETRY_FOR: Duration = Duration::from_secs(20);

/// Returns what the store gets wrong about the server. It must find each condition enforced
/// that the suite found to hold, in whichever spelling, and no other.
pub async fn problem(target: &Target, answers: &[Answer]) -> Option<String> {
    let holds = |name: &str| answers.iter().any(|answer| is_held(answer, name));
    let wanted = [IF_NONE_MATCH, IF_MATCH, COMPLETE_IF_NONE_MATCH, COMPLETE_IF_MATCH].map(holds);
    let store = Store::connect(settings(target.name, &target.server)).await.expect("a store");
    let prefix = KeyPrefix::parse(&target.server.prefix).expect("a prefix");
    // The second time, the probe object exists.
    let first = store.probe_completions(&prefix, RETRY_FOR).await;
    let again = Store::connect(settings(target.name, &target.server)).await.expect("a store");
    let again = again.probe_completions(&prefix, RETRY_FOR).await;
    let is_right = [first, again].map(enforced) == [wanted, wanted];
    (!is_right).then(|| {
        format!("the store finds {first:?}, then {again:?}; expected as enforced {wanted:?}")
    })
}

fn enforced(found: Conditions) -> [bool; 4] {
    [
        found.put_if_none_match,
        found.put_if_match,
        found.complete_if_none_match,
        found.complete_if_match,
    ]
    .map(Condition::is_enforced)
}

fn is_held(answer: &Answer, name: &str) -> bool {
    answer.behaviour.name == name && answer.outcome == Outcome::Held
}

/// Returns settings for a server of which nothing is known.
fn settings(name: ServerName, server: &Server) -> Settings {
    let region = server.client.config().region().expect("a region").to_string();
    let known = &server.credentials;
    Settings {
        endpoint: Some(server.endpoint.clone()),
        region,
        bucket: server.bucket.clone(),
        credentials: match name {
            // The credentials may include a session token.
            ServerName::Aws => Credentials::DefaultChain,
            ServerName::Devstore
            | ServerName::Moto
            | ServerName::Garage
            | ServerName::Rgw
            | ServerName::Swift
            | ServerName::SeaweedFs
            | ServerName::Rclone => Credentials::Explicit {
                access_key_id: known.access_key_id().to_owned(),
                secret_access_key: known.secret_access_key().to_owned(),
            },
        },
        profile: Profile::Generic,
        ca_file: None,
        storage_class: None,
        sse: Sse::Unset,
        buffer_budget_bytes: 16 << 20,
        timeouts: Timeouts::default(),
        bandwidth: Bandwidth::default(),
    }
}

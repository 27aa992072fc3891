//! Whether our engine can tell, by asking, what the suite found out about
//! conditional writes.

use std::time::Duration;

use s3up_core::KeyPrefix;
use s3up_store::{Bandwidth, Conditions, Credentials, Patience, Profile, Settings, Sse, Store};

use super::server::Server;
use super::servers::{Name, Target};
use super::suite::{Answer, Outcome};

const WHERE_NEW: &str = "a_key_that_must_be_new_is_put_once";
const WHERE_UNCHANGED: &str = "an_object_is_not_replaced_on_a_stale_etag";
const RETRY_FOR: Duration = Duration::from_secs(20);

/// Where the engine is wrong about the server.
pub async fn complaint(target: &Target, answers: &[Answer]) -> Option<String> {
    let held = |name| answers.iter().any(|answer| is_held(answer, name));
    let wanted = match (held(WHERE_NEW), held(WHERE_UNCHANGED)) {
        (true, true) => Conditions::Honoured,
        (true, false) => Conditions::HonouredWhereNew,
        (false, _) => Conditions::Ignored,
    };
    let store = Store::connect(settings(target.name, &target.server)).await.expect("a store");
    let prefix = KeyPrefix::parse(&target.server.prefix).expect("a prefix");
    // The second time the object is there.
    let first = store.probe_conditions(&prefix, RETRY_FOR).await;
    let again = Store::connect(settings(target.name, &target.server)).await.expect("a store");
    let again = again.probe_conditions(&prefix, RETRY_FOR).await;
    let is_right = (first, again) == (wanted, wanted);
    (!is_right).then(|| format!("the engine finds {first:?}, then {again:?}; it is {wanted:?}"))
}

fn is_held(answer: &Answer, name: &str) -> bool {
    answer.behaviour.name == name && answer.outcome == Outcome::Held
}

/// As for a server of which nothing is known.
fn settings(name: Name, server: &Server) -> Settings {
    let region = server.client.config().region().expect("a region").to_string();
    let known = &server.credentials;
    Settings {
        endpoint: Some(server.endpoint.clone()),
        region,
        bucket: server.bucket.clone(),
        credentials: match name {
            // They may come with a token.
            Name::Aws => Credentials::Found,
            Name::Devstore | Name::Moto | Name::Garage => Credentials::Explicit {
                access_key_id: known.access_key_id().to_owned(),
                secret_access_key: known.secret_access_key().to_owned(),
            },
        },
        profile: Profile::Generic,
        ca_file: None,
        storage_class: None,
        sse: Sse::Unsaid,
        buffer_budget_bytes: 16 << 20,
        patience: Patience::default(),
        bandwidth: Bandwidth::default(),
    }
}

//! The facts about one client, from the configuration and the database.

use std::collections::BTreeMap;

use s3up_core::wire::{ClientStatus, Report};

use super::fleet_facts::{StoredTotal, stored};
use crate::clients::{ClientPolicy, KeyRights};
use crate::clock::Millis;
use crate::database::pages::client::{EndedUpload, KnownKey};
use crate::gateway::Gateway;
use crate::handlers::clients::{find_client, unanswered, unknown};
use crate::refusal::Refusal;

/// All that the page of a client shows.
pub(super) struct ClientPageFacts {
    pub status: ClientStatus,
    pub policy: ClientPolicy,
    pub stored: StoredTotal,
    /// With the time at which it arrived.
    pub newest_report: Option<(Millis, Report)>,
    pub uploads: Vec<EndedUpload>,
    pub keys: Vec<ShownKey>,
    pub now: Millis,
}

/// A key of the client.
pub(super) struct ShownKey {
    pub key: KnownKey,
    /// `None`: the configuration does not have the key any more.
    pub rights: Option<KeyRights>,
}

/// Asks the database.
pub(super) async fn read(gateway: &Gateway, name: &str) -> Result<ClientPageFacts, Refusal> {
    let policy = policy_of(gateway, name)?;
    let status = find_client(gateway, name).await?;
    let (database, name) = (gateway.database(), &policy.name);
    let facts = tokio::try_join!(
        database.catalogue_facts(),
        database.newest_report(name),
        database.recent_uploads(name),
        database.keys_of(name),
    );
    let (catalogue, newest_report, uploads, keys) = facts.map_err(|err| unanswered(&err))?;
    let live = gateway.live();
    let of_client = live.clients.keys().filter(|(client, ..)| *client == name);
    let configured: BTreeMap<_, _> =
        of_client.map(|(_, key, rights)| (key.to_string(), rights)).collect();
    let keys = keys.into_iter().map(|key| {
        let rights = configured.get(&key.sha256).copied();
        ShownKey { key, rights }
    });
    Ok(ClientPageFacts {
        stored: stored(&status, catalogue.get(name).copied()),
        keys: keys.collect(),
        now: database.now(),
        status,
        policy,
        newest_report,
        uploads,
    })
}

/// Returns the policy of a client of the configuration.
pub(super) fn policy_of(gateway: &Gateway, name: &str) -> Result<ClientPolicy, Refusal> {
    let live = gateway.live();
    let found = live.clients.policies().find(|policy| policy.name.as_str() == name);
    found.cloned().ok_or_else(|| unknown(name))
}

//! The state that all requests share, and how it is set up at start.
//!
//! Not here: routes and sockets (`server`), the calls (`handlers`).

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use s3up_core::wire::Readiness;
use s3up_core::{Code, Key, KeyPrefix, RemotePath};
use s3up_store::Store;

use crate::clients::{Client, Clients};
use crate::clock::CLOCK;
use crate::config::Config;
use crate::database::Database;
use crate::database::record::{Record, UploadOutcome, UploadRecord};
use crate::readiness::ReadinessCheck;
use crate::refusal::Refusal;
use crate::server_checks::warn_of_lost_settings;
use crate::start_checks::{PROBE_RETRY_FOR, check_overwrite, check_versioning};
use crate::start_error::StartError;
use crate::sweep;
use crate::uploads::Uploads;
use crate::uploads::admission::{
    Admission, AnnouncedLength, BUFFERS_PER_UPLOAD_MIN, PartLimits, admit,
};
use crate::uploads::log::UploadLog;

/// A running gateway; clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    store: Store,
    uploads: Uploads,
    database: Database,
    readiness: ReadinessCheck,
    clients: Clients,
    prefix: KeyPrefix,
    part_bytes: u64,
    parts_max: u64,
}

impl Gateway {
    /// Connects to S3, checks the bucket and opens the database.
    pub async fn start(config: Config) -> Result<Gateway, StartError> {
        let store = Store::connect(config.store).await?;
        let versioning = store.probe(&config.prefix, PROBE_RETRY_FOR).await?;
        check_versioning(versioning, store.bucket(), config.require_versioning)?;
        check_overwrite(&store, &config.clients, &config.prefix).await?;
        warn_of_lost_settings(&store, &config.prefix).await;
        let name = format!("{:016x}", getrandom::u64()?);
        let database = Database::start(config.database, name, CLOCK).await?;
        let at = database.now();
        for (client, key) in config.clients.keys() {
            database.record(Record::KeyKnown { client: client.clone(), key, at });
        }
        let log = UploadLog::new(database.clone(), config.prefix.clone());
        Ok(Gateway(Arc::new(Shared {
            uploads: Uploads::new(store.clone(), log),
            database,
            readiness: ReadinessCheck::default(),
            store,
            clients: config.clients,
            prefix: config.prefix,
            part_bytes: config.part_bytes,
            parts_max: config.parts_max,
        })))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn prefix(&self) -> &KeyPrefix {
        &self.0.prefix
    }

    /// Returns the configured part length.
    pub(crate) fn part_bytes(&self) -> u64 {
        self.0.part_bytes
    }

    /// Returns the client whose key the request carries.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Client>, Refusal> {
        let unknown = || {
            let what = "expected `Authorization: Bearer KEY` with a key that the gateway knows";
            Refusal::new(Code::Unauthorized, what)
        };
        let key = presented_key(headers.get(header::AUTHORIZATION)).ok_or_else(unknown)?;
        let (client, key) = self.0.clients.find(key).ok_or_else(unknown)?;
        self.0.database.record_key_use(&client.policy.name, key);
        Ok(client)
    }

    /// Returns the client whose key an `Authorization` header carries.
    pub(crate) fn client(&self, authorization: Option<&HeaderValue>) -> Option<Arc<Client>> {
        let (client, _) = self.0.clients.find(presented_key(authorization)?)?;
        Some(client)
    }

    /// Returns the key of a file of `client`.
    pub(crate) fn key(&self, client: &Client, path: &RemotePath) -> Result<Key, Refusal> {
        Ok(Key::of_file(&self.0.prefix, &client.policy.name, path)?)
    }

    /// Decides whether an upload may begin, and under which key.
    pub(crate) fn admit(
        &self,
        client: &Client,
        path: &RemotePath,
        announced: AnnouncedLength,
    ) -> Result<(Key, Admission), Refusal> {
        let admitted = self.try_admit(client, path, announced);
        if let Err(refusal) = &admitted {
            self.record_refused(client, path, refusal.code);
        }
        admitted
    }

    /// Decides whether an upload would be admitted, and records nothing.
    pub(crate) fn try_admit(
        &self,
        client: &Client,
        path: &RemotePath,
        announced: AnnouncedLength,
    ) -> Result<(Key, Admission), Refusal> {
        let key = self.key(client, path)?;
        let limits = PartLimits {
            bytes: self.0.part_bytes,
            bytes_max: self.0.store.pool().budget_bytes() / BUFFERS_PER_UPLOAD_MIN,
            count_max: self.0.parts_max,
        };
        let admission = admit(&client.policy, path, announced, limits)?;
        Ok((key, admission))
    }

    /// Records an upload that was refused before it began.
    fn record_refused(&self, client: &Client, path: &RemotePath, code: Code) {
        let (client, path) = (client.policy.name.clone(), path.clone());
        let (started_at, outcome) = (self.0.database.now(), UploadOutcome::Refused(code));
        let record = UploadRecord { client, path, started_at, elapsed_ms: 0, outcome };
        self.0.database.record(Record::Upload(Box::new(record)));
    }

    /// Aborts, beside the requests, multipart uploads that an earlier run left behind.
    pub fn sweep_in_background(&self) {
        let clients = self.0.clients.policies().map(|policy| policy.name.clone());
        let prefixes = sweep::prefixes(&self.0.prefix, clients);
        // It only reads and aborts, so it may end at any time with the process.
        drop(tokio::spawn(sweep::sweep_at_start(self.0.store.clone(), prefixes)));
    }

    /// Writes what the database has not got yet. Called last: nothing is recorded after it.
    pub(crate) async fn close_database(&self) {
        self.0.database.close().await;
    }

    /// Returns whether S3 and the database answer, at most some seconds old.
    pub(crate) async fn readiness(&self) -> Readiness {
        let Shared { store, prefix, database, readiness, .. } = &*self.0;
        readiness.check(store, prefix, database).await
    }

    /// Waits until detached commits and clean-ups are done.
    pub(crate) async fn finish_background_work(&self) {
        self.0.uploads.finish_commits().await;
        self.0.store.wait_for_aborts().await;
    }
}

/// Returns the key that an `Authorization` header carries. An empty key is none.
fn presented_key(authorization: Option<&HeaderValue>) -> Option<&str> {
    let (scheme, key) = authorization?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_key_is_no_key() {
        #[rustfmt::skip]
        let cases = [
            ("Bearer abc",   Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ",      None),
            ("Bearer",       None),
            ("Bearer    ",   None),
            ("Basic abc",    None),
            ("",             None),
        ];
        for (value, want) in cases {
            let value = HeaderValue::from_static(value);
            assert_eq!(presented_key(Some(&value)), want, "{value:?}");
        }
        assert_eq!(presented_key(None), None);
    }
}

//! The state that all requests share, and how it is set up at start.
//!
//! Not here: routes and sockets (`server`), the calls (`handlers`).

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use s3up_core::wire::{Part, Readiness};
use s3up_core::{Code, Key, KeyPrefix, RemotePath};
use s3up_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clients::{Client, KeyRights};
use crate::clock::CLOCK;
use crate::config::Config;
use crate::dashboard::state::DashboardState;
use crate::database::Database;
use crate::database::record::{Record, UploadOutcome, UploadRecord};
use crate::failed_keys::FailedKeys;
use crate::freeze;
use crate::live::{Live, LiveConfig};
use crate::readiness::ReadinessCheck;
use crate::refusal::Refusal;
use crate::refusal::store::require_s3;
use crate::reload::status::ReloadStatus;
use crate::request::json_memory::JsonMemory;
use crate::start::checks::START_RETRY_FOR;
use crate::start::error::StartError;
use crate::start::retry::{self, BucketChecked};
use crate::sweep;
use crate::temporary_files::TemporaryFiles;
use crate::tls::Certificate;
use crate::uploads::Uploads;
use crate::uploads::admission::{
    Admission, AnnouncedLength, BUFFERS_PER_UPLOAD_MIN, PartLimits, admit,
};
use crate::uploads::record::UploadRecorder;

/// A running gateway; clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    live: LiveConfig,
    uploads: Uploads,
    database: Database,
    readiness: ReadinessCheck,
    bucket_checked: Arc<BucketChecked>,
    certificate: Arc<Certificate>,
    reloads: ReloadStatus,
    failed_keys: FailedKeys,
    dashboard: DashboardState,
    json_memory: JsonMemory,
    temporary_files: TemporaryFiles,
    prefix: KeyPrefix,
    /// Tasks that end when the gateway stops.
    background: TaskTracker,
    closing: CancellationToken,
}

impl Gateway {
    /// Connects to S3, checks the bucket and opens the database. If S3 does not answer, the
    /// gateway starts all the same, and checks the bucket until it does.
    pub async fn start(config: Config) -> Result<Gateway, StartError> {
        let (database, prefix) = (config.database.clone(), config.prefix.clone());
        let live = Live::connect(config.into_live()).await?;
        let checked = retry::check(&live, &prefix, START_RETRY_FOR).await;
        let is_checked = match checked {
            Ok(()) => true,
            Err(err) if retry::is_transient(&err) => {
                retry::log_unreached(&err);
                false
            }
            Err(err) => return Err(err),
        };
        let name = format!("{:016x}", getrandom::u64()?);
        let database = Database::start(database, name, CLOCK).await?;
        let live = LiveConfig::new(live);
        let recorder = UploadRecorder::new(database.clone(), prefix.clone());
        let gateway = Gateway(Arc::new(Shared {
            uploads: Uploads::new(live.clone(), database.clone(), recorder),
            live,
            database,
            readiness: ReadinessCheck::default(),
            bucket_checked: Arc::default(),
            certificate: Arc::default(),
            reloads: ReloadStatus::default(),
            failed_keys: FailedKeys::default(),
            dashboard: DashboardState::new(CLOCK),
            json_memory: JsonMemory::default(),
            temporary_files: TemporaryFiles::default(),
            prefix,
            background: TaskTracker::new(),
            closing: CancellationToken::new(),
        }));
        gateway.record_keys();
        freeze::read_first(gateway.database()).await;
        gateway.spawn(freeze::watch(gateway.database().clone()));
        let Shared { live, prefix, bucket_checked, .. } = &*gateway.0;
        if is_checked {
            bucket_checked.set();
        } else {
            let (live, prefix) = (live.clone(), prefix.clone());
            gateway.spawn(retry::check_until_reached(live, prefix, bucket_checked.clone()));
        }
        Ok(gateway)
    }

    /// Records all client keys of the configuration.
    pub(crate) fn record_keys(&self) {
        let at = self.0.database.now();
        for (client, key, _) in self.live().clients.keys() {
            self.0.database.record(Record::KeyKnown { client: client.clone(), key, at });
        }
    }

    /// Runs `task` until it ends or the gateway stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let closing = self.0.closing.clone();
        self.0.background.spawn(async move {
            closing.run_until_cancelled(task).await;
        });
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        self.0.live.get()
    }

    pub(crate) fn live_config(&self) -> &LiveConfig {
        &self.0.live
    }

    pub(crate) fn store(&self) -> Store {
        self.live().store.clone()
    }

    /// Returns the connection to S3 for a request that needs it, or refuses the request while S3 is
    /// known to be away.
    pub(crate) fn answering_store(&self) -> Result<Store, Refusal> {
        let store = self.store();
        require_s3(&store)?;
        Ok(store)
    }

    pub(crate) fn certificate(&self) -> &Arc<Certificate> {
        &self.0.certificate
    }

    pub(crate) fn reloads(&self) -> &ReloadStatus {
        &self.0.reloads
    }

    pub(crate) fn failed_keys(&self) -> &FailedKeys {
        &self.0.failed_keys
    }

    pub(crate) fn dashboard(&self) -> &DashboardState {
        &self.0.dashboard
    }

    pub(crate) fn json_memory(&self) -> &JsonMemory {
        &self.0.json_memory
    }

    pub(crate) fn temporary_files(&self) -> &TemporaryFiles {
        &self.0.temporary_files
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
        self.live().part_bytes
    }

    /// Returns the client whose key the request carries.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Client>, Refusal> {
        let unknown = || {
            let what = "expected `Authorization: Bearer KEY` with a key that the gateway knows";
            Refusal::new(Code::Unauthorized, what)
        };
        let key = presented_key(headers.get(header::AUTHORIZATION)).ok_or_else(unknown)?;
        let client = self.live().clients.find(key).ok_or_else(unknown)?;
        let by_host = client.key_rights == KeyRights::OfClient;
        self.0.database.record_key_use(&client.policy.name, client.key, by_host);
        client.count_request()?;
        Ok(Arc::new(client))
    }

    /// Refuses a request that carries no admin key.
    pub(crate) fn authenticate_admin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let live = self.live();
        match presented_key(headers.get(header::AUTHORIZATION)) {
            Some(key) if live.admin_keys.contains(key) => Ok(()),
            Some(key) if live.clients.find(key).is_some() => {
                let what =
                    "expected an admin key (`admin_keys` in server.yaml), found a client key";
                Err(Refusal::new(Code::Forbidden, what))
            }
            Some(_) | None => {
                let what = "expected `Authorization: Bearer KEY` with an admin key \
                            (`admin_keys` in server.yaml)";
                Err(Refusal::new(Code::Unauthorized, what))
            }
        }
    }

    /// Returns the client whose key an `Authorization` header carries.
    pub(crate) fn client(&self, authorization: Option<&HeaderValue>) -> Option<Client> {
        self.live().clients.find(presented_key(authorization)?)
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
        let is_checked = self.0.bucket_checked.require();
        let may_upload = is_checked
            .and_then(|()| require_s3(&self.live().store))
            .and_then(|()| freeze::check(&self.0.database, &client.policy.name));
        let admitted = may_upload.and_then(|()| self.try_admit(client, path, announced));
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
        let live = self.live();
        let limits = PartLimits {
            bytes: live.part_bytes,
            bytes_max: live.store.pool().budget_bytes() / BUFFERS_PER_UPLOAD_MIN,
            count_max: live.parts_max,
        };
        let admission = admit(&client.policy, path, announced, limits)?;
        Ok((key, admission))
    }

    /// Returns the bytes that a client may still store. `None`: it has no quota, or its usage is not
    /// known.
    pub(crate) async fn quota_left(&self, client: &Client) -> Option<u64> {
        let (name, quota_bytes) = (&client.policy.name, client.policy.quota_bytes?);
        self.0.database.usage(name).await.left(name, quota_bytes)
    }

    /// Records an upload that was refused before it began.
    fn record_refused(&self, client: &Client, path: &RemotePath, code: Code) {
        let (client, path) = (client.policy.name.clone(), path.clone());
        let (started_at, outcome) = (self.0.database.now(), UploadOutcome::Refused(code));
        let newest_at = self.0.database.elapsed();
        let record =
            UploadRecord { client, path, started_at, elapsed_ms: 0, newest_at, change: 0, outcome };
        self.0.database.record(Record::Upload(Box::new(record)));
    }

    /// Aborts, beside the requests, multipart uploads that an earlier run left behind.
    pub fn sweep_in_background(&self) {
        let live = self.live();
        let clients = live.clients.policies().map(|policy| policy.name.clone());
        let prefixes = sweep::prefixes(&self.0.prefix, clients);
        self.spawn(sweep::sweep_at_start(live.store.clone(), prefixes));
    }

    /// Writes what the database has not got yet. Called last: nothing is recorded after it.
    pub(crate) async fn close_database(&self) {
        self.0.database.close().await;
    }

    /// Returns whether S3 and the database answer, at most some seconds old.
    pub(crate) async fn readiness(&self) -> Readiness {
        let Shared { prefix, database, readiness, bucket_checked, reloads, .. } = &*self.0;
        let found = readiness.check(&self.store(), prefix, database).await;
        let is_checked = bucket_checked.get();
        Readiness {
            ready: found.ready && is_checked,
            s3: if is_checked { found.s3 } else { Part::Failing },
            config: reloads.part(),
            configs_refused: reloads.refusals(),
            temporary_files: self.0.temporary_files.part().await,
            ..found
        }
    }

    /// Waits until detached commits and clean-ups are done.
    pub(crate) async fn finish_background_work(&self) {
        self.0.closing.cancel();
        self.0.background.close();
        self.0.background.wait().await;
        self.0.uploads.finish_commits().await;
        self.store().wait_for_aborts().await;
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

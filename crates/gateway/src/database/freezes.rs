//! Clients whose uploads an operator has stopped.
//!
//! The database has them, so that all gateways and the next start agree. Each gateway keeps a copy, because
//! every upload asks: the copy is at most some seconds old, and stays in force while the database does not
//! answer, also over a restart ([`FreezesFile`]).

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;
use s3up_core::{ClientName, error_chain};
use sqlx::{AnyPool, Row as _};
use tokio::sync::Mutex;

use super::connect::{READ_WAIT_MAX, WRITE_WAIT_MAX, in_time};
use super::error::DatabaseError;
use super::freezes_file::FreezesFile;
pub(crate) use super::frozen_clients::Freeze;
use super::frozen_clients::FrozenClients;

/// The copy of this gateway.
#[derive(Debug)]
pub(super) struct Freezes {
    known: RwLock<Arc<FrozenClients>>,
    file: Option<FreezesFile>,
    /// Held by the only read at a time.
    saved: Mutex<Saved>,
}

/// The file of the last read.
#[derive(Debug, Default)]
struct Saved {
    frozen: Option<Arc<FrozenClients>>,
    is_failing: bool,
}

/// The source of the freezes at a start without the database.
#[derive(Debug)]
pub(crate) enum Remembered {
    /// This number of clients was frozen when the database last answered.
    Clients(usize),
    /// There is no file, or none is configured.
    Nothing,
    Unreadable {
        path: PathBuf,
        error: io::Error,
    },
}

impl Freezes {
    pub(super) fn new(file: Option<PathBuf>) -> Freezes {
        let (known, saved) = (RwLock::default(), Mutex::default());
        Freezes { known, file: file.map(FreezesFile::new), saved }
    }

    pub(super) fn get(&self, client: &ClientName) -> Option<Freeze> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(client).cloned()
    }

    /// Puts a freeze into force that was just recorded.
    pub(super) fn add(&self, client: &ClientName, freeze: Freeze) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut frozen = FrozenClients::clone(&known);
        frozen.insert(client.clone(), freeze);
        *known = Arc::new(frozen);
    }

    /// Reads the freezes from the database. There is one read at a time, so that no earlier one replaces the
    /// result of a later one.
    pub(super) async fn read(&self, pool: &AnyPool) -> Result<(), DatabaseError> {
        let mut saved = self.saved.lock().await;
        let frozen = Arc::new(all(pool).await?);
        self.replace(frozen.clone());
        if let Some(file) = &self.file
            && saved.frozen.as_ref() != Some(&frozen)
        {
            saved.save(file.clone(), frozen).await;
        }
        Ok(())
    }

    /// Puts the freezes into force that the file remembers.
    pub(super) async fn remember(&self) -> Remembered {
        let Some(file) = self.file.clone() else { return Remembered::Nothing };
        let path = file.path().to_owned();
        match in_background(move || file.load()).await {
            Ok(Some(frozen)) => {
                let count = frozen.len();
                self.replace(Arc::new(frozen));
                Remembered::Clients(count)
            }
            Ok(None) => Remembered::Nothing,
            Err(error) => Remembered::Unreadable { path, error },
        }
    }

    fn replace(&self, frozen: Arc<FrozenClients>) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = frozen;
    }
}

impl Saved {
    /// Saves freezes; what fails is tried again at the next read.
    async fn save(&mut self, file: FreezesFile, frozen: Arc<FrozenClients>) {
        let (path, written) = (file.path().to_owned(), frozen.clone());
        let saved = in_background(move || file.save(&written)).await;
        if let Err(err) = &saved
            && !self.is_failing
        {
            tracing::warn!(
                event = "freezes_not_saved",
                path = %path.display(),
                error = error_chain(err),
                "cannot write the file with the frozen clients, which counts if the gateway starts without \
                 its database"
            );
        }
        self.is_failing = saved.is_err();
        if saved.is_ok() {
            self.frozen = Some(frozen);
        }
    }
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err)))
}

async fn all(pool: &AnyPool) -> Result<FrozenClients, DatabaseError> {
    let query = sqlx::query("SELECT client, since, reason FROM freezes");
    let rows = in_time(READ_WAIT_MAX, query.fetch_all(pool).boxed(), DatabaseError::Read).await?;
    let mut frozen = FrozenClients::new();
    for row in &rows {
        let client: String = row.try_get("client").map_err(DatabaseError::Read)?;
        let freeze = Freeze {
            since: row.try_get("since").map_err(DatabaseError::Read)?,
            reason: row.try_get("reason").map_err(DatabaseError::Read)?,
        };
        // A name that this gateway cannot have written is no client.
        if let Ok(client) = ClientName::parse(&client) {
            frozen.insert(client, freeze);
        }
    }
    Ok(frozen)
}

/// Freezes a client. One that is frozen keeps its time, and gets the new reason.
pub(super) async fn insert(
    pool: &AnyPool,
    client: &ClientName,
    freeze: &Freeze,
) -> Result<(), DatabaseError> {
    let query = sqlx::query(
        "INSERT INTO freezes (client, since, reason) VALUES ($1, $2, $3) \
         ON CONFLICT (client) DO UPDATE SET reason = excluded.reason",
    );
    let query = query.bind(client.to_string()).bind(freeze.since).bind(freeze.reason.clone());
    in_time(WRITE_WAIT_MAX, query.execute(pool).boxed(), DatabaseError::Write).await.map(drop)
}

/// Returns true if the client was frozen.
pub(super) async fn delete(pool: &AnyPool, client: &ClientName) -> Result<bool, DatabaseError> {
    let query = sqlx::query("DELETE FROM freezes WHERE client = $1").bind(client.to_string());
    let query = query.execute(pool).boxed();
    let done = in_time(WRITE_WAIT_MAX, query, DatabaseError::Write).await?;
    Ok(done.rows_affected() > 0)
}

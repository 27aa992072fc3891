//! The turns of uploads of one path by several gateways: the upload that begins last wins.
//!
//! Within one gateway `uploads::in_flight` decides that. Gateways that share a PostgreSQL database also
//! take a turn there when an upload begins. Only the newest turn of a path may make its object
//! visible: an older upload that hung at another gateway is superseded, whichever ends first. While an
//! upload becomes visible, it holds its path, so that a newer one cannot become visible before it. A
//! gateway that is killed meanwhile holds the path until a time. An upload that cannot hold its path within a
//! time is refused.
//!
//! No failure of the database fails an upload: without a turn, the upload that becomes visible last wins,
//! as on S3 itself. With SQLite there is one gateway, which needs no turns.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use s3up_core::{ClientName, RemotePath, Stopwatch, error_chain};
use sqlx::{AnyPool, Row as _};

use super::connect::{Location, READ_WAIT_MAX, in_time};
use super::error::DatabaseError;
use crate::outage::Outage;

/// Time after which the path of a killed gateway is free. S3 may still work on a copy or a completion that it
/// had sent, although the connection is closed: one that takes longer than this may replace a newer upload.
const HOLD_MAX: Duration = Duration::from_secs(10);
/// Time after which an upload that becomes visible renews its hold.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// Maximum wait for another upload: its slowest request to S3 takes four minutes.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Pause between two checks of a path that another upload holds.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// Time of PostgreSQL in milliseconds.
const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";

/// The turns of all uploads. Clones share it.
#[derive(Clone)]
pub(super) struct Turns {
    /// `None`: this gateway is the only one.
    pool: Option<AnyPool>,
    running: Stopwatch,
    outage: Arc<Mutex<Outage>>,
}

/// Reason for which an upload may not become visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldError {
    /// A newer upload has begun.
    Superseded,
    /// Another upload of the path has not ended in time.
    Busy,
}

/// The turn of one upload.
pub(crate) struct Turn {
    turns: Turns,
    /// `None`: the database did not answer.
    taken: Option<TakenTurn>,
}

#[derive(Clone)]
struct TakenTurn {
    pool: AnyPool,
    client: String,
    path: String,
    /// Random, so that it is unique to this upload.
    number: i64,
}

/// The right to make an upload visible.
#[derive(Debug, PartialEq, Eq)]
enum Permit {
    Granted,
    /// Another upload becomes visible.
    Wait,
    /// A newer upload has begun.
    Superseded,
}

impl Turns {
    pub(super) fn new(location: &Location, running: Stopwatch) -> Result<Turns, DatabaseError> {
        let pool = match location {
            Location::Sqlite(_) => None,
            Location::Postgres(_) => Some(location.turns_pool()?),
        };
        Ok(Turns { pool, running, outage: Arc::default() })
    }

    /// Takes the newest turn of a path, for an upload that begins.
    pub(super) async fn take(&self, client: &ClientName, path: &RemotePath) -> Turn {
        let turn = |taken| Turn { turns: self.clone(), taken };
        let (Some(pool), Ok(random)) = (&self.pool, getrandom::u64()) else { return turn(None) };
        let taken = TakenTurn {
            pool: pool.clone(),
            client: client.to_string(),
            path: path.to_string(),
            number: random.cast_signed(),
        };
        match in_time(READ_WAIT_MAX, taken.take(), DatabaseError::Write).await {
            Ok(()) => {
                self.outage(Outage::ended);
                turn(Some(taken))
            }
            Err(err) => {
                self.failed(&err);
                turn(None)
            }
        }
    }

    pub(super) async fn close(&self) {
        if let Some(pool) = &self.pool {
            pool.close().await;
        }
    }

    fn failed(&self, err: &DatabaseError) {
        let at = self.running.elapsed();
        if self.outage(|outage| outage.failed(at)) {
            tracing::warn!(
                event = "turns_failed",
                error = error_chain(err),
                "uploads continue without turns; of two uploads of one path at two gateways, the one that \
                 ends last wins"
            );
        }
    }

    fn outage<T>(&self, act: impl FnOnce(&mut Outage) -> T) -> T {
        act(&mut self.outage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Turn {
    /// Waits until no other upload of the path becomes visible, and holds the path. After an error the upload
    /// may not become visible.
    pub(crate) async fn hold(&self) -> Result<(), HoldError> {
        self.hold_within(WAIT_MAX).await
    }

    pub(super) async fn hold_within(&self, wait_max: Duration) -> Result<(), HoldError> {
        let Some(taken) = &self.taken else { return Ok(()) };
        let began = self.turns.running.elapsed();
        loop {
            match in_time(READ_WAIT_MAX, taken.permit(), DatabaseError::Write).await {
                Ok(Permit::Granted) => return Ok(()),
                Ok(Permit::Superseded) => return Err(HoldError::Superseded),
                Ok(Permit::Wait) => {}
                Err(err) => {
                    self.turns.failed(&err);
                    return Ok(());
                }
            }
            if self.turns.running.elapsed().saturating_sub(began) >= wait_max {
                return Err(HoldError::Busy);
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// Runs `work`, which makes the upload visible, and keeps its path held meanwhile.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(taken) = &self.taken else { return work.await };
        tokio::select! {
            biased;
            done = work => done,
            never = self.keep_held(taken) => match never {},
        }
    }

    async fn keep_held(&self, taken: &TakenTurn) -> Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match in_time(READ_WAIT_MAX, taken.renew(), DatabaseError::Write).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(
                        event = "turn_lost",
                        client = taken.client,
                        path = taken.path,
                        "this gateway did not hold the path in time, and another upload of it may have become \
                         visible; this upload continues, and the one that ends last wins"
                    );
                    return std::future::pending().await;
                }
                Err(err) => self.turns.failed(&err),
            }
        }
    }

    /// Frees the path. A failure delays the next upload of the path at most.
    pub(crate) async fn end(self) {
        let Some(taken) = &self.taken else { return };
        if let Err(err) = in_time(READ_WAIT_MAX, taken.end(), DatabaseError::Write).await {
            self.turns.failed(&err);
        }
    }
}

impl TakenTurn {
    fn take(&self) -> BoxFuture<'_, sqlx::Result<()>> {
        let text = "INSERT INTO turns (client, path, newest, begun_at) VALUES ($1, $2, $3, NOW) \
                    ON CONFLICT (client, path) DO UPDATE SET \
                        newest = excluded.newest, begun_at = excluded.begun_at";
        async move {
            let query = sqlx::query(sqlx::AssertSqlSafe(text.replace("NOW", NOW)));
            let query = query.bind(self.client.clone()).bind(self.path.clone()).bind(self.number);
            query.execute(&self.pool).await.map(drop)
        }
        .boxed()
    }

    fn permit(&self) -> BoxFuture<'_, sqlx::Result<Permit>> {
        let hold = HOLD_MAX.as_millis();
        let text = format!(
            "UPDATE turns SET holder = $3, held_until = {NOW} + {hold} \
             WHERE client = $1 AND path = $2 AND newest = $3 \
                 AND (holder IS NULL OR holder = $3 OR held_until < {NOW})"
        );
        async move {
            let query = sqlx::query(sqlx::AssertSqlSafe(text));
            let query = query.bind(self.client.clone()).bind(self.path.clone()).bind(self.number);
            if query.execute(&self.pool).await?.rows_affected() > 0 {
                return Ok(Permit::Granted);
            }
            let query = sqlx::query("SELECT newest FROM turns WHERE client = $1 AND path = $2");
            let query = query.bind(self.client.clone()).bind(self.path.clone());
            let newest: Option<i64> = match query.fetch_optional(&self.pool).await? {
                Some(row) => Some(row.try_get("newest")?),
                // A newer upload has ended.
                None => None,
            };
            Ok(if newest == Some(self.number) { Permit::Wait } else { Permit::Superseded })
        }
        .boxed()
    }

    /// Returns false if the path is not held any more.
    fn renew(&self) -> BoxFuture<'_, sqlx::Result<bool>> {
        let text = format!(
            "UPDATE turns SET held_until = {NOW} + {} \
             WHERE client = $1 AND path = $2 AND holder = $3",
            HOLD_MAX.as_millis()
        );
        async move {
            let query = sqlx::query(sqlx::AssertSqlSafe(text));
            let query = query.bind(self.client.clone()).bind(self.path.clone()).bind(self.number);
            Ok(query.execute(&self.pool).await?.rows_affected() > 0)
        }
        .boxed()
    }

    fn end(&self) -> BoxFuture<'_, sqlx::Result<()>> {
        async move {
            let bind = |text| {
                let query = sqlx::query(text).bind(self.client.clone()).bind(self.path.clone());
                query.bind(self.number)
            };
            let text = "DELETE FROM turns WHERE client = $1 AND path = $2 AND newest = $3 \
                            AND (holder IS NULL OR holder = $3)";
            if bind(text).execute(&self.pool).await?.rows_affected() == 0 {
                let text = "UPDATE turns SET holder = NULL, held_until = NULL \
                            WHERE client = $1 AND path = $2 AND holder = $3";
                bind(text).execute(&self.pool).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

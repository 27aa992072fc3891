//! Answers whether paths are new, for many uploads at once.
//!
//! A query costs an upload of a short file more than all its hashing. So all questions that arrive
//! while one query runs are answered by the next one. The connection is kept between queries: a pool
//! asks the database whether it is still there before each query and after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::FutureExt;
use s3up_core::{ClientName, RemotePath};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};
use tokio::sync::{mpsc, oneshot};

use super::connect::{READ_WAIT_MAX, in_time};
use super::error::DatabaseError;
use super::read;

/// Maximum number of questions that one query answers, and that wait for the next one.
const QUESTIONS_MAX: usize = 256;
/// Time without a question after which the connection is given back. A gateway that stops waits for that.
const IDLE_MAX: Duration = Duration::from_millis(100);

/// Takes questions. The task that answers them ends with it.
pub(super) struct NewPaths(mpsc::Sender<PathQuestion>);

struct PathQuestion {
    client: ClientName,
    path: RemotePath,
    reply: oneshot::Sender<bool>,
}

impl NewPaths {
    pub(super) fn start(readers: AnyPool) -> NewPaths {
        let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
        tokio::spawn(answer(readers, questions));
        NewPaths(sender)
    }

    /// Returns true if the catalogue has every file of the client, and none under `path`. Without an
    /// answer of the database it returns false.
    pub(super) async fn is_new(&self, client: &ClientName, path: &RemotePath) -> bool {
        let (reply, answer) = oneshot::channel();
        let question = PathQuestion { client: client.clone(), path: path.clone(), reply };
        self.0.send(question).await.is_ok() && answer.await.unwrap_or(false)
    }
}

async fn answer(readers: AnyPool, mut questions: mpsc::Receiver<PathQuestion>) {
    let mut connection = ReaderConnection { readers, kept: None };
    let mut waiting = Vec::with_capacity(QUESTIONS_MAX);
    loop {
        let received = questions.recv_many(&mut waiting, QUESTIONS_MAX);
        let count = match connection.kept {
            None => received.await,
            Some(_) => match tokio::time::timeout(IDLE_MAX, received).await {
                Ok(count) => count,
                Err(_) => {
                    connection.kept = None;
                    continue;
                }
            },
        };
        if count == 0 {
            return;
        }
        let mut by_client: BTreeMap<ClientName, Vec<PathQuestion>> = BTreeMap::new();
        for question in waiting.drain(..) {
            by_client.entry(question.client.clone()).or_default().push(question);
        }
        for (client, asked) in by_client {
            let known = connection.known(&client, &asked).await;
            reply(known.as_ref(), asked);
        }
    }
}

/// A connection that is kept between queries until one fails.
struct ReaderConnection {
    readers: AnyPool,
    kept: Option<PoolConnection<Any>>,
}

impl ReaderConnection {
    /// Returns those of the paths that are known; `None` if others may be stored as well. An error is
    /// reported by those who need an answer.
    async fn known(
        &mut self,
        client: &ClientName,
        asked: &[PathQuestion],
    ) -> Option<BTreeSet<String>> {
        let mut connection = match self.kept.take() {
            Some(kept) => kept,
            None => {
                let acquired = self.readers.acquire().boxed();
                in_time(READ_WAIT_MAX, acquired, DatabaseError::Read).await.ok()?
            }
        };
        let paths: Vec<_> = asked.iter().map(|question| question.path.as_str()).collect();
        let known = read::known_paths(&mut connection, client, &paths).await.ok()?;
        self.kept = Some(connection);
        known
    }
}

/// An upload that was dropped meanwhile takes no answer.
fn reply(known: Option<&BTreeSet<String>>, asked: Vec<PathQuestion>) {
    for PathQuestion { path, reply, .. } in asked {
        let is_new = known.is_some_and(|known| !known.contains(path.as_str()));
        reply.send(is_new).ok();
    }
}

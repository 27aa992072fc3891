//! Answers whether paths are new, for many uploads at once.
//!
//! A query costs an upload of a short file more than all its hashing. So all questions that arrive
//! while one query runs are answered by the next one.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use s3up_core::{ClientName, RemotePath};
use sqlx::AnyPool;
use tokio::sync::{mpsc, oneshot};

use super::read;

/// Maximum number of questions that one query answers, and that wait for the next one.
const QUESTIONS_MAX: usize = 256;

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
    let mut waiting = Vec::with_capacity(QUESTIONS_MAX);
    while questions.recv_many(&mut waiting, QUESTIONS_MAX).await > 0 {
        let mut by_client: BTreeMap<ClientName, Vec<PathQuestion>> = BTreeMap::new();
        for question in waiting.drain(..) {
            by_client.entry(question.client.clone()).or_default().push(question);
        }
        join_all(by_client.iter().map(|(client, asked)| known(&readers, client, asked)))
            .await
            .into_iter()
            .zip(by_client.into_values())
            .for_each(|(known, asked)| reply(known.as_ref(), asked));
    }
}

/// Returns those of the paths that are known; `None` if others may be stored as well. An error is
/// reported by those who need an answer.
async fn known(
    readers: &AnyPool,
    client: &ClientName,
    asked: &[PathQuestion],
) -> Option<BTreeSet<String>> {
    let paths: Vec<_> = asked.iter().map(|question| question.path.as_str()).collect();
    read::known_paths(readers, client, &paths).await.ok().flatten()
}

/// An upload that was dropped meanwhile takes no answer.
fn reply(known: Option<&BTreeSet<String>>, asked: Vec<PathQuestion>) {
    for PathQuestion { path, reply, .. } in asked {
        let is_new = known.is_some_and(|known| !known.contains(path.as_str()));
        reply.send(is_new).ok();
    }
}

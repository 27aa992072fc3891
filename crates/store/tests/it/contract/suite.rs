//! Asks a server about every behaviour, and judges the answers by the list of
//! differences.

use std::time::Duration;

use futures::StreamExt;

use super::behaviours::{self, Behaviour, Needs};
use super::servers::{Name, Target};
use super::verdict::{Differs, Held};
use super::{differences, document, engine};

/// Asked at once: what takes time is mostly the server's own work.
const AT_ONCE: usize = 4;
/// A server that does not answer must not stop the suite.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Held,
    /// What it did instead.
    Differs(String),
    /// Why it could not be asked.
    NotAsked(&'static str),
}

#[derive(Debug)]
pub struct Answer {
    pub behaviour: &'static Behaviour,
    pub outcome: Outcome,
}

/// What is wrong with the server, the list of differences, the document, or what
/// our engine makes of the server.
pub async fn ask_and_judge(target: &Target) -> Vec<String> {
    let asking = behaviours::ALL.iter().map(|behaviour| ask(target, behaviour));
    let answers: Vec<_> = futures::stream::iter(asking).buffered(AT_ONCE).collect().await;
    let mut complaints: Vec<_> =
        answers.iter().filter_map(|answer| complaint(target.name, answer)).collect();
    complaints.extend(document::complaint(target.name, &answers));
    complaints.extend(engine::complaint(target, &answers).await);
    complaints
}

async fn ask(target: &Target, behaviour: &'static Behaviour) -> Answer {
    let server = match behaviour.needs {
        Needs::Nothing => Ok(&target.server),
        Needs::Versions => target.versioned.as_ref().ok_or("the bucket keeps no versions"),
        Needs::OwnBucket if target.is_ours => Ok(&target.server),
        Needs::OwnBucket => Err("the bucket has settings of its owner"),
    };
    let outcome = match server {
        Err(reason) => Outcome::NotAsked(reason),
        Ok(server) => {
            let server = server.below(behaviour.name);
            match tokio::time::timeout(PATIENCE, (behaviour.ask)(&server)).await {
                Ok(Ok(Held)) => Outcome::Held,
                Ok(Err(Differs(instead))) => Outcome::Differs(instead),
                Err(_) => Outcome::Differs("no answer in time".to_owned()),
            }
        }
    };
    Answer { behaviour, outcome }
}

fn complaint(server: Name, answer: &Answer) -> Option<String> {
    let name = answer.behaviour.name;
    let listed = differences::of(server, name).map(|entry| entry.instead);
    match (&answer.outcome, listed) {
        (Outcome::Held, None) | (Outcome::NotAsked(_), _) => None,
        (Outcome::Differs(instead), Some(listed)) if instead == listed => None,
        (Outcome::Held, Some(listed)) => {
            Some(format!("{name}: holds, and is listed as a difference: {listed}"))
        }
        (Outcome::Differs(instead), None) => {
            Some(format!("{name}: differs, and is not listed: {instead}"))
        }
        (Outcome::Differs(instead), Some(listed)) => {
            Some(format!("{name}: differs: {instead}; listed is: {listed}"))
        }
    }
}

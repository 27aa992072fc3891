//! Tests every behaviour on a server, and compares the results with the list of
//! differences.

use std::time::Duration;

use futures::StreamExt;

use super::behaviours::{self, Behaviour, Needs};
use super::servers::{ServerName, Target};
use super::verdict::{Differs, Held};
use super::{differences, document, probe};

/// Behaviours that are tested at once: most of the time is the server's own work.
const CONCURRENCY: usize = 4;
/// A server that does not answer must not block the suite.
const TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Held,
    /// The behaviour of the server.
    Differs(String),
    /// The reason why the behaviour could not be tested.
    NotTested(&'static str),
}

#[derive(Debug)]
pub struct Answer {
    pub behaviour: &'static Behaviour,
    pub outcome: Outcome,
}

/// Returns what is wrong with the server, the list of differences, the document, or
/// the store's view of the server.
pub async fn check_server(target: &Target) -> Vec<String> {
    let checks = behaviours::ALL.iter().map(|behaviour| check(target, behaviour));
    let answers: Vec<_> = futures::stream::iter(checks).buffered(CONCURRENCY).collect().await;
    let mut problems: Vec<_> =
        answers.iter().filter_map(|answer| problem(target.name, answer)).collect();
    problems.extend(document::problem(target.name, &answers));
    problems.extend(probe::problem(target, &answers).await);
    problems
}

async fn check(target: &Target, behaviour: &'static Behaviour) -> Answer {
    let server = match behaviour.needs {
        Needs::Nothing => Ok(&target.server),
        Needs::Versions => target.versioned.as_ref().ok_or("the bucket keeps no versions"),
        Needs::OwnBucket if target.is_ours => Ok(&target.server),
        Needs::OwnBucket => Err("the bucket belongs to somebody else"),
    };
    let outcome = match server {
        Err(reason) => Outcome::NotTested(reason),
        Ok(server) => {
            let server = server.below(behaviour.name);
            match tokio::time::timeout(TIME_MAX, (behaviour.check)(&server)).await {
                Ok(Ok(Held)) => Outcome::Held,
                Ok(Err(Differs(instead))) => Outcome::Differs(instead),
                Err(_) => Outcome::Differs("no answer in time".to_owned()),
            }
        }
    };
    Answer { behaviour, outcome }
}

fn problem(server: ServerName, answer: &Answer) -> Option<String> {
    let name = answer.behaviour.name;
    let listed = differences::of(server, name).map(|entry| entry.instead);
    match (&answer.outcome, listed) {
        (Outcome::Held, None) | (Outcome::NotTested(_), _) => None,
        (Outcome::Differs(instead), Some(listed)) if instead == listed => None,
        (Outcome::Held, Some(listed)) => {
            Some(format!("{name}: holds, but is listed as a difference: {listed}"))
        }
        (Outcome::Differs(instead), None) => {
            Some(format!("{name}: differs, but is not listed: {instead}"))
        }
        (Outcome::Differs(instead), Some(listed)) => {
            Some(format!("{name}: differs: expected {listed}, found {instead}"))
        }
    }
}

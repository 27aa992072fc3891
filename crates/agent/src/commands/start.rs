//! Starts an agent for a command. A lock that is held has an exit code of its own.

use s3up_cli::Exit;

use crate::agent::{Agent, StartError};
use crate::config::Config;
use crate::database::LockError;

pub(super) async fn start(config: Config) -> anyhow::Result<Agent> {
    Agent::start(config).await.map_err(|err| match err {
        StartError::Lock(LockError::Held { .. }) => Exit::Locked.with(err),
        StartError::Lock(_) | StartError::Db(_) | StartError::Client(_) => err.into(),
    })
}

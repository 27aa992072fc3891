//! The memory for request bodies in JSON, which are read whole.
//!
//! It is apart from the buffer budget: a heartbeat does not wait for uploads. Each client has a
//! share of it, so that one client cannot keep the others out.

use std::sync::Arc;
use std::time::Duration;

use s3up_core::{Code, Size};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::buffer_wait::BUFFER_WAIT;
use crate::refusal::Refusal;

/// Maximum memory for the bodies of all clients: some of the longest ones.
const BYTES_MAX: usize = 64 << 20;
/// Maximum memory for the bodies of one client: a report and a query of the longest paths, with a
/// heartbeat beside them.
const CLIENT_BYTES_MAX: usize = 9 << 20;

/// The memory for the bodies of all clients. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct JsonMemory(Arc<Semaphore>);

/// The part of this memory that one client may hold. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct JsonShare(Arc<Semaphore>);

/// The memory for one body, until it is dropped.
#[derive(Debug)]
pub(crate) struct JsonPermit {
    _of_client: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for JsonMemory {
    fn default() -> JsonMemory {
        JsonMemory(Arc::new(Semaphore::new(BYTES_MAX)))
    }
}

impl Default for JsonShare {
    fn default() -> JsonShare {
        JsonShare(Arc::new(Semaphore::new(CLIENT_BYTES_MAX)))
    }
}

impl JsonMemory {
    /// Takes memory for a body of `bytes`. A client that has no room left is refused at once; if all
    /// memory is in use, this waits for some time.
    pub(crate) async fn take(&self, share: &JsonShare, bytes: u64) -> Result<JsonPermit, Refusal> {
        self.take_within(BUFFER_WAIT, share, bytes).await
    }

    async fn take_within(
        &self,
        wait: Duration,
        share: &JsonShare,
        bytes: u64,
    ) -> Result<JsonPermit, Refusal> {
        let units = u32::try_from(bytes).unwrap_or(u32::MAX);
        let of_client = share.0.clone().try_acquire_many_owned(units).map_err(|_| {
            let limit = Size(CLIENT_BYTES_MAX as u64);
            let what =
                format!("this client has bodies of more than {limit} in progress; try again later");
            Refusal::new(Code::RateLimited, what)
        })?;
        let of_all = tokio::time::timeout(wait, self.0.clone().acquire_many_owned(units));
        match of_all.await {
            Ok(Ok(of_all)) => Ok(JsonPermit { _of_client: of_client, _of_all: of_all }),
            Ok(Err(_)) | Err(_) => Err(Refusal::new(
                Code::Overloaded,
                "the gateway has no memory for this request; try again later",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_has_a_share_and_all_clients_have_a_limit() {
        let (memory, one) = (JsonMemory::default(), JsonShare::default());
        let code = |taken: Result<JsonPermit, Refusal>| taken.err().map(|refusal| refusal.code);

        let held = [memory.take(&one, 4 << 20).await, memory.take(&one, 4 << 20).await];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(code(memory.take(&one, 4 << 20).await), Some(Code::RateLimited));
        let mut others = Vec::new();
        for _ in 0..7 {
            others.push(memory.take(&JsonShare::default(), 8 << 20).await.unwrap());
        }
        let last = memory.take_within(Duration::ZERO, &JsonShare::default(), 1).await;
        assert_eq!(code(last), Some(Code::Overloaded));
        drop(held);

        assert!(memory.take(&one, 4 << 20).await.is_ok());
    }
}

//! Buffers that wait for their SHA-256, hashed two at a time.
//!
//! Two take the processor two thirds of the time that one after the other does
//! (`s3up_sha256::of_two`). So only as many threads hash as leave some for all
//! else, the others wait, and whoever is done takes two of them.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::Sha256Digest;
use tokio::sync::oneshot;

use crate::pool::Buffer;

#[derive(Clone)]
pub(crate) struct Pairs {
    threads_max: usize,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    /// That hash.
    threads: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    buffer: Buffer,
    tell: oneshot::Sender<(Buffer, Sha256Digest)>,
}

impl Pairs {
    /// Half of the processors hash.
    pub(crate) fn new() -> Pairs {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Pairs { threads_max: processors.div_ceil(2), queue: Arc::default() }
    }

    /// Gives the buffer back, so that it can be filled once more.
    pub(crate) async fn sha256(&self, buffer: Buffer) -> (Buffer, Sha256Digest) {
        let (tell, told) = oneshot::channel();
        if self.wait(Waiting { buffer, tell }) {
            let pairs = self.clone();
            tokio::task::spawn_blocking(move || pairs.work());
        }
        match told.await {
            Ok(hashed) => hashed,
            // Only a runtime that is shutting down drops what waits, and then
            // nobody is there to be answered.
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether one more thread has to begin.
    fn wait(&self, waiting: Waiting) -> bool {
        let mut queue = self.queue();
        queue.waiting.push_back(waiting);
        let begins = queue.threads < self.threads_max;
        queue.threads += usize::from(begins);
        begins
    }

    /// Hashes until nothing waits.
    fn work(&self) {
        while let Some((one, other)) = self.next() {
            let Some(other) = other else {
                let digest = Sha256Digest::of(&one.buffer);
                one.tell(digest);
                continue;
            };
            let [of_one, of_other] = s3up_sha256::of_two([&one.buffer, &other.buffer]);
            one.tell(of_one);
            other.tell(of_other);
        }
    }

    fn next(&self) -> Option<(Waiting, Option<Waiting>)> {
        let mut queue = self.queue();
        let Some(one) = queue.waiting.pop_front() else {
            queue.threads -= 1;
            return None;
        };
        Some((one, queue.waiting.pop_front()))
    }

    /// Whole again after each change, whatever a thread did.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn tell(self, digest: Sha256Digest) {
        // Whoever asked may be gone.
        self.tell.send((self.buffer, digest)).ok();
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::pool::Pool;

    async fn buffers(pool: &Pool, count: u8) -> Vec<Buffer> {
        let mut buffers = Vec::new();
        for n in 0..count {
            let mut buffer = pool.take_within(1 << 20, None, None).await.expect("a buffer");
            buffer.fill_from(&vec![n; (1 << 20) - 1000 * usize::from(n)]);
            buffers.push(buffer);
        }
        buffers
    }

    #[tokio::test]
    async fn each_gets_its_own_digest_and_buffer_back() {
        let pool = Pool::new(32 << 20);
        for threads_max in [1, 2] {
            let pairs = Pairs { threads_max, queue: Arc::default() };
            let hashed = buffers(&pool, 7).await.into_iter().map(|buffer| pairs.sha256(buffer));

            for (n, (buffer, digest)) in join_all(hashed).await.into_iter().enumerate() {
                assert_eq!((buffer[0], digest), (n as u8, Sha256Digest::of(&buffer)));
            }

            let last = buffers(&pool, 1).await.remove(0);
            assert_eq!(pairs.sha256(last).await.0.len(), 1 << 20);
        }
    }

    #[tokio::test]
    async fn two_of_those_that_wait_are_taken_together() {
        let pool = Pool::new(32 << 20);
        let pairs = Pairs { threads_max: 1, queue: Arc::default() };
        let begins = buffers(&pool, 3).await.into_iter().map(|buffer| {
            let (tell, _) = oneshot::channel();
            pairs.wait(Waiting { buffer, tell })
        });
        assert_eq!(begins.collect::<Vec<_>>(), [true, false, false]);

        let took: Vec<_> =
            std::iter::from_fn(|| pairs.next().map(|(_, two)| two.is_some())).collect();

        assert_eq!(took, [true, false]);
        assert_eq!(pairs.queue().threads, 0, "the next one begins again");
    }
}

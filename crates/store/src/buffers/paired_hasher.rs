//! Computes the SHA-256 of buffers, two at a time where possible.
//!
//! Hashing two at once takes two thirds of the CPU time of one after the other
//! (`s3up_sha256::digest_pair`). So a buffer whose digest is not demanded yet waits for
//! a second one. Only some of the threads hash, so that the others stay free, and a
//! thread that is done takes the next two.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::Sha256Digest;
use tokio::sync::{oneshot, watch};

use crate::buffers::buffer::Buffer;

/// True once a reader waits for the buffer. A dropped sender counts as true.
pub(crate) type DigestDemand = watch::Receiver<bool>;

#[derive(Clone)]
pub(crate) struct PairedHasher {
    threads_max: usize,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    /// Number of threads that are hashing.
    threads: usize,
    waiting: VecDeque<Waiting>,
    /// Number of the next buffer to wait.
    number: u64,
}

struct Waiting {
    number: u64,
    buffer: Buffer,
    demand: DigestDemand,
    reply: oneshot::Sender<(Buffer, Sha256Digest)>,
}

/// The slot of one buffer in the queue; dropping it removes the buffer.
struct QueueSlot<'h> {
    hasher: &'h PairedHasher,
    number: u64,
}

impl PairedHasher {
    /// Creates a hasher that uses half of the processors.
    pub(crate) fn new() -> PairedHasher {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        PairedHasher { threads_max: processors.div_ceil(2), queue: Arc::default() }
    }

    /// Returns the buffer with its digest, so that it can be filled again. A buffer
    /// without a partner is hashed only once `demand` is true.
    pub(crate) async fn sha256(
        &self,
        buffer: Buffer,
        mut demand: DigestDemand,
    ) -> (Buffer, Sha256Digest) {
        let (reply, mut hashed) = oneshot::channel();
        let _slot = self.enqueue(buffer, demand.clone(), reply);
        self.start_thread();
        // An error means that the sender is gone, which counts as demand.
        let demanded = async { demand.wait_for(|demanded| *demanded).await.map(drop) };
        let digest = tokio::select! {
            digest = &mut hashed => digest,
            _ = demanded => {
                self.start_thread();
                hashed.await
            }
        };
        match digest {
            Ok(digest) => digest,
            // Only a runtime that is shutting down drops queued buffers, and then
            // there is no caller left to answer.
            Err(_) => std::future::pending().await,
        }
    }

    fn enqueue(
        &self,
        buffer: Buffer,
        demand: DigestDemand,
        reply: oneshot::Sender<(Buffer, Sha256Digest)>,
    ) -> QueueSlot<'_> {
        let mut queue = self.queue();
        let number = queue.number;
        queue.number += 1;
        queue.waiting.push_back(Waiting { number, buffer, demand, reply });
        QueueSlot { hasher: self, number }
    }

    /// Starts another thread if there is work and a free slot.
    fn start_thread(&self) {
        let mut queue = self.queue();
        if queue.threads < self.threads_max && queue.is_ready() {
            queue.threads += 1;
            let hasher = self.clone();
            tokio::task::spawn_blocking(move || hasher.work());
        }
    }

    /// Hashes until no buffer is ready.
    fn work(&self) {
        while let Some((one, other)) = self.next() {
            let Some(other) = other else {
                let digest = Sha256Digest::of(&one.buffer);
                one.reply(digest);
                continue;
            };
            let [of_one, of_other] = s3up_sha256::digest_pair([&one.buffer, &other.buffer]);
            one.reply(of_one);
            other.reply(of_other);
        }
    }

    fn next(&self) -> Option<(Waiting, Option<Waiting>)> {
        let mut queue = self.queue();
        let next = queue.take();
        queue.threads -= usize::from(next.is_none());
        next
    }

    /// Every change keeps the queue consistent, so a poisoned lock is usable.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_ready(&self) -> bool {
        self.waiting.len() >= 2 || self.waiting.front().is_some_and(Waiting::is_demanded)
    }

    fn take(&mut self) -> Option<(Waiting, Option<Waiting>)> {
        let is_ready = self.is_ready();
        let one = if is_ready { self.waiting.pop_front() } else { None };
        one.map(|one| (one, self.waiting.pop_front()))
    }
}

impl Waiting {
    fn is_demanded(&self) -> bool {
        *self.demand.borrow() || self.demand.has_changed().is_err()
    }

    fn reply(self, digest: Sha256Digest) {
        // The caller may have been dropped.
        self.reply.send((self.buffer, digest)).ok();
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        let number = self.number;
        let mut queue = self.hasher.queue();
        let position = queue.waiting.iter().position(|waiting| waiting.number == number);
        // Dropping the buffer takes another lock.
        let removed = position.and_then(|at| queue.waiting.remove(at));
        drop(queue);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;
    use crate::buffers::pool::Pool;

    async fn buffers(pool: &Pool, count: u8) -> Vec<Buffer> {
        let mut buffers = Vec::new();
        for n in 0..count {
            let mut buffer = pool.take_within(1 << 20, None, None).await.expect("a buffer");
            buffer.fill_from(&vec![n; (1 << 20) - 1000 * usize::from(n)]);
            buffers.push(buffer);
        }
        buffers
    }

    fn hasher(threads_max: usize) -> PairedHasher {
        PairedHasher { threads_max, queue: Arc::default() }
    }

    #[tokio::test]
    async fn each_caller_gets_its_own_digest_and_buffer() {
        let pool = Pool::new(32 << 20);
        for threads_max in [1, 2] {
            let hasher = hasher(threads_max);
            let demand = watch::channel(true);
            let hashed = buffers(&pool, 7).await.into_iter();
            let hashed = hashed.map(|buffer| hasher.sha256(buffer, demand.1.clone()));

            for (n, (buffer, digest)) in join_all(hashed).await.into_iter().enumerate() {
                assert_eq!((buffer[0], digest), (n as u8, Sha256Digest::of(&buffer)));
            }
        }
    }

    #[tokio::test]
    async fn a_buffer_alone_is_hashed_once_it_is_demanded_or_its_reader_is_gone() {
        let pool = Pool::new(32 << 20);
        for signal in [|reader: watch::Sender<bool>| reader.send(true).expect("a receiver"), drop] {
            let hasher = hasher(1);
            let (reader, demand) = watch::channel(false);
            let buffer = buffers(&pool, 1).await.remove(0);
            let mut hashed = Box::pin(hasher.sha256(buffer, demand));
            assert!(hashed.as_mut().now_or_never().is_none());
            assert_eq!(hasher.queue().threads, 0);

            signal(reader);

            assert_eq!(hashed.await.0.len(), 1 << 20);
        }
    }

    #[tokio::test]
    async fn two_buffers_are_hashed_together_before_they_are_demanded() {
        let pool = Pool::new(32 << 20);
        let hasher = hasher(1);
        let (_reader, demand) = watch::channel(false);
        let hashed = buffers(&pool, 2).await.into_iter();
        let hashed = hashed.map(|buffer| hasher.sha256(buffer, demand.clone()));
        assert_eq!(join_all(hashed).await.len(), 2);
    }

    #[tokio::test]
    async fn a_cancelled_request_returns_its_buffer() {
        let pool = Pool::new(1 << 20);
        let hasher = hasher(1);
        let (_reader, demand) = watch::channel(false);
        let buffer = buffers(&pool, 1).await.remove(0);
        let mut hashed = Box::pin(hasher.sha256(buffer, demand));
        assert!(hashed.as_mut().now_or_never().is_none());
        let taken = || pool.take_within(1 << 20, None, Some(Duration::ZERO));
        assert!(taken().await.is_err());

        drop(hashed);

        assert!(taken().await.is_ok());
    }

    #[tokio::test]
    async fn a_thread_takes_two_buffers_or_one_that_is_demanded() {
        let pool = Pool::new(32 << 20);
        for (demanded, want) in [
            (&[false][..], &[][..]),
            (&[true], &[false]),
            (&[false, false], &[true]),
            (&[false, false, false], &[true]),
            (&[false, false, true], &[true, false]),
            (&[true, false, false, true], &[true, true]),
        ] {
            let (mut queue, mut readers) = (Queue::default(), Vec::new());
            for (is_demanded, buffer) in
                demanded.iter().zip(buffers(&pool, demanded.len() as u8).await)
            {
                let (reader, demand) = watch::channel(*is_demanded);
                let (reply, _) = oneshot::channel();
                queue.waiting.push_back(Waiting { number: 0, buffer, demand, reply });
                readers.push(reader);
            }

            let took: Vec<_> =
                std::iter::from_fn(|| queue.take().map(|(_, two)| two.is_some())).collect();

            assert_eq!(took, want, "{demanded:?}");
        }
    }
}

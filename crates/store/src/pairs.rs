//! Buffers that wait for their SHA-256, hashed two at a time.
//!
//! Two take the processor two thirds of the time that one after the other does
//! (`s3up_sha256::digest_pair`). So one that nobody waits for yet is left until there
//! is another, only as many threads hash as leave some for all else, and whoever
//! is done takes two of those that came meanwhile.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::Sha256Digest;
use tokio::sync::{oneshot, watch};

use crate::pool::Buffer;

/// Whether a reader waits for what a buffer holds; so it is, too, once nobody
/// can tell any more.
pub(crate) type Wanted = watch::Receiver<bool>;

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
    /// Of the next one that waits.
    number: u64,
}

struct Waiting {
    number: u64,
    buffer: Buffer,
    wanted: Wanted,
    tell: oneshot::Sender<(Buffer, Sha256Digest)>,
}

/// The place of one buffer in the queue; dropped, it is there no more.
struct Place<'p> {
    pairs: &'p Pairs,
    number: u64,
}

impl Pairs {
    /// Half of the processors hash.
    pub(crate) fn new() -> Pairs {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Pairs { threads_max: processors.div_ceil(2), queue: Arc::default() }
    }

    /// Gives the buffer back, so that it can be filled once more. Nobody hashes
    /// it alone before it is wanted.
    pub(crate) async fn sha256(
        &self,
        buffer: Buffer,
        mut wanted: Wanted,
    ) -> (Buffer, Sha256Digest) {
        let (tell, mut told) = oneshot::channel();
        let _place = self.wait(buffer, wanted.clone(), tell);
        self.begin();
        // An error: nobody can say so any more.
        let wanted = async { wanted.wait_for(|wanted| *wanted).await.map(drop) };
        let hashed = tokio::select! {
            hashed = &mut told => hashed,
            _ = wanted => {
                self.begin();
                told.await
            }
        };
        match hashed {
            Ok(hashed) => hashed,
            // Only a runtime that is shutting down drops what waits, and then
            // nobody is there to be answered.
            Err(_) => std::future::pending().await,
        }
    }

    fn wait(
        &self,
        buffer: Buffer,
        wanted: Wanted,
        tell: oneshot::Sender<(Buffer, Sha256Digest)>,
    ) -> Place<'_> {
        let mut queue = self.queue();
        let number = queue.number;
        queue.number += 1;
        queue.waiting.push_back(Waiting { number, buffer, wanted, tell });
        Place { pairs: self, number }
    }

    /// Has one more thread hash, where there is something to hash for it.
    fn begin(&self) {
        let mut queue = self.queue();
        if queue.threads < self.threads_max && queue.is_ready() {
            queue.threads += 1;
            let pairs = self.clone();
            tokio::task::spawn_blocking(move || pairs.work());
        }
    }

    /// Hashes until nothing is ready.
    fn work(&self) {
        while let Some((one, other)) = self.next() {
            let Some(other) = other else {
                let digest = Sha256Digest::of(&one.buffer);
                one.tell(digest);
                continue;
            };
            let [of_one, of_other] = s3up_sha256::digest_pair([&one.buffer, &other.buffer]);
            one.tell(of_one);
            other.tell(of_other);
        }
    }

    fn next(&self) -> Option<(Waiting, Option<Waiting>)> {
        let mut queue = self.queue();
        let next = queue.take();
        queue.threads -= usize::from(next.is_none());
        next
    }

    /// Whole again after each change, whatever a thread did.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_ready(&self) -> bool {
        self.waiting.len() >= 2 || self.waiting.front().is_some_and(Waiting::is_wanted)
    }

    fn take(&mut self) -> Option<(Waiting, Option<Waiting>)> {
        let is_ready = self.is_ready();
        let one = if is_ready { self.waiting.pop_front() } else { None };
        one.map(|one| (one, self.waiting.pop_front()))
    }
}

impl Waiting {
    fn is_wanted(&self) -> bool {
        *self.wanted.borrow() || self.wanted.has_changed().is_err()
    }

    fn tell(self, digest: Sha256Digest) {
        // Whoever asked may be gone.
        self.tell.send((self.buffer, digest)).ok();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let number = self.number;
        let mut queue = self.pairs.queue();
        let gone = queue.waiting.iter().position(|waiting| waiting.number == number);
        // Giving the buffer back takes another lock.
        let gone = gone.and_then(|at| queue.waiting.remove(at));
        drop(queue);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
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

    fn pairs(threads_max: usize) -> Pairs {
        Pairs { threads_max, queue: Arc::default() }
    }

    #[tokio::test]
    async fn each_gets_its_own_digest_and_buffer_back() {
        let pool = Pool::new(32 << 20);
        for threads_max in [1, 2] {
            let pairs = pairs(threads_max);
            let wanted = watch::channel(true);
            let hashed = buffers(&pool, 7).await.into_iter();
            let hashed = hashed.map(|buffer| pairs.sha256(buffer, wanted.1.clone()));

            for (n, (buffer, digest)) in join_all(hashed).await.into_iter().enumerate() {
                assert_eq!((buffer[0], digest), (n as u8, Sha256Digest::of(&buffer)));
            }
        }
    }

    #[tokio::test]
    async fn one_alone_is_hashed_once_it_is_wanted_or_nobody_can_tell() {
        let pool = Pool::new(32 << 20);
        for tell in [|wanted: watch::Sender<bool>| wanted.send(true).expect("heard"), drop] {
            let pairs = pairs(1);
            let (want, wanted) = watch::channel(false);
            let buffer = buffers(&pool, 1).await.remove(0);
            let mut hashed = Box::pin(pairs.sha256(buffer, wanted));
            assert!(hashed.as_mut().now_or_never().is_none());
            assert_eq!(pairs.queue().threads, 0);

            tell(want);

            assert_eq!(hashed.await.0.len(), 1 << 20);
        }
    }

    #[tokio::test]
    async fn two_are_hashed_together_although_nobody_waits_for_them() {
        let pool = Pool::new(32 << 20);
        let pairs = pairs(1);
        let (_want, wanted) = watch::channel(false);
        let hashed = buffers(&pool, 2).await.into_iter();
        let hashed = hashed.map(|buffer| pairs.sha256(buffer, wanted.clone()));
        assert_eq!(join_all(hashed).await.len(), 2);
    }

    #[tokio::test]
    async fn what_nobody_asks_for_any_more_gives_its_buffer_back() {
        let pool = Pool::new(1 << 20);
        let pairs = pairs(1);
        let (_want, wanted) = watch::channel(false);
        let buffer = buffers(&pool, 1).await.remove(0);
        let mut hashed = Box::pin(pairs.sha256(buffer, wanted));
        assert!(hashed.as_mut().now_or_never().is_none());
        let taken = || pool.take_within(1 << 20, None, Some(Duration::ZERO));
        assert!(taken().await.is_err());

        drop(hashed);

        assert!(taken().await.is_ok());
    }

    #[tokio::test]
    async fn only_two_or_one_that_is_wanted_are_taken() {
        let pool = Pool::new(32 << 20);
        for (wanted, want) in [
            (&[false][..], &[][..]),
            (&[true], &[false]),
            (&[false, false], &[true]),
            (&[false, false, false], &[true]),
            (&[false, false, true], &[true, false]),
            (&[true, false, false, true], &[true, true]),
        ] {
            let (mut queue, mut wants) = (Queue::default(), Vec::new());
            for (wanted, buffer) in wanted.iter().zip(buffers(&pool, wanted.len() as u8).await) {
                let (want, wanted) = watch::channel(*wanted);
                let (tell, _) = oneshot::channel();
                queue.waiting.push_back(Waiting { number: 0, buffer, wanted, tell });
                wants.push(want);
            }

            let took: Vec<_> =
                std::iter::from_fn(|| queue.take().map(|(_, two)| two.is_some())).collect();

            assert_eq!(took, want, "{wanted:?}");
        }
    }
}

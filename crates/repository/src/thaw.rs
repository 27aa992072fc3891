//! Brings a chain back from the archive, all of it at once.
//!
//! What each chunk is, is looked at by listing; what it needs is decided here,
//! and then asked for. All that is known of a thaw is in S3: one that was
//! killed, or whose host is gone, is picked up by whoever asks next. A copy is
//! asked for again once less than half of its days are left, also beside a
//! download that takes longer than they last ([`Thaw::keep`]).
//!
//! Not here: how S3 is asked (`s3up_store::Thaw`).

mod need;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime};

use s3up_core::progress::{Progress, ProgressSink};
use s3up_core::{Key, error_chain};
use s3up_store::{StoreError, Thaw as Ask, Tier};

pub use self::need::{Look, Need, need};
use crate::chain::ChainEntry;
use crate::documents::Bucket;
use crate::manifest::DocumentError;

/// The first look after objects were asked for; each later one after twice the
/// time of the one before.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// The fastest tier takes minutes, the usual ones hours.
const LOOK_AFTER_MAX: Duration = Duration::from_secs(5 * 60);
/// A line in the log, also where nothing has changed.
const SAY_EVERY: Duration = Duration::from_secs(30 * 60);
/// Half of the shortest time that a copy can be asked for is twelve hours.
const KEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// Calls that ask for an object take tens of milliseconds each.
const ASKS_IN_FLIGHT: usize = 16;

/// How copies of archived objects are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub tier: Tier,
    /// How long the copies stay, at least 1.
    pub days: u32,
}

/// What may be done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is asked for: that costs money.
    Look,
    /// All is asked for, and not waited for.
    Ask,
    /// All is asked for, and waited for so long at most.
    Wait { at_most: Duration },
}

/// The clock by which copies end. A parameter, so that a test can move it.
pub type Clock = fn() -> SystemTime;

#[derive(Clone, Copy)]
pub struct Thaw<'a> {
    pub bucket: &'a Bucket,
    pub terms: Terms,
    pub clock: Clock,
    pub progress: &'a ProgressSink,
}

/// How far it came. That objects are not there yet is no error.
#[derive(Clone, Debug)]
pub struct Thawed {
    pub look: Look,
    /// So many were asked for, and so many copies were asked to stay longer.
    pub asked: usize,
    pub extended: usize,
    pub waited: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ThawError {
    #[error("look whether the chunks can be read")]
    Look(#[source] StoreError),
    #[error(
        "ask for {failed} of {wanted} archived chunks; the others are on their way, and a rerun \
         asks for these again"
    )]
    Ask { failed: usize, wanted: usize, source: StoreError },
    /// Nothing was asked for.
    #[error(transparent)]
    Refused(StoreError),
}

/// Every chunk of these links, and its length.
pub fn chunks_of(links: &[ChainEntry]) -> Result<BTreeMap<Key, u64>, (Key, DocumentError)> {
    let mut chunks = BTreeMap::new();
    for link in links {
        let facts = link.manifest.chunk_facts().map_err(|err| (link.key.clone(), err))?;
        chunks.extend(facts.into_iter().map(|chunk| (chunk.key, chunk.size)));
    }
    Ok(chunks)
}

impl Thaw<'_> {
    /// Asks for what `mode` allows, until every chunk can be read or the time is
    /// over. May be dropped at any moment, and run again.
    pub async fn run(&self, chunks: &BTreeMap<Key, u64>, mode: Mode) -> Result<Thawed, ThawError> {
        let began = Instant::now();
        let mut thawed = Thawed {
            look: self.look(chunks).await?,
            asked: 0,
            extended: 0,
            waited: Duration::ZERO,
        };
        if mode == Mode::Look {
            return Ok(thawed);
        }
        self.ask(&mut thawed).await?;
        let Mode::Wait { at_most } = mode else { return Ok(thawed) };
        if thawed.is_ready() {
            return Ok(thawed);
        }
        let mut waiting = Waiting::begin(&thawed.look, self.progress);
        let mut pause = LOOK_AFTER;
        while !thawed.is_ready() && began.elapsed() < at_most {
            tokio::time::sleep(pause.min(at_most.saturating_sub(began.elapsed()))).await;
            pause = (pause * 2).min(LOOK_AFTER_MAX);
            thawed.look = self.look(chunks).await?;
            thawed.waited = began.elapsed();
            waiting.say(&thawed);
            self.ask(&mut thawed).await?;
        }
        Ok(thawed)
    }

    /// Looks again and again, and asks for copies to stay that would go too
    /// early. Runs beside a download until it is dropped; what goes wrong is a
    /// warning, for the copies are there.
    pub async fn keep(&self, chunks: &BTreeMap<Key, u64>) -> Infallible {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            if let Err(err) = self.keep_once(chunks).await {
                let err = error_chain(&err);
                tracing::warn!(event = "thaw_not_extended", "{err}; it is tried again");
            }
        }
    }

    /// One look of [`keep`](Thaw::keep). Returns how many were asked for.
    pub async fn keep_once(&self, chunks: &BTreeMap<Key, u64>) -> Result<usize, ThawError> {
        let look = self.look(chunks).await?;
        let mut thawed = Thawed { look, asked: 0, extended: 0, waited: Duration::ZERO };
        self.ask(&mut thawed).await?;
        Ok(thawed.asked + thawed.extended)
    }

    async fn look(&self, chunks: &BTreeMap<Key, u64>) -> Result<Look, ThawError> {
        let keys: Vec<_> = chunks.keys().cloned().collect();
        let (now, retry_for) = ((self.clock)(), self.bucket.retry_for);
        let states = self.bucket.store.archive_states(&keys, ASKS_IN_FLIGHT, retry_for, now);
        let states = states.await.map_err(ThawError::Look)?;
        Ok(Look::of(chunks, &states, self.terms.days, now))
    }

    async fn ask(&self, thawed: &mut Thawed) -> Result<(), ThawError> {
        let look = &thawed.look;
        let wanted: Vec<_> = look.to_ask.iter().chain(&look.to_extend).cloned().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let ask = Ask {
            tier: self.terms.tier,
            days: self.terms.days,
            in_flight: ASKS_IN_FLIGHT,
            retry_for: self.bucket.retry_for,
        };
        let now = (self.clock)();
        let told = self.bucket.store.thaw(&wanted, &ask, now).await.map_err(ThawError::Refused)?;
        let mut failed = told.into_iter().filter_map(|told| told.outcome.err());
        if let Some(source) = failed.next() {
            let failed = 1 + failed.count();
            return Err(ThawError::Ask { failed, wanted: wanted.len(), source });
        }
        let (asked, extended) = (look.to_ask.len(), look.to_extend.len());
        tracing::info!(
            event = "thaw_asked",
            asked,
            extended,
            tier = self.terms.tier.word(),
            days = self.terms.days,
            "{look}"
        );
        thawed.asked += asked;
        thawed.extended += extended;
        Ok(())
    }
}

impl Thawed {
    /// Whether every chunk can be read.
    pub fn is_ready(&self) -> bool {
        self.look.is_ready()
    }
}

/// What a person sees while it takes hours.
struct Waiting {
    bar: Progress,
    ready: usize,
    ready_bytes: u64,
    said_at: Instant,
}

impl Waiting {
    fn begin(look: &Look, progress: &ProgressSink) -> Waiting {
        let bar = progress.bytes("thaw", Some(look.total_bytes));
        bar.inc(look.ready_bytes);
        let (ready, ready_bytes) = (look.ready, look.ready_bytes);
        tracing::info!(event = "thaw_progress", ready, total = look.total, "{look}");
        Waiting { bar, ready, ready_bytes, said_at: Instant::now() }
    }

    fn say(&mut self, thawed: &Thawed) {
        let look = &thawed.look;
        self.bar.inc(look.ready_bytes.saturating_sub(self.ready_bytes));
        self.ready_bytes = self.ready_bytes.max(look.ready_bytes);
        let waited_seconds = thawed.waited.as_secs();
        let label = format!("thaw: {} of {} chunks ready", look.ready, look.total);
        self.bar.label(&format!("{label}, {} min waited", waited_seconds / 60));
        if look.ready == self.ready && self.said_at.elapsed() < SAY_EVERY {
            return;
        }
        (self.ready, self.said_at) = (look.ready, Instant::now());
        tracing::info!(
            event = "thaw_progress",
            ready = look.ready,
            total = look.total,
            ready_bytes = look.ready_bytes,
            total_bytes = look.total_bytes,
            waited_seconds,
            "{look}"
        );
    }
}

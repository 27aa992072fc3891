//! Thaws all archived chunks of a chain at once.
//!
//! The state of each chunk is observed by listing, what it needs is decided here, and then
//! requested. All state of a thaw is in S3, so a thaw continues after its program was killed or its
//! host was lost. The stay of a copy is extended once less than half of its days are left, also
//! during a download that takes longer than that ([`Thaw::keep`]).
//!
//! Not here: the S3 requests (`s3up_store::ThawRequest`).

mod need;
mod required_objects;

use std::convert::Infallible;
use std::time::Duration;

use s3up_core::progress::{Progress, ProgressSink};
use s3up_core::{Clock, Count, Key, Stopwatch, error_chain};
use s3up_store::{StoreError, ThawRequest, Tier};

pub use self::need::{Need, ThawState, need};
pub use self::required_objects::RequiredObjects;
use crate::documents::Bucket;

/// Pause before the chunks are listed again after a request. Each later pause is twice as long.
const OBSERVE_AFTER: Duration = Duration::from_secs(1);
/// Maximum pause. The fastest tier takes minutes, the others hours.
const OBSERVE_AFTER_MAX: Duration = Duration::from_secs(5 * 60);
/// Interval of log lines while nothing changes.
const REPORT_EVERY: Duration = Duration::from_secs(30 * 60);
/// Interval of listings during a download. Copies stay for at least a day, and are extended after
/// half of it.
const KEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// Number of concurrent requests, which take tens of milliseconds each.
const REQUESTS_IN_FLIGHT: usize = 16;

/// The terms of a thaw request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThawTerms {
    pub tier: Tier,
    /// Number of days that the copies stay, at least 1.
    pub days: u32,
    /// True if thaws that are in progress are requested again with this tier, once. S3 accepts a
    /// faster one, and charges for both.
    pub speeds_up: bool,
}

/// The steps that a thaw may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThawMode {
    /// Observe and request nothing: a request costs money.
    Observe,
    /// Request a thaw and do not wait.
    Request,
    /// Request a thaw and wait, at most for this time.
    Wait { at_most: Duration },
}

#[derive(Clone, Copy)]
pub struct Thaw<'a> {
    pub bucket: &'a Bucket,
    pub terms: ThawTerms,
    /// The calendar clock says when copies expire.
    pub clock: Clock,
    pub progress: &'a ProgressSink,
}

/// The result of a thaw. Chunks that are not readable yet are not an error.
#[derive(Clone, Debug)]
pub struct ThawResult {
    pub state: ThawState,
    /// Number of chunks whose thaw was requested.
    pub requested: usize,
    /// Number of copies whose stay was extended.
    pub extended: usize,
    /// Number of thaws in progress that S3 continues with a faster tier.
    pub sped_up: usize,
    pub waited: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ThawError {
    #[error("check which chunks are readable")]
    Observe(#[source] StoreError),
    #[error(
        "request {}: S3 refused {failed} and accepted {}; fix the cause and run the \
         command again to repeat the refused ones", Count::of(*wanted, "thaw"), wanted - failed
    )]
    Request { failed: usize, wanted: usize, source: StoreError },
    /// S3 accepted no request.
    #[error(transparent)]
    Refused(StoreError),
}

impl Thaw<'_> {
    /// Thaws as far as `mode` allows, until everything is readable or the time is over. May be
    /// dropped at any moment and run again.
    pub async fn run(
        &self,
        wanted: &RequiredObjects,
        mode: ThawMode,
    ) -> Result<ThawResult, ThawError> {
        let began = self.clock.start();
        let mut thawed = ThawResult {
            state: self.observe(wanted).await?,
            requested: 0,
            extended: 0,
            sped_up: 0,
            waited: Duration::ZERO,
        };
        if mode == ThawMode::Observe {
            return Ok(thawed);
        }
        if !thawed.state.under_way.is_empty() {
            self.speed_up(&mut thawed).await?;
        }
        self.request(&mut thawed).await?;
        let ThawMode::Wait { at_most } = mode else { return Ok(thawed) };
        if thawed.is_ready() {
            return Ok(thawed);
        }
        let mut waiting = Waiting::begin(&thawed.state, self.progress, self.clock);
        let mut pause = OBSERVE_AFTER;
        while !thawed.is_ready() && began.elapsed() < at_most {
            tokio::time::sleep(pause.min(at_most.saturating_sub(began.elapsed()))).await;
            pause = (pause * 2).min(OBSERVE_AFTER_MAX);
            thawed.state = self.observe(wanted).await?;
            thawed.waited = began.elapsed();
            waiting.report(&thawed);
            self.request(&mut thawed).await?;
        }
        Ok(thawed)
    }

    /// Extends copies that would expire too early. Runs during a download until it is dropped.
    /// A failure is a warning, because the copies still exist.
    pub async fn keep(&self, wanted: &RequiredObjects) -> Infallible {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            if let Err(err) = self.keep_once(wanted).await {
                let err = error_chain(&err);
                tracing::warn!(event = "thaw_not_extended", "{err}; trying again in an hour");
            }
        }
    }

    /// Extends once for [`keep`](Thaw::keep). Returns the number of requests.
    pub async fn keep_once(&self, wanted: &RequiredObjects) -> Result<usize, ThawError> {
        let state = self.observe(wanted).await?;
        let mut thawed =
            ThawResult { state, requested: 0, extended: 0, sped_up: 0, waited: Duration::ZERO };
        self.request(&mut thawed).await?;
        Ok(thawed.requested + thawed.extended)
    }

    async fn observe(&self, wanted: &RequiredObjects) -> Result<ThawState, ThawError> {
        let keys = wanted.keys();
        let (now, retry_for) = (self.clock.now(), self.bucket.retry_for);
        let states = self.bucket.store.archive_states(&keys, REQUESTS_IN_FLIGHT, retry_for, now);
        let states = states.await.map_err(ThawError::Observe)?;
        Ok(ThawState::of(wanted, &states, self.terms.days, now))
    }

    async fn request(&self, thawed: &mut ThawResult) -> Result<(), ThawError> {
        let state = &thawed.state;
        let wanted: Vec<_> = state.to_request.iter().chain(&state.to_extend).cloned().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        self.ask(&wanted, false).await?;
        let (requested, extended) = (state.to_request.len(), state.to_extend.len());
        tracing::info!(
            event = "thaw_requested",
            requested,
            extended,
            tier = self.terms.tier.as_str(),
            days = self.terms.days,
            "{state}"
        );
        thawed.requested += requested;
        thawed.extended += extended;
        Ok(())
    }
}

impl Thaw<'_> {
    /// Requests the thaws in progress again with a faster tier, if the terms say so.
    async fn speed_up(&self, thawed: &mut ThawResult) -> Result<(), ThawError> {
        let (tier, count) = (self.terms.tier.as_str(), thawed.state.under_way.len());
        if !self.terms.speeds_up {
            tracing::info!(
                event = "thaw_in_progress",
                count,
                "these thaws were requested before, and keep the tier of that request; to ask for \
                 a faster one (S3 charges for both) run `thaw --speed-up`"
            );
            return Ok(());
        }
        thawed.sped_up = self.ask(&thawed.state.under_way, true).await?;
        let sped_up = thawed.sped_up;
        tracing::info!(
            event = "thaw_sped_up",
            count,
            sped_up,
            tier,
            "S3 continues the others with the tier that they have"
        );
        Ok(())
    }

    /// Requests the thaw of each key. Returns how many thaws in progress were sped up.
    async fn ask(&self, wanted: &[Key], speeds_up: bool) -> Result<usize, ThawError> {
        let request = ThawRequest {
            tier: self.terms.tier,
            days: self.terms.days,
            speeds_up,
            in_flight: REQUESTS_IN_FLIGHT,
            retry_for: self.bucket.retry_for,
        };
        let now = self.clock.now();
        let answers =
            self.bucket.store.thaw(wanted, &request, now).await.map_err(ThawError::Refused)?;
        let sped_up = answers.iter().filter(|answer| answer.is_sped_up).count();
        let mut failed = answers.into_iter().filter_map(|answer| answer.outcome.err());
        match failed.next() {
            None => Ok(sped_up),
            Some(source) => {
                let failed = 1 + failed.count();
                Err(ThawError::Request { failed, wanted: wanted.len(), source })
            }
        }
    }
}

impl ThawResult {
    /// Returns true if every chunk is readable.
    pub fn is_ready(&self) -> bool {
        self.state.is_ready()
    }
}

/// Progress bar and log lines during the hours of waiting.
struct Waiting {
    bar: Progress,
    ready: usize,
    ready_bytes: u64,
    clock: Clock,
    reported: Stopwatch,
}

impl Waiting {
    fn begin(state: &ThawState, progress: &ProgressSink, clock: Clock) -> Waiting {
        let bar = progress.bytes("thaw", Some(state.total_bytes));
        bar.inc(state.ready_bytes);
        let (ready, ready_bytes) = (state.ready, state.ready_bytes);
        tracing::info!(event = "thaw_progress", ready, total = state.total, "{state}");
        Waiting { bar, ready, ready_bytes, clock, reported: clock.start() }
    }

    fn report(&mut self, thawed: &ThawResult) {
        let state = &thawed.state;
        self.bar.inc(state.ready_bytes.saturating_sub(self.ready_bytes));
        self.ready_bytes = self.ready_bytes.max(state.ready_bytes);
        let waited_seconds = thawed.waited.as_secs();
        let label = format!("thaw: {} of {} ready", state.ready, state.count());
        self.bar.label(&format!("{label}, waited {} min", waited_seconds / 60));
        if state.ready == self.ready && self.reported.elapsed() < REPORT_EVERY {
            return;
        }
        (self.ready, self.reported) = (state.ready, self.clock.start());
        tracing::info!(
            event = "thaw_progress",
            ready = state.ready,
            total = state.total,
            ready_bytes = state.ready_bytes,
            total_bytes = state.total_bytes,
            waited_seconds,
            "{state}"
        );
    }
}

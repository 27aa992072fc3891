//! Failures on cue: the n-th call of an operation goes wrong in a chosen way.
//!
//! A call counts once its signature was found right, before its body is read.
//! An injected fault fires once; a test asserts at its end that none is left
//! ([`Faults::unfired`]), because a fault that never fired tested nothing.

mod fault;
mod hold;
mod op;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::sync::Notify;

use self::hold::{Hold, Holding};
use crate::pace::Line;

pub use self::fault::{Fault, Injected};
pub use self::hold::Held;
pub use self::op::Op;

/// Of each operation the headers of this many calls are kept: about a MiB in
/// all, and more than a test asks for.
const HEADERS_KEPT_MAX: usize = 100;

/// The faults of one server, and what it saw. Clones share their content.
#[derive(Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    called: Notify,
    line: Arc<Line>,
}

#[derive(Default)]
struct Seen {
    calls: BTreeMap<Op, Calls>,
    calls_total: u64,
    injected: Vec<(Injected, Stage)>,
    holds: Vec<Hold>,
    latency: Duration,
}

#[derive(Default)]
struct Calls {
    count: u64,
    /// Of the last calls.
    headers: VecDeque<HeaderMap>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// The call came; what the fault does to it has not happened yet.
    Armed,
    Fired,
}

/// A fault that a call has met; it has fired once [`Cue::fire`] is called.
#[derive(Clone)]
pub(crate) struct Cue {
    faults: Faults,
    at: usize,
    pub(crate) fault: Fault,
}

/// What a call has met, beside its work.
pub(crate) struct Met {
    faults: Faults,
    pub(crate) cue: Option<Cue>,
    hold: Option<Holding>,
}

impl Faults {
    /// The `nth` call of `op` from now on fails; 1 is the next one.
    pub fn inject(&self, op: Op, nth: u64, fault: Fault) {
        self.inject_told(op, nth, fault);
    }

    /// Tells which call that is.
    pub(crate) fn inject_told(&self, op: Op, nth: u64, fault: Fault) -> Injected {
        let mut seen = self.seen();
        let call = seen.calls.entry(op).or_default().count + nth;
        let injected = Injected { op, call, fault };
        seen.injected.push((injected.clone(), Stage::Waiting));
        injected
    }

    /// What was injected and has not happened.
    pub fn unfired(&self) -> Vec<Injected> {
        let seen = self.seen();
        let unfired = seen.injected.iter().filter(|(_, stage)| *stage != Stage::Fired);
        unfired.map(|(injected, _)| injected.clone()).collect()
    }

    /// Takes back every fault that waits for its call.
    pub fn clear(&self) {
        for (_, stage) in &mut self.seen().injected {
            *stage = Stage::Fired;
        }
    }

    /// How often `op` was called since the server started.
    pub fn calls(&self, op: Op) -> u64 {
        self.seen().calls.get(&op).map_or(0, |calls| calls.count)
    }

    /// The headers of a call; 1 is the first since the server started. `None`
    /// if it did not come yet, or too many came after it.
    pub fn headers(&self, op: Op, call: u64) -> Option<HeaderMap> {
        let seen = self.seen();
        let calls = seen.calls.get(&op)?;
        let kept_from = calls.count - calls.headers.len() as u64 + 1;
        let at = usize::try_from(call.checked_sub(kept_from)?).ok()?;
        calls.headers.get(at).cloned()
    }

    /// How often any operation was called since the server started.
    pub fn calls_total(&self) -> u64 {
        self.seen().calls_total
    }

    /// The `nth` call from now on, whatever its operation, does its work and is
    /// not answered; 1 is the next one.
    pub fn hold(&self, nth: u64) -> Held {
        let mut seen = self.seen();
        let call = seen.calls_total + nth;
        seen.hold(None, call)
    }

    /// The `nth` call of `op` from now on does its work and is not answered.
    pub fn hold_op(&self, op: Op, nth: u64) -> Held {
        let mut seen = self.seen();
        let call = seen.calls.entry(op).or_default().count + nth;
        seen.hold(Some(op), call)
    }

    /// Waits until `op` was called so often since the server started: how a
    /// test knows that a call is stalled.
    pub async fn called(&self, op: Op, count: u64) {
        loop {
            let called = self.shared.called.notified();
            if self.calls(op) >= count {
                return;
            }
            called.await;
        }
    }

    /// Every call from now on waits so long before anything else happens.
    pub fn set_latency(&self, latency: Duration) {
        self.seen().latency = latency;
    }

    /// So many bytes per second go each way from now on, over all connections
    /// together; `None` is no limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<NonZeroU64>) {
        self.shared.line.set(bytes_per_second);
    }

    pub(crate) fn latency(&self) -> Duration {
        self.seen().latency
    }

    pub(crate) fn line(&self) -> Arc<Line> {
        Arc::clone(&self.shared.line)
    }

    /// How often each operation was called that was called at all.
    pub(crate) fn counts(&self) -> BTreeMap<Op, u64> {
        let seen = self.seen();
        let called = seen.calls.iter().filter(|(_, calls)| calls.count > 0);
        called.map(|(op, calls)| (*op, calls.count)).collect()
    }

    /// Counts a call, and finds what was meant for it.
    pub(crate) fn meet(&self, op: Op, headers: &HeaderMap) -> Met {
        let mut seen = self.seen();
        let call = seen.note(op, headers);
        let cue = seen.arm(op, call).map(|(at, fault)| Cue { faults: self.clone(), at, fault });
        let hold = seen.take_hold(op, call);
        drop(seen);
        self.shared.called.notify_waiters();
        Met { faults: self.clone(), cue, hold }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().expect("no holder of this lock panics")
    }
}

impl Seen {
    /// Returns the number of this call of `op`.
    fn note(&mut self, op: Op, headers: &HeaderMap) -> u64 {
        self.calls_total += 1;
        let calls = self.calls.entry(op).or_default();
        calls.note(headers);
        calls.count
    }

    fn arm(&mut self, op: Op, call: u64) -> Option<(usize, Fault)> {
        let at = self.injected.iter().position(|(injected, stage)| {
            injected.op == op && injected.call == call && *stage == Stage::Waiting
        })?;
        let (injected, stage) = &mut self.injected[at];
        *stage = Stage::Armed;
        Some((at, injected.fault.clone()))
    }

    fn hold(&mut self, op: Option<Op>, call: u64) -> Held {
        self.holds.retain(|hold| !hold.is_over());
        let (hold, held) = Hold::new(op, call);
        self.holds.push(hold);
        held
    }

    fn take_hold(&mut self, op: Op, call: u64) -> Option<Holding> {
        let of_all = self.calls_total;
        self.holds.iter_mut().find_map(|hold| hold.meet(op, call, of_all))
    }
}

impl Calls {
    fn note(&mut self, headers: &HeaderMap) {
        self.count += 1;
        if self.headers.len() == HEADERS_KEPT_MAX {
            self.headers.pop_front();
        }
        self.headers.push_back(detached(headers));
    }
}

/// A copy with memory of its own: a value as it came shares the read buffer of
/// its connection, and would keep all of that.
fn detached(headers: &HeaderMap) -> HeaderMap {
    let own = |value: &HeaderValue| {
        HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
    };
    headers.iter().map(|(name, value)| (name.clone(), own(value))).collect()
}

impl Cue {
    pub(crate) fn fire(&self) {
        self.faults.seen().injected[self.at].1 = Stage::Fired;
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.faults.seen().injected[self.at].1 == Stage::Fired
    }
}

impl Met {
    /// Once the work is done. Returns true where the answer was held back, and
    /// is not to be sent any more.
    pub(crate) async fn hold_back(&self) -> bool {
        let Some(holding) = &self.hold else { return false };
        holding.reach();
        holding.released().await;
        true
    }
}

impl Drop for Met {
    fn drop(&mut self) {
        if let Some(holding) = self.hold.as_ref().filter(|holding| !holding.is_reached()) {
            self.faults.seen().holds.iter_mut().for_each(|hold| hold.give_back(holding));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_the_call_it_is_meant_for_and_no_other() {
        let faults = Faults::default();
        let meet =
            |op| faults.meet(op, &HeaderMap::new()).cue.as_ref().map(|cue| cue.fault.clone());
        assert_eq!(meet(Op::PutObject), None);
        faults.inject(Op::PutObject, 2, Fault::InternalError);

        assert_eq!(meet(Op::GetObject), None);
        assert_eq!(meet(Op::PutObject), None);
        assert_eq!(meet(Op::PutObject), Some(Fault::InternalError));
        assert_eq!(meet(Op::PutObject), None);
    }

    #[test]
    fn a_fault_that_has_met_its_call_has_not_fired_yet() {
        let faults = Faults::default();
        faults.inject(Op::GetObject, 1, Fault::FlipByte { offset: 7 });

        let met = faults.meet(Op::GetObject, &HeaderMap::new());
        assert_eq!(faults.unfired().len(), 1);

        met.cue.as_ref().unwrap().fire();
        assert_eq!(faults.unfired(), []);
    }

    #[test]
    fn calls_are_counted_over_all_operations() {
        let faults = Faults::default();
        for op in [Op::PutObject, Op::GetObject, Op::PutObject] {
            faults.meet(op, &HeaderMap::new());
        }

        assert_eq!((faults.calls(Op::PutObject), faults.calls_total()), (2, 3));
    }

    #[test]
    fn a_call_that_is_dropped_before_its_work_is_done_is_not_the_one_that_is_held() {
        let faults = Faults::default();
        let held = faults.hold(1);

        drop(faults.meet(Op::PutObject, &HeaderMap::new()));
        assert!(!held.has_fired());

        assert!(faults.meet(Op::PutObject, &HeaderMap::new()).hold.is_some());
    }

    #[test]
    fn the_headers_of_a_call_are_kept_for_a_while() {
        let faults = Faults::default();
        for call in 1..=HEADERS_KEPT_MAX + 1 {
            let mut headers = HeaderMap::new();
            headers.insert("n", call.into());
            assert!(faults.meet(Op::UploadPart, &headers).cue.is_none());
        }

        assert_eq!(faults.headers(Op::UploadPart, 1), None);
        assert_eq!(faults.headers(Op::UploadPart, 2).unwrap()["n"], "2");
        let last = HEADERS_KEPT_MAX as u64 + 1;
        assert_eq!(faults.headers(Op::UploadPart, last).unwrap()["n"], last.to_string());
        assert_eq!(faults.headers(Op::UploadPart, last + 1), None);
    }
}

//! All faults and holds of one server, and the calls that it counted.
//!
//! A call is counted once its signature was verified, before its body is read.
//! An injected fault fires once. A test asserts at its end that
//! [`Faults::unfired`] is empty, because a fault that never fired tested nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::sync::Notify;

use super::bandwidth::SharedBandwidth;
use super::fault::{Fault, InjectedFault};
use super::hold::{HeldCall, HoldClaim, HoldRule};
use super::operation::Op;

/// Number of calls of each operation whose headers are kept: about 1 MiB in
/// total, and more than a test reads.
const HEADERS_KEPT_MAX: usize = 100;

/// The faults and counters of one server. Clones share their content.
#[derive(Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<FaultsState>,
    called: Notify,
    bandwidth: Arc<SharedBandwidth>,
}

#[derive(Default)]
struct FaultsState {
    calls: BTreeMap<Op, Calls>,
    calls_total: u64,
    /// Operations of which a call named a version.
    of_versions: BTreeSet<Op>,
    denied: BTreeSet<Op>,
    injected: Vec<(InjectedFault, Stage)>,
    holds: Vec<HoldRule>,
    latency: Duration,
}

#[derive(Default)]
struct Calls {
    count: u64,
    /// Headers of the last calls.
    headers: VecDeque<HeaderMap>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// The call has arrived, but the fault has not taken effect yet.
    Armed,
    Fired,
}

/// A fault whose call has arrived. It counts as fired after [`ArmedFault::fire`].
#[derive(Clone)]
pub(crate) struct ArmedFault {
    faults: Faults,
    at: usize,
    pub(crate) fault: Fault,
}

/// The fault and the hold that apply to one call.
pub(crate) struct CallFaults {
    faults: Faults,
    pub(crate) armed: Option<ArmedFault>,
    hold: Option<HoldClaim>,
}

impl Faults {
    /// Injects a fault into the `nth` call of `op` from now on; 1 is the next one.
    pub fn inject(&self, op: Op, nth: u64, fault: Fault) {
        self.schedule(op, nth, fault);
    }

    /// Injects a fault like [`Faults::inject`], and returns it with the number of its
    /// call.
    pub(crate) fn schedule(&self, op: Op, nth: u64, fault: Fault) -> InjectedFault {
        let mut state = self.state();
        let call = state.calls.entry(op).or_default().count + nth;
        let injected = InjectedFault { op, call, fault };
        state.injected.push((injected.clone(), Stage::Waiting));
        injected
    }

    /// Returns the injected faults that have not fired.
    pub fn unfired(&self) -> Vec<InjectedFault> {
        let state = self.state();
        let unfired = state.injected.iter().filter(|(_, stage)| *stage != Stage::Fired);
        unfired.map(|(injected, _)| injected.clone()).collect()
    }

    /// Removes all injected faults.
    pub fn clear(&self) {
        for (_, stage) in &mut self.state().injected {
            *stage = Stage::Fired;
        }
    }

    /// Returns how often `op` was called since the server started.
    pub fn calls(&self, op: Op) -> u64 {
        self.state().calls.get(&op).map_or(0, |calls| calls.count)
    }

    /// Returns true if a call of `op` named a version of an object, which takes a permission of
    /// its own.
    pub fn named_version(&self, op: Op) -> bool {
        self.state().of_versions.contains(&op)
    }

    /// Denies every call of these operations from now on, as for credentials without the
    /// permission. Denied calls are not counted.
    pub fn deny(&self, ops: impl IntoIterator<Item = Op>) {
        self.state().denied.extend(ops);
    }

    pub(crate) fn is_denied(&self, op: Op) -> bool {
        self.state().denied.contains(&op)
    }

    /// Notes that a call of `op` names a version.
    pub(crate) fn note_version(&self, op: Op) {
        self.state().of_versions.insert(op);
    }

    /// Returns the headers of a call; 1 is the first since the server started.
    /// `None` if that call has not arrived, or is too long ago.
    pub fn headers(&self, op: Op, call: u64) -> Option<HeaderMap> {
        let state = self.state();
        let calls = state.calls.get(&op)?;
        let kept_from = calls.count - calls.headers.len() as u64 + 1;
        let at = usize::try_from(call.checked_sub(kept_from)?).ok()?;
        calls.headers.get(at).cloned()
    }

    /// Returns the number of calls of all operations since the server started.
    pub fn calls_total(&self) -> u64 {
        self.state().calls_total
    }

    /// Holds the answer of the `nth` call of any operation from now on, after its
    /// work is done; 1 is the next one.
    pub fn hold(&self, nth: u64) -> HeldCall {
        let mut state = self.state();
        let call = state.calls_total + nth;
        state.hold(None, call)
    }

    /// Holds the answer of the `nth` call of `op` from now on, after its work is
    /// done.
    pub fn hold_op(&self, op: Op, nth: u64) -> HeldCall {
        let mut state = self.state();
        let call = state.calls.entry(op).or_default().count + nth;
        state.hold(Some(op), call)
    }

    /// Waits until `op` was called `count` times since the server started. So a
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

    /// Delays every call from now on by `latency`.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Limits the bandwidth of all connections together, separately for each
    /// direction. `None` removes the limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<NonZeroU64>) {
        self.shared.bandwidth.set(bytes_per_second);
    }

    pub(crate) fn latency(&self) -> Duration {
        self.state().latency
    }

    pub(crate) fn bandwidth(&self) -> Arc<SharedBandwidth> {
        Arc::clone(&self.shared.bandwidth)
    }

    /// Returns the number of calls of each operation that was called.
    pub(crate) fn counts(&self) -> BTreeMap<Op, u64> {
        let state = self.state();
        let called = state.calls.iter().filter(|(_, calls)| calls.count > 0);
        called.map(|(op, calls)| (*op, calls.count)).collect()
    }

    /// Counts a call and returns the fault and the hold that apply to it.
    pub(crate) fn begin_call(&self, op: Op, headers: &HeaderMap) -> CallFaults {
        let mut state = self.state();
        let call = state.record(op, headers);
        let armed =
            state.arm(op, call).map(|(at, fault)| ArmedFault { faults: self.clone(), at, fault });
        let hold = state.claim_hold(op, call);
        drop(state);
        self.shared.called.notify_waiters();
        CallFaults { faults: self.clone(), armed, hold }
    }

    fn state(&self) -> MutexGuard<'_, FaultsState> {
        self.shared.state.lock().expect("no holder of this lock panics")
    }
}

impl FaultsState {
    /// Returns the number of this call of `op`.
    fn record(&mut self, op: Op, headers: &HeaderMap) -> u64 {
        self.calls_total += 1;
        let calls = self.calls.entry(op).or_default();
        calls.record(headers);
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

    fn hold(&mut self, op: Option<Op>, call: u64) -> HeldCall {
        self.holds.retain(|hold| !hold.is_over());
        let (hold, held) = HoldRule::new(op, call);
        self.holds.push(hold);
        held
    }

    fn claim_hold(&mut self, op: Op, call: u64) -> Option<HoldClaim> {
        let nth_of_all = self.calls_total;
        self.holds.iter_mut().find_map(|hold| hold.claim(op, call, nth_of_all))
    }
}

impl Calls {
    fn record(&mut self, headers: &HeaderMap) {
        self.count += 1;
        if self.headers.len() == HEADERS_KEPT_MAX {
            self.headers.pop_front();
        }
        self.headers.push_back(detached(headers));
    }
}

/// Copies headers into memory of their own. The original values share the read
/// buffer of their connection and would keep all of it in memory.
fn detached(headers: &HeaderMap) -> HeaderMap {
    let own = |value: &HeaderValue| {
        HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
    };
    headers.iter().map(|(name, value)| (name.clone(), own(value))).collect()
}

impl ArmedFault {
    pub(crate) fn fire(&self) {
        self.faults.state().injected[self.at].1 = Stage::Fired;
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.faults.state().injected[self.at].1 == Stage::Fired
    }
}

impl CallFaults {
    /// Waits until the hold of this call is released. Call it once the work is
    /// done. Returns whether there was a hold; then the answer must not be sent.
    pub(crate) async fn wait_for_release(&self) -> bool {
        let Some(claim) = &self.hold else { return false };
        claim.set_reached();
        claim.released().await;
        true
    }
}

impl Drop for CallFaults {
    fn drop(&mut self) {
        if let Some(claim) = self.hold.as_ref().filter(|claim| !claim.is_reached()) {
            self.faults.state().holds.iter_mut().for_each(|hold| hold.unclaim(claim));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_applies_only_to_its_call() {
        let faults = Faults::default();
        let begin_call = |op| {
            faults.begin_call(op, &HeaderMap::new()).armed.as_ref().map(|armed| armed.fault.clone())
        };
        assert_eq!(begin_call(Op::PutObject), None);
        faults.inject(Op::PutObject, 2, Fault::InternalError);

        assert_eq!(begin_call(Op::GetObject), None);
        assert_eq!(begin_call(Op::PutObject), None);
        assert_eq!(begin_call(Op::PutObject), Some(Fault::InternalError));
        assert_eq!(begin_call(Op::PutObject), None);
    }

    #[test]
    fn an_armed_fault_has_not_fired_yet() {
        let faults = Faults::default();
        faults.inject(Op::GetObject, 1, Fault::FlipByte { offset: 7 });

        let call_faults = faults.begin_call(Op::GetObject, &HeaderMap::new());
        assert_eq!(faults.unfired().len(), 1);

        call_faults.armed.as_ref().unwrap().fire();
        assert_eq!(faults.unfired(), []);
    }

    #[test]
    fn calls_are_counted_over_all_operations() {
        let faults = Faults::default();
        for op in [Op::PutObject, Op::GetObject, Op::PutObject] {
            faults.begin_call(op, &HeaderMap::new());
        }

        assert_eq!((faults.calls(Op::PutObject), faults.calls_total()), (2, 3));
    }

    #[test]
    fn a_call_that_is_dropped_before_its_work_is_done_is_not_held() {
        let faults = Faults::default();
        let held = faults.hold(1);

        drop(faults.begin_call(Op::PutObject, &HeaderMap::new()));
        assert!(!held.has_fired());

        assert!(faults.begin_call(Op::PutObject, &HeaderMap::new()).hold.is_some());
    }

    #[test]
    fn the_headers_of_the_last_calls_are_kept() {
        let faults = Faults::default();
        for call in 1..=HEADERS_KEPT_MAX + 1 {
            let mut headers = HeaderMap::new();
            headers.insert("n", call.into());
            assert!(faults.begin_call(Op::UploadPart, &headers).armed.is_none());
        }

        assert_eq!(faults.headers(Op::UploadPart, 1), None);
        assert_eq!(faults.headers(Op::UploadPart, 2).unwrap()["n"], "2");
        let last = HEADERS_KEPT_MAX as u64 + 1;
        assert_eq!(faults.headers(Op::UploadPart, last).unwrap()["n"], last.to_string());
        assert_eq!(faults.headers(Op::UploadPart, last + 1), None);
    }
}

//! Calls that are executed, but whose answer is held back.
//!
//! A test kills its program while the answer is held. So it sees what is left
//! when a program dies after its n-th call took effect but before it got the
//! answer.
//!
//! If the client of a call disconnects before the work is done, the hold waits
//! for the next call instead. Otherwise a test that loops over `nth = 1..` would
//! take the abandoned call for the end of the program.

use std::sync::Arc;

use tokio::sync::watch;

use super::operation::Op;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The call has not arrived, or its work is not done yet.
    Waiting,
    /// The work is done and the answer is held.
    Held,
    /// The hold is over: the connection breaks, or no call reached the hold.
    Released,
}

/// A handle for a call whose answer is held back. Dropping it breaks the
/// connection of the call, so the answer is never sent.
#[derive(Debug)]
pub struct HeldCall {
    stage: Arc<watch::Sender<Stage>>,
}

/// Selects the call to hold. The server keeps one for each [`HeldCall`].
pub(super) struct HoldRule {
    /// `None` for any operation.
    op: Option<Op>,
    /// Number of the call since the start of the server, counted over `op` or over
    /// all operations.
    call: u64,
    is_claimed: bool,
    stage: Arc<watch::Sender<Stage>>,
}

/// Marks the call that a hold applies to.
pub(crate) struct HoldClaim {
    stage: Arc<watch::Sender<Stage>>,
}

impl HeldCall {
    /// Waits until the call was executed and its answer is held. If the call never
    /// comes, this never returns.
    pub async fn reached(&self) {
        let mut stage = self.stage.subscribe();
        let held = stage.wait_for(|stage| *stage == Stage::Held).await;
        held.expect("the sender lives in self");
    }

    /// Returns true if the call was executed and its answer is held.
    pub fn has_fired(&self) -> bool {
        *self.stage.borrow() == Stage::Held
    }

    /// Waits until the answer is held or the hold is released. Returns whether the
    /// answer is held.
    pub(crate) fn reached_or_released(&self) -> impl Future<Output = bool> + Send + 'static {
        let mut stage = self.stage.subscribe();
        async move {
            let stage = stage.wait_for(|stage| *stage != Stage::Waiting).await;
            stage.is_ok_and(|stage| *stage == Stage::Held)
        }
    }

    /// Breaks the connection of the call.
    pub fn release(self) {}
}

impl Drop for HeldCall {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Released);
    }
}

impl HoldRule {
    pub(super) fn new(op: Option<Op>, call: u64) -> (HoldRule, HeldCall) {
        let stage = Arc::new(watch::Sender::new(Stage::Waiting));
        (HoldRule { op, call, is_claimed: false, stage: Arc::clone(&stage) }, HeldCall { stage })
    }

    /// Claims the hold for a call, if it applies to it. The arguments are the
    /// number of the call among those of `op` and among all calls.
    pub(super) fn claim(&mut self, op: Op, nth_of_op: u64, nth_of_all: u64) -> Option<HoldClaim> {
        let call = match self.op {
            None => nth_of_all,
            Some(wanted) if wanted == op => nth_of_op,
            Some(_) => return None,
        };
        if call < self.call || self.is_claimed || self.is_over() {
            return None;
        }
        self.is_claimed = true;
        Some(HoldClaim { stage: Arc::clone(&self.stage) })
    }

    /// Returns the hold of an abandoned call, so that the next call can claim it.
    pub(super) fn unclaim(&mut self, claim: &HoldClaim) {
        if Arc::ptr_eq(&self.stage, &claim.stage) {
            self.is_claimed = false;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        *self.stage.borrow() == Stage::Released
    }
}

impl HoldClaim {
    /// Records that the work is done and the answer is held.
    pub(super) fn set_reached(&self) {
        self.stage.send_if_modified(|stage| {
            let is_waiting = *stage == Stage::Waiting;
            if is_waiting {
                *stage = Stage::Held;
            }
            is_waiting
        });
    }

    pub(super) fn is_reached(&self) -> bool {
        *self.stage.borrow() != Stage::Waiting
    }

    pub(super) async fn released(&self) {
        let mut stage = self.stage.subscribe();
        let released = stage.wait_for(|stage| *stage == Stage::Released).await;
        released.expect("the sender lives in self");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_call_is_held_and_no_earlier_one() {
        #[rustfmt::skip]
        let cases = [
            // hold              op              of op  of all  is held
            ((None, 3),                Op::GetObject, 1,     3,      true),
            ((None, 3),                Op::GetObject, 3,     2,      false),
            ((Some(Op::GetObject), 2), Op::GetObject, 2,     9,      true),
            ((Some(Op::GetObject), 2), Op::GetObject, 1,     9,      false),
            ((Some(Op::GetObject), 2), Op::PutObject, 2,     9,      false),
        ];
        for ((wanted, call), op, nth_of_op, nth_of_all, is_claimed) in cases {
            let (mut hold, _held) = HoldRule::new(wanted, call);
            assert_eq!(
                hold.claim(op, nth_of_op, nth_of_all).is_some(),
                is_claimed,
                "{op:?} {nth_of_op} {nth_of_all}"
            );
        }
    }

    #[test]
    fn a_hold_applies_to_one_call_only() {
        let (mut hold, held) = HoldRule::new(None, 1);

        let claim = hold.claim(Op::GetObject, 1, 1).unwrap();
        assert!(hold.claim(Op::GetObject, 2, 2).is_none());
        assert!(!held.has_fired());

        claim.set_reached();
        assert!(held.has_fired());
    }

    #[test]
    fn a_released_hold_applies_to_no_call() {
        let (mut hold, held) = HoldRule::new(None, 1);
        held.release();

        assert!(hold.claim(Op::GetObject, 1, 1).is_none());
    }

    #[test]
    fn an_abandoned_call_leaves_the_hold_to_the_next_call() {
        let (mut hold, _held) = HoldRule::new(None, 1);
        let abandoned = hold.claim(Op::GetObject, 1, 1).unwrap();

        hold.unclaim(&abandoned);

        assert!(hold.claim(Op::GetObject, 2, 2).is_some());
    }
}

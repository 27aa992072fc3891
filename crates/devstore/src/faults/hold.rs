//! An answer that is held back: the world as it is when a program is killed
//! right after its n-th call took effect, and before it heard of that.
//!
//! A call whose client goes away before its work is done never gets so far;
//! the hold then waits for the next call, so that a harness that loops over
//! `nth = 1..` does not take an abandoned call for the end of the program.

use std::sync::Arc;

use tokio::sync::watch;

use super::Op;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For its call, or for the work of that.
    Waiting,
    /// The work is done, the answer is held.
    Held,
    /// The connection breaks, or the call was never taken.
    Released,
}

/// A call whose answer is held back. Dropping this breaks its connection: the
/// answer is never sent.
#[derive(Debug)]
pub struct Held {
    stage: Arc<watch::Sender<Stage>>,
}

/// A hold as the faults of a server keep it.
pub(super) struct Hold {
    /// `None`: any operation.
    op: Option<Op>,
    /// Counted as `op` says, from the start of the server.
    call: u64,
    is_taken: bool,
    stage: Arc<watch::Sender<Stage>>,
}

/// A call that has met its hold.
pub(crate) struct Holding {
    stage: Arc<watch::Sender<Stage>>,
}

impl Held {
    /// Waits until the call did its work and its answer is held. For a call
    /// that never comes it waits for ever.
    pub async fn reached(&self) {
        let mut stage = self.stage.subscribe();
        let held = stage.wait_for(|stage| *stage == Stage::Held).await;
        held.expect("the sender lives in self");
    }

    /// Whether the call came and did its work.
    pub fn has_fired(&self) -> bool {
        *self.stage.borrow() == Stage::Held
    }

    /// Waits as [`Held::reached`] does, or until it is released; true where the
    /// answer is held.
    pub(crate) fn outcome(&self) -> impl Future<Output = bool> + Send + 'static {
        let mut stage = self.stage.subscribe();
        async move {
            let stage = stage.wait_for(|stage| *stage != Stage::Waiting).await;
            stage.is_ok_and(|stage| *stage == Stage::Held)
        }
    }

    /// Breaks the connection of the call.
    pub fn release(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Released);
    }
}

impl Hold {
    pub(super) fn new(op: Option<Op>, call: u64) -> (Hold, Held) {
        let stage = Arc::new(watch::Sender::new(Stage::Waiting));
        (Hold { op, call, is_taken: false, stage: Arc::clone(&stage) }, Held { stage })
    }

    /// `of_op` and `of_all` are the numbers of this call.
    pub(super) fn meet(&mut self, op: Op, of_op: u64, of_all: u64) -> Option<Holding> {
        let call = match self.op {
            None => of_all,
            Some(wanted) if wanted == op => of_op,
            Some(_) => return None,
        };
        if call < self.call || self.is_taken || self.is_over() {
            return None;
        }
        self.is_taken = true;
        Some(Holding { stage: Arc::clone(&self.stage) })
    }

    /// The call was abandoned: another one may be taken.
    pub(super) fn give_back(&mut self, holding: &Holding) {
        if Arc::ptr_eq(&self.stage, &holding.stage) {
            self.is_taken = false;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        *self.stage.borrow() == Stage::Released
    }
}

impl Holding {
    /// Says that the work is done.
    pub(super) fn reach(&self) {
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
    fn which_call_is_held() {
        #[rustfmt::skip]
        let cases = [
            // hold              op              of op  of all  is held
            ((None, 3),                Op::GetObject, 1,     3,      true),
            ((None, 3),                Op::GetObject, 3,     2,      false),
            ((Some(Op::GetObject), 2), Op::GetObject, 2,     9,      true),
            ((Some(Op::GetObject), 2), Op::GetObject, 1,     9,      false),
            ((Some(Op::GetObject), 2), Op::PutObject, 2,     9,      false),
        ];
        for ((wanted, call), op, of_op, of_all, is_held) in cases {
            let (mut hold, _held) = Hold::new(wanted, call);
            assert_eq!(hold.meet(op, of_op, of_all).is_some(), is_held, "{op:?} {of_op} {of_all}");
        }
    }

    #[test]
    fn one_call_is_held_and_no_more() {
        let (mut hold, held) = Hold::new(None, 1);

        let holding = hold.meet(Op::GetObject, 1, 1).unwrap();
        assert!(hold.meet(Op::GetObject, 2, 2).is_none());
        assert!(!held.has_fired());

        holding.reach();
        assert!(held.has_fired());
    }

    #[test]
    fn a_hold_that_was_released_takes_no_call() {
        let (mut hold, held) = Hold::new(None, 1);
        held.release();

        assert!(hold.meet(Op::GetObject, 1, 1).is_none());
    }

    #[test]
    fn a_call_that_was_abandoned_leaves_the_hold_to_the_next() {
        let (mut hold, _held) = Hold::new(None, 1);
        let abandoned = hold.meet(Op::GetObject, 1, 1).unwrap();

        hold.give_back(&abandoned);

        assert!(hold.meet(Op::GetObject, 2, 2).is_some());
    }
}

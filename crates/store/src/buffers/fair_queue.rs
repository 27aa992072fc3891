//! Decides who gets the next free units of a pool. Pure.
//!
//! Each user has a queue of its own, first come, first served. The user that holds least is next, so that one with
//! hundreds of waiting requests delays another one by a single buffer at most. A request that does not fit yet keeps
//! all others waiting: short ones would otherwise keep a long one out for good.

use std::collections::{BTreeMap, VecDeque};

/// Number of a user.
pub(super) type UserId = u64;

/// The free units, and those who wait for them. `W` wakes a waiter.
#[derive(Debug)]
pub(super) struct FairQueue<W> {
    free: u64,
    users: BTreeMap<UserId, User<W>>,
    /// Number of requests that have waited so far.
    arrivals: u64,
}

#[derive(Debug)]
struct User<W> {
    held: u64,
    waiting: VecDeque<Request<W>>,
}

#[derive(Debug)]
struct Request<W> {
    arrival: u64,
    units: u64,
    waiter: W,
}

/// Units that a waiter gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted<W> {
    pub user: UserId,
    pub units: u64,
    pub waiter: W,
}

impl<W> FairQueue<W> {
    pub(super) fn new(units: u64) -> FairQueue<W> {
        FairQueue { free: units, users: BTreeMap::new(), arrivals: 0 }
    }

    pub(super) fn free(&self) -> u64 {
        self.free
    }

    /// Returns the number of requests that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.users.values().map(|user| user.waiting.len()).sum()
    }

    /// Takes units if they are free and no other request waits for some.
    pub(super) fn try_take(&mut self, user: UserId, units: u64) -> bool {
        let waits = self.users.values().any(|user| !user.waiting.is_empty());
        let fits = !waits && units <= self.free;
        if fits {
            self.free -= units;
            self.user(user).held += units;
        }
        fits
    }

    /// Lets a request wait. [`FairQueue::next`] says when it is its turn.
    pub(super) fn wait(&mut self, user: UserId, units: u64, waiter: W) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.user(user).waiting.push_back(Request { arrival, units, waiter });
    }

    /// Gives units back.
    pub(super) fn release(&mut self, user: UserId, units: u64) {
        self.free += units;
        let held = &mut self.user(user).held;
        *held = held.saturating_sub(units);
        self.forget_if_idle(user);
    }

    /// Returns the request whose turn it is, if its units are free. Requests that are gone are dropped.
    pub(super) fn next(&mut self, is_gone: impl Fn(&W) -> bool) -> Option<Granted<W>> {
        for user in self.users.values_mut() {
            user.waiting.retain(|request| !is_gone(&request.waiter));
        }
        self.users.retain(|_, user| user.held > 0 || !user.waiting.is_empty());
        let heads = self.users.iter().filter_map(|(id, user)| {
            let head = user.waiting.front()?;
            Some((user.held, head.arrival, head.units, *id))
        });
        let (_, _, units, id) = heads.min()?;
        if units > self.free {
            return None;
        }
        let user = self.users.get_mut(&id)?;
        let Request { units, waiter, .. } = user.waiting.pop_front()?;
        user.held += units;
        self.free -= units;
        Some(Granted { user: id, units, waiter })
    }

    fn user(&mut self, user: UserId) -> &mut User<W> {
        self.users.entry(user).or_insert_with(|| User { held: 0, waiting: VecDeque::new() })
    }

    fn forget_if_idle(&mut self, user: UserId) {
        let is_idle = |user: &User<W>| user.held == 0 && user.waiting.is_empty();
        if self.users.get(&user).is_some_and(is_idle) {
            self.users.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(queue: &mut FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.next(|_| false)).map(|granted| granted.waiter).collect()
    }

    #[test]
    fn the_user_that_holds_least_is_next() {
        let mut queue = FairQueue::new(4);
        assert!(queue.try_take(1, 2) && queue.try_take(1, 2));
        for name in ["a1", "a2", "a3"] {
            queue.wait(1, 2, name);
        }
        queue.wait(2, 2, "b1");
        queue.wait(2, 2, "b2");
        assert_eq!(granted(&mut queue), Vec::<&str>::new(), "nothing is free");

        let mut order = Vec::new();
        for user in [1, 1, 2, 1, 2] {
            queue.release(user, 2);
            order.extend(granted(&mut queue));
        }

        assert_eq!(order, ["b1", "a1", "b2", "a2", "a3"]);
    }

    #[test]
    fn a_long_request_is_not_kept_out_by_short_ones() {
        let mut queue = FairQueue::new(4);
        assert!(queue.try_take(1, 4));
        queue.wait(2, 4, "long");
        queue.wait(3, 1, "short");
        queue.release(1, 3);
        assert!(!queue.try_take(4, 1), "others wait");
        assert_eq!(granted(&mut queue), Vec::<&str>::new());
        queue.release(1, 1);
        assert_eq!(granted(&mut queue), ["long"]);
        queue.release(2, 4);
        assert_eq!(granted(&mut queue), ["short"]);
    }

    #[test]
    fn a_request_that_is_gone_keeps_no_other_waiting() {
        let mut queue = FairQueue::new(4);
        assert!(queue.try_take(1, 3));
        queue.wait(2, 4, "gone");
        queue.wait(3, 1, "here");
        let next = queue.next(|name| *name == "gone");
        assert_eq!(next, Some(Granted { user: 3, units: 1, waiter: "here" }));
        queue.release(1, 3);
        queue.release(3, 1);
        assert_eq!((queue.free(), queue.users.len()), (4, 0));
    }

    #[test]
    fn every_request_gets_its_units_and_no_more_are_given_than_there_are() {
        let mut random = 1u64;
        let mut below = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % limit
        };
        for round in 0..200 {
            let requests: Vec<_> = (0..=below(60)).map(|_| (below(4), 1 + below(8))).collect();
            let mut queue = FairQueue::new(8);
            let mut held = VecDeque::new();
            for (n, (user, units)) in requests.iter().enumerate() {
                queue.wait(*user, *units, n);
            }
            let mut served = 0;
            while served < requests.len() {
                while let Some(Granted { user, units, waiter }) = queue.next(|_| false) {
                    assert_eq!(requests[waiter], (user, units), "{round}");
                    held.push_back((user, units));
                    served += 1;
                }
                let used: u64 = held.iter().map(|(_, units)| units).sum();
                assert_eq!(used + queue.free(), 8, "{round}");
                let (user, units) = held.pop_front().expect("a request is served, or all were");
                queue.release(user, units);
            }
        }
    }
}

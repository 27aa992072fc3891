//! Archived objects: the decision for one object (`state`), and the calls that
//! thaw many of them (`thaw`).

pub(crate) mod state;
pub(crate) mod thaw;

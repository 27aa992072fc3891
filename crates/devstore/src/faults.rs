//! Fault injection: the n-th call of an operation fails in a chosen way.

pub(crate) mod bandwidth;
pub(crate) mod call_context;
mod fault;
mod hold;
mod operation;
pub(crate) mod registry;

pub use self::fault::{Fault, InjectedFault};
pub use self::hold::HeldCall;
pub use self::operation::Op;
pub use self::registry::Faults;

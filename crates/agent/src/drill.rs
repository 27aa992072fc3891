//! Proves that files can be restored: restores some of them into a scratch directory, reads them back
//! and compares them, then removes them.
//!
//! A file passes if its content is the one that this host uploaded, by the digest in the agent's
//! database; a file that the database does not know, by the digest that the gateway has ([`judge`]).
//! Files are restored in batches, so the scratch directory holds one batch at a time.

pub mod judge;
pub mod run;
mod scratch;

//! Verifies that the files of this host are protected: compares disk, database and gateway.
//!
//! The disk is scanned as `s3up status` does it. Each file that the database calls protected is hashed,
//! and the gateway is asked whether it has that content ([`judge`] decides). Nothing is changed. A file
//! that could not be compared is a finding: it is not known to be protected.

pub mod judge;
pub mod run;

//! Scanning: the walk of a watch, and its comparison with the database.

pub mod scan;
pub mod walk;

//! Scanning: the walk of a watch, and its comparison with the database.

pub mod missing_files;
pub mod scan;
pub mod walk;

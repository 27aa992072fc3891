//! Files of a watch: names, identities, and opening them safely.

pub mod confined_fs;
pub mod confined_removal;
pub mod filesystem;
pub mod identity;
pub mod trusted_path;
pub mod watch;
pub mod writes;

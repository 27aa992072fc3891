//! Files of a watch: how they are named, opened and told apart.

pub mod confined_fs;
pub mod identity;
pub mod watch;

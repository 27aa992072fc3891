//! The limit of open files of this process.
//!
//! Each upload, each connection and each directory of a scan needs a descriptor.
//! The soft limit is often 1,024 for programs that use `select`; the agent does not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Number of descriptors that a busy agent needs: 256 uploads with a file, a spooled
/// copy and a connection each, and some for the database and for scans.
const NEEDED: u64 = 1024;

/// Raises the soft limit to the hard one. Returns the limit if it stays too low.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Raising it within the hard limit fails only if that was lowered meanwhile.
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
    let current = getrlimit(Resource::Nofile).current.or(current)?;
    (current < NEEDED).then_some(current)
}

pub fn warn_if_low() {
    if let Some(limit) = raise_limit() {
        tracing::warn!(
            event = "open_files_limited",
            limit,
            needed = NEEDED,
            "uploads may have to wait for free descriptors; raise the limit, with LimitNOFILE= in \
             the unit or ulimit -n",
        );
    }
}

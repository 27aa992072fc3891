//! The limit of open files of the agent.
//!
//! Each upload, each connection and each directory of a scan needs a descriptor.

/// Number of descriptors that a busy agent needs: 256 uploads with a file, a spooled
/// copy and a connection each, and some for the database and for scans.
const NEEDED: u64 = 1024;

/// Raises the limit as far as the kernel allows, for a scan may need more than the uploads.
pub fn raise_and_warn_if_low() {
    let limit = s3up_cli::raise_open_files(u64::MAX);
    if limit < NEEDED {
        tracing::warn!(
            event = "open_files_limited",
            limit,
            needed = NEEDED,
            "uploads may have to wait for free descriptors; raise the limit, with LimitNOFILE= in \
             the unit or ulimit -n",
        );
    }
}

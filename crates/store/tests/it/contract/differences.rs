//! The differences of servers from the contract, and why we can live with them.
//!
//! Every entry has to be true: the suite fails if a listed difference is gone, and
//! if a difference is not listed. The embedded server may have none, because the
//! tests of the store run on it.

mod garage;
mod moto;
mod rclone;
mod rgw;
mod seaweedfs;
mod swift;

use super::servers::ServerName;

#[derive(Debug)]
pub struct Difference {
    pub server: ServerName,
    pub behaviours: &'static [&'static str],
    /// The behaviour of the server, in the words of the verdict.
    pub instead: &'static str,
    /// The reason why the difference is acceptable, or what the store does about it.
    pub why: &'static str,
}

/// Returns the differences of all servers.
pub fn all() -> impl Iterator<Item = &'static Difference> {
    [moto::ALL, garage::ALL, rgw::ALL, swift::ALL, seaweedfs::ALL, rclone::ALL]
        .into_iter()
        .flatten()
}

/// Returns the entry for a behaviour of a server.
pub fn of(server: ServerName, behaviour: &str) -> Option<&'static Difference> {
    all().find(|entry| entry.server == server && entry.behaviours.contains(&behaviour))
}

#[test]
fn every_entry_names_behaviours_that_exist_once() {
    let mut seen = std::collections::HashSet::new();
    for entry in all() {
        assert_ne!(
            entry.server,
            ServerName::Devstore,
            "the embedded server satisfies the contract"
        );
        for name in entry.behaviours {
            assert!(
                super::behaviours::ALL.iter().any(|behaviour| behaviour.name == *name),
                "{name}"
            );
            assert!(seen.insert((entry.server, *name)), "{name} twice");
        }
    }
}

//! Releases of btrfs-progs, and which of them receive a stream.

/// First release of btrfs-progs whose `btrfs receive` handles protocol 2. Earlier ones lose and
/// damage data: <https://btrfs.readthedocs.io/en/latest/CHANGES.html>, 6.2.
pub const PROTOCOL_2_FROM: &str = "6.2";

/// A release of btrfs-progs. The order is that of their appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgsRelease {
    major: u32,
    minor: u32,
}

impl ProgsRelease {
    /// Parses `6.2`, `v6.2`, `5.10.1` or `6.2-rc1`.
    pub fn parse(text: &str) -> Option<ProgsRelease> {
        let mut numbers = text.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        Some(ProgsRelease { major: number()?, minor: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_ordered() {
        let release = |text| ProgsRelease::parse(text);
        assert_eq!(release(PROTOCOL_2_FROM), Some(ProgsRelease { major: 6, minor: 2 }));
        for text in ["v6.2", "6.2.1", "6.2-rc1"] {
            assert_eq!(release(text), release("6.2"), "{text}");
        }
        for (older, newer) in [("5.19", "6.2"), ("6.1.3", "6.2"), ("6.2", "6.10")] {
            assert!(release(older) < release(newer), "{older} {newer}");
        }
        for text in ["", "unknown", "6", "six.two"] {
            assert_eq!(release(text), None, "{text}");
        }
    }
}

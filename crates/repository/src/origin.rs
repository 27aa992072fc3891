//! The origin of a backup: the host, filesystem and subvolume that it was made from.
//!
//! A chain belongs to its origin, not to the name of a subvolume: two hosts with one
//! configuration would otherwise replace and delete each other's backups. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The host, filesystem and subvolume that a backup was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the host, for people.
    pub host: String,
    /// Stable identity of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem_uuid: Option<String>,
    /// UUID of the subvolume that was backed up. A rollback changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subvolume_uuid: Option<String>,
}

/// The origin of a backup, and the earlier ones of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub origin: Origin,
    pub earlier: Vec<Origin>,
}

/// The state on this host of the snapshot that the newest published backup shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentHere {
    /// It is that snapshot, or was received from it.
    Proven,
    /// It is missing, or cannot be shown to be that snapshot.
    Unproven,
}

/// Answer of the operator to whether this host takes the chain over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopt {
    Yes,
    No,
}

/// The relation of a host to the published chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Nothing is published, or the manifest says nothing of its origin: versions that
    /// did not write one, and the Python tool.
    Unrecorded,
    /// Made on this host, perhaps from another filesystem.
    SameHost,
    /// Made from this filesystem, on a host with another identity: the disk was moved, or
    /// the system installed again.
    SameFilesystem,
    /// Made elsewhere, and restored here: the snapshot of the newest backup is on disk.
    RestoredHere,
    /// Made elsewhere; the operator takes it over.
    Adopted,
    /// Made elsewhere.
    Other,
}

impl Origin {
    /// Returns true if both were made on one host. Names count only if an identity is unknown.
    pub fn is_same_host(&self, other: &Origin) -> bool {
        match (&self.host_id, &other.host_id) {
            (Some(one), Some(other)) => one == other,
            (Some(_) | None, _) => self.host == other.host,
        }
    }

    pub fn is_same_filesystem(&self, other: &Origin) -> bool {
        self.filesystem_uuid.is_some() && self.filesystem_uuid == other.filesystem_uuid
    }

    /// Returns true if both belong to one chain without more proof. Machines that are cloned from
    /// one image share the UUID of a filesystem, so it counts only where no identity of a
    /// host contradicts it.
    pub fn is_same(&self, other: &Origin) -> bool {
        let is_unknown = self.host_id.is_none() || other.host_id.is_none();
        self.is_same_host(other) || self.is_same_filesystem(other) && is_unknown
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { host, host_id, filesystem_uuid, .. } = self;
        let unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        write!(
            f,
            "host {host} (identity {}, filesystem {})",
            unknown(host_id),
            unknown(filesystem_uuid)
        )
    }
}

/// Returns how a run of `ours` relates to the published chain. `published` is the origin of the newest published backup.
pub fn relation(
    ours: &Origin,
    published: Option<&Origin>,
    parent: ParentHere,
    adopt: Adopt,
) -> Relation {
    let Some(published) = published else { return Relation::Unrecorded };
    if ours.is_same_host(published) {
        return Relation::SameHost;
    }
    let is_proven = parent == ParentHere::Proven || ours.is_same(published);
    if ours.is_same_filesystem(published) && is_proven {
        return Relation::SameFilesystem;
    }
    match (parent, adopt) {
        (ParentHere::Proven, _) => Relation::RestoredHere,
        (ParentHere::Unproven, Adopt::Yes) => Relation::Adopted,
        (ParentHere::Unproven, Adopt::No) => Relation::Other,
    }
}

/// Returns the earlier origins of a backup that continues this chain: those that its
/// generations may have. An adopted chain hands down none, so that retention keeps what
/// another host made.
pub fn earlier_origins(
    relation: &Relation,
    ours: &Origin,
    published: Option<&Origin>,
    earlier: &[Origin],
) -> Vec<Origin> {
    match relation {
        Relation::Unrecorded | Relation::Adopted | Relation::Other => Vec::new(),
        Relation::SameHost | Relation::SameFilesystem | Relation::RestoredHere => {
            let mut origins: Vec<Origin> = Vec::new();
            for origin in published.into_iter().chain(earlier) {
                let is_known = ours.is_same_host(origin) && ours.is_same_filesystem(origin)
                    || origins.iter().any(|known| {
                        known.is_same_host(origin) && known.is_same_filesystem(origin)
                    });
                if !is_known && origins.len() < EARLIER_MAX {
                    origins.push(origin.clone());
                }
            }
            origins
        }
    }
}

/// Far more moves than one chain sees between two fulls.
const EARLIER_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(host: &str, host_id: &str, filesystem: &str) -> Origin {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Origin {
            host: host.to_owned(),
            host_id: known(host_id),
            filesystem_uuid: known(filesystem),
            subvolume_uuid: Some(format!("{host}-{filesystem}")),
        }
    }

    #[test]
    fn a_chain_is_ours_by_host_by_filesystem_or_by_proof() {
        use Adopt::{No, Yes};
        use ParentHere::{Proven, Unproven};
        use Relation::{Adopted, Other, RestoredHere, SameFilesystem, SameHost};
        let ours = || origin("nas", "h1", "f1");
        #[rustfmt::skip]
        let cases = [
            // situation                     ours                        published                   parent    adopt  relation
            ("nothing published",            ours(),                     None,                       Unproven, No,    Relation::Unrecorded),
            ("an older version",             ours(),                     None,                       Proven,   No,    Relation::Unrecorded),
            ("as always",                    ours(),                     Some(ours()),               Proven,   No,    SameHost),
            ("its parent was deleted",       ours(),                     Some(ours()),               Unproven, No,    SameHost),
            ("the host was renamed",         ours(),                     Some(origin("old", "h1", "f1")), Unproven, No, SameHost),
            ("a new disk, restored",         origin("nas", "h1", "f2"),  Some(ours()),               Proven,   No,    SameHost),
            ("a new disk, not restored",     origin("nas", "h1", "f2"),  Some(ours()),               Unproven, No,    SameHost),
            ("the system was reinstalled",   origin("nas", "h2", "f1"),  Some(ours()),               Proven,   No,    SameFilesystem),
            ("a clone of the machine",       origin("nas", "h2", "f1"),  Some(ours()),               Unproven, No,    Other),
            ("a clone, taken over",          origin("nas", "h2", "f1"),  Some(ours()),               Unproven, Yes,   Adopted),
            ("its identity is unknown",      origin("new", "", "f1"),    Some(ours()),               Unproven, No,    SameFilesystem),
            ("the disk was moved",           origin("new", "h2", "f1"),  Some(ours()),               Proven,   No,    SameFilesystem),
            ("restored on a new host",       origin("new", "h2", "f2"),  Some(ours()),               Proven,   No,    RestoredHere),
            ("restored, and adopt too",      origin("new", "h2", "f2"),  Some(ours()),               Proven,   Yes,   RestoredHere),
            ("a copied configuration",       origin("new", "h2", "f2"),  Some(ours()),               Unproven, No,    Other),
            ("the same name, another host",  origin("nas", "h2", "f2"),  Some(ours()),               Unproven, No,    Other),
            ("taken over",                   origin("new", "h2", "f2"),  Some(ours()),               Unproven, Yes,   Adopted),
            ("no identity, the same name",   origin("nas", "", "f2"),    Some(ours()),               Unproven, No,    SameHost),
            ("no identity, another name",    origin("new", "", "f2"),    Some(ours()),               Unproven, No,    Other),
            ("no filesystem known",          origin("new", "h2", ""),    Some(origin("nas", "h1", "")), Unproven, No, Other),
        ];
        for (situation, ours, published, parent, adopt, want) in cases {
            let got = relation(&ours, published.as_ref(), parent, adopt);
            assert_eq!(got, want, "{situation}");
        }
    }

    #[test]
    fn a_restored_chain_hands_down_its_origins_and_an_adopted_one_does_not() {
        let (old, ours, new_disk) =
            (origin("nas", "h1", "f1"), origin("new", "h2", "f2"), origin("new", "h2", "f3"));
        let older = origin("older", "h0", "f0");
        let earlier = std::slice::from_ref(&older);
        let of = |relation, published: &Origin| {
            earlier_origins(&relation, &ours, Some(published), earlier)
        };
        assert_eq!(of(Relation::RestoredHere, &old), [old.clone(), older.clone()]);
        assert_eq!(of(Relation::SameHost, &new_disk), [new_disk.clone(), older.clone()]);
        assert_eq!(of(Relation::SameHost, &ours), earlier);
        assert_eq!(of(Relation::SameHost, &older), earlier);
        assert_eq!(of(Relation::Adopted, &old), []);
        assert_eq!(earlier_origins(&Relation::Unrecorded, &ours, None, &[]), []);
    }

    #[test]
    fn an_origin_reads_what_it_does_not_know() {
        let text = r#"{"host": "nas", "serial": 7}"#;
        let read: Origin = serde_json::from_str(text).unwrap();
        assert_eq!(read, Origin { host: "nas".to_owned(), ..Origin::default() });
        assert_eq!(read.to_string(), "host nas (identity unknown, filesystem unknown)");
    }
}

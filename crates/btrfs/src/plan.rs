//! Decides what to back up, and how: pure, from what was seen.
//!
//! An incremental is always based on the last *published* backup, and only where
//! its snapshot is on disk and is still what was sent. Anything else leads to a
//! full, which is never wrong, with the reason.

use std::fmt;

use crate::chain::Chain;
use crate::snapshot::{Kind, SnapshotName};

/// What a snapshot on disk is, as `btrfs send` names it in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uuid: String,
    /// Changes with every change of its content, also where that was undone.
    pub ctransid: u64,
}

/// What the bucket says of a subvolume.
#[derive(Debug)]
pub enum Published {
    Nothing,
    /// There is a pointer, and what it names cannot be built on.
    Broken {
        reason: String,
    },
    Chain(Chain),
}

/// The snapshot of the newest published backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentOnDisk {
    Missing,
    /// It is writable now.
    Writable,
    /// Its identity could not be read.
    Unreadable {
        reason: String,
    },
    Found(Identity),
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Full or incremental, as the plan finds it.
    Any,
    Full,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Full(Why),
    /// On the snapshot of the newest published backup.
    Incremental {
        parent: SnapshotName,
        identity: Identity,
    },
}

/// Why a full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    FirstBackup,
    Asked,
    ChainBroken {
        reason: String,
    },
    /// The manifest names no snapshot of ours.
    ParentUnknown {
        name: String,
    },
    ParentMissing {
        parent: SnapshotName,
    },
    ParentWritable {
        parent: SnapshotName,
    },
    ParentUnreadable {
        parent: SnapshotName,
        reason: String,
    },
    /// The manifest does not say enough to recognise the snapshot.
    ParentUnproven {
        parent: SnapshotName,
    },
    ParentChanged {
        parent: SnapshotName,
        expected: Identity,
        found: Identity,
    },
}

/// The snapshot that an incremental would be based on.
pub fn parent_of(chain: &Chain) -> Option<SnapshotName> {
    SnapshotName::parse(&chain.newest().manifest.snapshot.name)
}

pub fn decide(asked: Asked, published: &Published, on_disk: &ParentOnDisk) -> Step {
    let chain = match (asked, published) {
        (_, Published::Nothing) => return Step::Full(Why::FirstBackup),
        (Asked::Full, _) => return Step::Full(Why::Asked),
        (Asked::Any, Published::Broken { reason }) => {
            return Step::Full(Why::ChainBroken { reason: reason.clone() });
        }
        (Asked::Any, Published::Chain(chain)) => chain,
    };
    let Some(parent) = parent_of(chain) else {
        let name = chain.newest().manifest.snapshot.name.clone();
        return Step::Full(Why::ParentUnknown { name });
    };
    let found = match on_disk {
        ParentOnDisk::Missing => return Step::Full(Why::ParentMissing { parent }),
        ParentOnDisk::Writable => return Step::Full(Why::ParentWritable { parent }),
        ParentOnDisk::Unreadable { reason } => {
            let reason = reason.clone();
            return Step::Full(Why::ParentUnreadable { parent, reason });
        }
        ParentOnDisk::Found(identity) => identity.clone(),
    };
    match expected(chain) {
        None => Step::Full(Why::ParentUnproven { parent }),
        Some(expected) if expected != found => {
            Step::Full(Why::ParentChanged { parent, expected, found })
        }
        Some(identity) => Step::Incremental { parent, identity },
    }
}

fn expected(chain: &Chain) -> Option<Identity> {
    let snapshot = &chain.newest().manifest.snapshot;
    Some(Identity { uuid: snapshot.uuid.clone()?, ctransid: snapshot.ctransid? })
}

impl Step {
    pub fn kind(&self) -> Kind {
        match self {
            Step::Full(_) => Kind::Full,
            Step::Incremental { .. } => Kind::Incremental,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at transaction {}", self.uuid, self.ctransid)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Full(why) => write!(f, "full: {why}"),
            Step::Incremental { parent, .. } => write!(f, "incremental on {parent}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::FirstBackup => f.write_str("nothing is published yet"),
            Why::Asked => f.write_str("it was asked for"),
            Why::ChainBroken { reason } => write!(f, "the published chain is broken: {reason}"),
            Why::ParentUnknown { name } => {
                write!(f, "the published backup is of the snapshot {name:?}, which is none of ours")
            }
            Why::ParentMissing { parent } => write!(f, "the parent snapshot {parent} is missing"),
            Why::ParentWritable { parent } => {
                write!(f, "the parent snapshot {parent} was made writable")
            }
            Why::ParentUnreadable { parent, reason } => {
                write!(f, "the parent snapshot {parent} cannot be sent: {reason}")
            }
            Why::ParentUnproven { parent } => {
                write!(f, "the manifest does not say which state of {parent} was sent")
            }
            Why::ParentChanged { parent, expected, found } => {
                write!(
                    f,
                    "the parent snapshot {parent} was changed: sent was {expected}, it is {found}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::link;
    use crate::chain::{Link, Next, Partial};

    #[test]
    fn decisions() {
        let parent = || SnapshotName::parse("data__20010909T014640Z__full").unwrap();
        let identity = |uuid: &str, ctransid| Identity { uuid: uuid.to_owned(), ctransid };
        let good = || ParentOnDisk::Found(identity("uuid-0", 0));
        let found = |uuid, ctransid| ParentOnDisk::Found(identity(uuid, ctransid));
        let changed = |uuid, ctransid| {
            Step::Full(Why::ParentChanged {
                parent: parent(),
                expected: identity("uuid-0", 0),
                found: identity(uuid, ctransid),
            })
        };
        let chain = || published(link(0, None));
        let broken = || Published::Broken { reason: "gone".to_owned() };
        let edited = |edit: &dyn Fn(&mut Link)| {
            let mut link = link(0, None);
            edit(&mut link);
            published(link)
        };
        let no_uuid = edited(&|link| link.manifest.snapshot.uuid = None);
        let no_ctransid = edited(&|link| link.manifest.snapshot.ctransid = None);
        let foreign = edited(&|link| link.manifest.snapshot.name = "weekly".to_owned());
        let unreadable = ParentOnDisk::Unreadable { reason: "EIO".to_owned() };
        let incremental = Step::Incremental { parent: parent(), identity: identity("uuid-0", 0) };
        let broken_why = Why::ChainBroken { reason: "gone".to_owned() };
        let unreadable_why = Why::ParentUnreadable { parent: parent(), reason: "EIO".to_owned() };
        #[rustfmt::skip]
        let cases = [
            // situation          asked        published            parent on disk          decision
            ("nothing yet",       Asked::Any,  Published::Nothing,  ParentOnDisk::Missing,  Step::Full(Why::FirstBackup)),
            ("nothing, full",     Asked::Full, Published::Nothing,  ParentOnDisk::Missing,  Step::Full(Why::FirstBackup)),
            ("all is well",       Asked::Any,  chain(),             good(),                 incremental),
            ("full asked for",    Asked::Full, chain(),             good(),                 Step::Full(Why::Asked)),
            ("full over broken",  Asked::Full, broken(),            ParentOnDisk::Missing,  Step::Full(Why::Asked)),
            ("chain broken",      Asked::Any,  broken(),            good(),                 Step::Full(broken_why)),
            ("parent deleted",    Asked::Any,  chain(),             ParentOnDisk::Missing,  Step::Full(Why::ParentMissing { parent: parent() })),
            ("parent writable",   Asked::Any,  chain(),             ParentOnDisk::Writable, Step::Full(Why::ParentWritable { parent: parent() })),
            ("parent unreadable", Asked::Any,  chain(),             unreadable,             Step::Full(unreadable_why)),
            ("parent changed",    Asked::Any,  chain(),             found("uuid-0", 7),     changed("uuid-0", 7)),
            ("parent replaced",   Asked::Any,  chain(),             found("uuid-9", 0),     changed("uuid-9", 0)),
            ("no uuid known",     Asked::Any,  no_uuid,             good(),                 Step::Full(Why::ParentUnproven { parent: parent() })),
            ("no ctransid known", Asked::Any,  no_ctransid,         good(),                 Step::Full(Why::ParentUnproven { parent: parent() })),
            ("of another tool",   Asked::Any,  foreign,             good(),                 Step::Full(Why::ParentUnknown { name: "weekly".to_owned() })),
        ];
        for (situation, asked, published, on_disk, want) in cases {
            assert_eq!(decide(asked, &published, &on_disk), want, "{situation}");
        }
    }

    #[test]
    fn a_reason_says_what_is_wrong() {
        let parent = SnapshotName::parse("data__20010909T014640Z__full").unwrap();
        let step = Step::Full(Why::ParentMissing { parent });
        assert_eq!(
            step.to_string(),
            "full: the parent snapshot data__20010909T014640Z__full is missing"
        );
    }

    fn published(full: Link) -> Published {
        match Partial::default().with(full) {
            Ok((_, Next::Whole(chain))) => Published::Chain(chain),
            other => panic!("{other:?}"),
        }
    }
}

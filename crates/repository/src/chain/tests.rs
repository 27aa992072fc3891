use super::*;
use crate::stamp::Stamp;
use crate::testing::entry;

#[test]
fn a_chain_leads_from_its_full_to_the_newest() {
    let entries = [entry(0, None), entry(1, Some(0)), entry(2, Some(1))];

    let chain = collect(entries.iter().rev().cloned()).unwrap();

    assert_eq!(chain.entries(), entries);
    assert_eq!(chain.newest(), &entries[2]);
    assert_eq!((chain.total_bytes(), chain.incremental_count()), (30, 2));
}

#[test]
fn an_entry_that_does_not_fit_is_named() {
    let with = |entry: ChainEntry, edit: &dyn Fn(&mut Manifest)| {
        let mut entry = entry;
        edit(&mut entry.manifest);
        entry
    };
    let child = entry(2, Some(1));
    let no_uuid = with(entry(1, Some(0)), &|manifest| manifest.snapshot.uuid = None);
    #[rustfmt::skip]
    let cases = [
        ("it fits",        entry(1, Some(0)), None),
        ("not known",      no_uuid, None),
        ("other",          with(entry(1, Some(0)), &|m| m.subvolume = "home".to_owned()),
            Some("manifest m1: expected subvolume \"data\", found \"home\"")),
        ("of another",     with(entry(1, Some(0)), &|m| m.snapshot.uuid = Some("x".to_owned())),
            Some("manifest m2: expected a parent with the snapshot uuid-1, found x in m1")),
        ("changed",        with(entry(1, Some(0)), &|m| m.snapshot.ctransid = Some(7)),
            Some("manifest m2: expected its parent at transaction 1, found 7 in m1")),
        ("a circle",       entry(2, Some(1)), Some("manifest m2 is not older than m2, which is based on it")),
        ("from later",     entry(3, Some(2)), Some("manifest m3 is not older than m2, which is based on it")),
    ];
    for (situation, parent, want) in cases {
        let (partial, _) = PartialChain::default().with(child.clone()).unwrap();
        let got = partial.with(parent).map_err(|err| err.to_string());
        assert_eq!(got.err().as_deref(), want, "{situation}");
    }
}

#[test]
fn the_transaction_of_a_received_parent_is_not_compared() {
    let mut child = entry(2, Some(1));
    child.manifest.snapshot.parent_ctransid = Some(700);
    child.manifest.parent_received = true;
    let (partial, _) = PartialChain::default().with(child).unwrap();
    assert!(partial.with(entry(1, Some(0))).is_ok());
}

#[test]
fn a_chain_has_an_end() {
    // Each is older than the one before, and none is a full.
    let entries = (0..).map(|n| {
        let mut entry = entry(1, Some(0));
        let second = jiff::Timestamp::from_second(2_000_000_000 - n).unwrap();
        entry.manifest.created_at = Stamp::at(second);
        entry.manifest.snapshot.uuid = None;
        entry.manifest.snapshot.ctransid = None;
        entry
    });

    let err = collect(entries).unwrap_err();

    assert!(matches!(err, ChainError::TooLong { .. }), "{err}");
}

fn collect(entries: impl Iterator<Item = ChainEntry>) -> Result<Chain, ChainError> {
    let mut partial = PartialChain::default();
    for entry in entries {
        match partial.with(entry)? {
            (_, Next::Whole(chain)) => return Ok(chain),
            (more, Next::Parent(_)) => partial = more,
        }
    }
    panic!("the entries ended before a full")
}

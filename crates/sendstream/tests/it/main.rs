//! What the verifier promises, checked through its public face: on streams of
//! the real `btrfs send` and on streams written by hand.

mod cuts;
mod golden;
mod refusals;
mod renames;
mod written;

use std::ops::Range;

use btrfs_sendstream::{Attribute, Kind, Verdict, Verifier};

/// A command with all that borrows copied out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    kind: Kind,
    place: Range<u64>,
    data: Option<Range<u64>>,
    attributes: Vec<(Attribute, Vec<u8>)>,
}

/// Feeds the pieces one after the other, up to the first error.
fn verify<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Verdict) {
    let mut verifier = Verifier::new();
    let mut commands = Vec::new();
    for piece in pieces {
        let fed = verifier.feed_to(piece, |command| {
            commands.push(Seen {
                kind: command.kind,
                place: command.place.clone(),
                data: command.data.clone(),
                attributes: command.attributes().map(|(a, value)| (a, value.to_vec())).collect(),
            });
        });
        if let Err(err) = fed {
            assert_eq!(verifier.feed(b"more"), Err(err.clone()), "an error stays");
            assert_eq!(verifier.finish(), Err(err.clone()));
            return (commands, Err(err));
        }
    }
    (commands, verifier.finish())
}

fn verdict(stream: &[u8]) -> Verdict {
    verify([stream]).1
}

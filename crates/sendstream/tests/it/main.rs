//! Tests of the public API of the verifier, with streams of the real `btrfs send`
//! and with hand-made ones.

mod builder;
mod cuts;
mod encode;
mod forecasts;
mod golden;
mod refusals;
mod uuid_rewrite;

use std::ops::Range;

use btrfs_sendstream::{Attribute, CommandKind, StreamVerdict, Verifier};

/// A copy of a [`Command`](btrfs_sendstream::Command) that borrows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ReadCommand {
    kind: CommandKind,
    range: Range<u64>,
    data: Option<Range<u64>>,
    attributes: Vec<(Attribute, Vec<u8>)>,
}

/// Feeds the pieces in order, up to the first error.
fn verify<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<ReadCommand>, StreamVerdict) {
    let mut verifier = Verifier::new();
    let mut commands = Vec::new();
    for piece in pieces {
        let fed = verifier.feed_to(piece, |command| {
            commands.push(ReadCommand {
                kind: command.kind,
                range: command.range.clone(),
                data: command.data.clone(),
                attributes: command.attributes().map(|(a, value)| (a, value.to_vec())).collect(),
            });
        });
        if let Err(err) = fed {
            assert_eq!(verifier.feed(b"more"), Err(err.clone()), "an error is final");
            assert_eq!(verifier.finish(), Err(err.clone()));
            return (commands, Err(err));
        }
    }
    (commands, verifier.finish())
}

fn verdict(stream: &[u8]) -> StreamVerdict {
    verify([stream]).1
}

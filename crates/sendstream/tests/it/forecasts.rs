//! Forecasts: a stream without data leads to the length of the stream with it.

use btrfs_sendstream::{Attribute, CommandKind, Forecast, Protocol, Verifier};

use crate::builder::{attribute, command, header};
use crate::golden::golden;
use crate::{ReadCommand, verify};

/// Returns the forecast from a stream without data.
fn forecast(stream: &[u8], protocol: Protocol) -> Forecast {
    let mut verifier = Verifier::without_data();
    let mut forecast = Forecast::new(protocol);
    for piece in stream.chunks(700) {
        verifier.feed_to(piece, |command| forecast.add(&command)).expect("a sound stream");
    }
    verifier.finish().expect("a whole stream");
    forecast
}

/// Replaces each run of writes to adjacent bytes by what `--no-data` writes for it.
fn without_data(stream: &[u8], commands: &[ReadCommand]) -> Vec<u8> {
    let value = |command: &ReadCommand, wanted| {
        let found = command.attributes.iter().find(|(attribute, _)| *attribute == wanted);
        found.expect("the attribute").1.clone()
    };
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let mut bare = stream[..17].to_vec();
    let mut at = 0;
    while at < commands.len() {
        let first = &commands[at];
        at += 1;
        let Some(data) = first.data.as_ref().filter(|_| first.kind == CommandKind::Write) else {
            bare.extend(&stream[first.range.start as usize..first.range.end as usize]);
            continue;
        };
        let (path, offset) = (value(first, Attribute::Path), value(first, Attribute::FileOffset));
        let mut len = data.end - data.start;
        while let Some(next) = commands.get(at).filter(|next| next.kind == CommandKind::Write)
            && value(next, Attribute::Path) == path
            && number(&value(next, Attribute::FileOffset)) == number(&offset) + len
        {
            len += next.data.as_ref().map_or(0, |data| data.end - data.start);
            at += 1;
        }
        bare.extend(command(
            CommandKind::UpdateExtent,
            &[
                attribute(Attribute::Path, &path),
                attribute(Attribute::FileOffset, &offset),
                attribute(Attribute::Size, &len.to_le_bytes()),
            ],
        ));
    }
    bare
}

#[test]
fn the_forecast_of_a_golden_stream_is_its_length() {
    for name in
        ["full-1", "incremental-1", "received-parent-1", "unchanged-1", "full-2", "incremental-2"]
    {
        let stream = golden(name);
        let (commands, verdict) = verify([&stream[..]]);
        let summary = verdict.expect("a golden stream is whole");

        let found = forecast(&without_data(&stream, &commands), summary.protocol);

        assert_eq!(found.stream_bytes, summary.total_bytes, "{name}");
        let data = commands.iter().filter(|command| command.kind == CommandKind::Write);
        let data = data.filter_map(|command| command.data.as_ref());
        let bytes: u64 = data.map(|data| data.end - data.start).sum();
        assert_eq!(found.data_bytes, bytes, "{name}");
    }
}

#[test]
fn a_length_that_no_file_has_does_not_overflow() {
    let stream = [
        header(1),
        crate::builder::subvolume("data"),
        command(
            CommandKind::UpdateExtent,
            &[
                attribute(Attribute::Path, b"a"),
                attribute(Attribute::FileOffset, &0u64.to_le_bytes()),
                attribute(Attribute::Size, &u64::MAX.to_le_bytes()),
            ],
        ),
        crate::builder::end(),
    ]
    .concat();

    let found = forecast(&stream, Protocol::V1);

    assert_eq!(found.data_bytes, u64::MAX);
    assert_eq!(found.stream_bytes, u64::MAX);
}

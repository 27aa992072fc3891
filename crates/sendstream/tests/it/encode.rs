//! Encoded commands are those that the kernel writes.

use btrfs_sendstream::encode::{AttributeTooLong, command, stream_header};
use btrfs_sendstream::{Attribute, CommandKind, Protocol};

use crate::{builder, verdict};

#[test]
fn encoded_commands_form_a_sound_stream() {
    let attributes = [(Attribute::Path, &b""[..]), (Attribute::XattrName, b"user.a")];
    let set = [&attributes[..], &[(Attribute::XattrData, b"1")]].concat();
    let set = command(CommandKind::SetXattr, &set).unwrap();
    let removed = command(CommandKind::RemoveXattr, &attributes).unwrap();

    for protocol in [Protocol::V1, Protocol::V2] {
        let header = stream_header(protocol);
        let end = command(CommandKind::End, &[]).unwrap();
        let first = builder::subvolume("data");
        let stream = [&header[..], &first, &set, &removed, &end].concat();
        assert_eq!(verdict(&stream).unwrap().command_count, 4);
        assert_eq!(verdict(&stream).unwrap().protocol, protocol);
    }
    assert_eq!(
        set,
        builder::command(
            CommandKind::SetXattr,
            &[
                builder::attribute(Attribute::Path, b""),
                builder::attribute(Attribute::XattrName, b"user.a"),
                builder::attribute(Attribute::XattrData, b"1"),
            ]
        )
    );
}

#[test]
fn a_value_that_the_format_cannot_hold_is_refused() {
    let attribute = Attribute::XattrData;
    let value = vec![0; 65_536];
    let err = command(CommandKind::SetXattr, &[(attribute, &value)]).unwrap_err();
    assert_eq!(err, AttributeTooLong { attribute, bytes: 65_536 });
    assert!(command(CommandKind::SetXattr, &[(attribute, &value[1..])]).is_ok());
}

//! Verifies a stream that arrives in pieces of any size.
//!
//! A command is verified once all of it has arrived, and its checksum first,
//! since the content of damaged bytes means nothing. So the verdict and the
//! commands handed out do not depend on how the stream was cut into pieces.
//!
//! Bytes are read in place. Only a header or a command head that is cut in two
//! is buffered until the rest arrives.

mod pending;

use self::pending::{COMMAND_HEADER_BYTES, PendingCommand};
use crate::command::Command;
use crate::command_head::{CommandHead, HeadScan, scan_head};
use crate::crc::Crc;
use crate::error::{CommandLocation, Defect, StreamError, StreamLocation};
use crate::kind::CommandKind;
use crate::protocol::Protocol;
use crate::summary::{Snapshot, StreamSummary, StreamVerdict, Times, Unreceivable};

const MAGIC: &[u8; 13] = b"btrfs-stream\0";
/// The header of a stream: magic and version.
const STREAM_HEADER_BYTES: usize = MAGIC.len() + 4;

#[derive(Debug)]
pub struct Verifier {
    state: State,
    buffered: Vec<u8>,
    /// Number of bytes consumed so far, including the buffered ones.
    consumed: u64,
    protocol: Protocol,
    command_count: u64,
    snapshot: Option<Snapshot>,
    root_times: Option<Times>,
    unreceivable: Unreceivable,
    /// True for a stream of `btrfs send --no-data`, which is measured and never stored.
    accepts_no_data: bool,
}

#[derive(Debug)]
enum State {
    StreamHeader,
    CommandHeader,
    /// Reading the attributes of a command.
    Head(PendingCommand),
    /// Reading the file data, or a command that is wrong but must be read to its
    /// end to verify its checksum. The head is buffered.
    Rest {
        pending: PendingCommand,
        head: Result<CommandHead, Defect>,
    },
    Ended,
    Failed(StreamError),
}

impl Default for Verifier {
    fn default() -> Verifier {
        Verifier {
            state: State::StreamHeader,
            buffered: Vec::new(),
            consumed: 0,
            protocol: Protocol::V1,
            command_count: 0,
            snapshot: None,
            root_times: None,
            unreceivable: Unreceivable::default(),
            accepts_no_data: false,
        }
    }
}

impl Verifier {
    pub fn new() -> Verifier {
        Verifier::default()
    }

    /// Returns a verifier that accepts the stream of `btrfs send --no-data` as well.
    pub fn without_data() -> Verifier {
        Verifier { accepts_no_data: true, ..Verifier::default() }
    }

    /// Consumes the next piece. The first error is final: [`finish`] returns it,
    /// and later pieces change nothing.
    ///
    /// [`finish`]: Verifier::finish
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), StreamError> {
        self.feed_to(piece, |_| ())
    }

    /// Consumes the next piece and calls `on_command` for each command that ends
    /// in it.
    pub fn feed_to(
        &mut self,
        mut piece: &[u8],
        mut on_command: impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        if let State::Failed(err) = &self.state {
            return Err(err.clone());
        }
        while !piece.is_empty() {
            if let Err(err) = self.step(&mut piece, &mut on_command) {
                self.buffered = Vec::new();
                self.state = State::Failed(err.clone());
                return Err(err);
            }
        }
        Ok(())
    }

    /// Returns the snapshot that the stream contains, once its first command has
    /// arrived.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Returns the protocol of the stream, which is known from its header on.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns the verdict after the last piece.
    pub fn finish(self) -> StreamVerdict {
        let command = match &self.state {
            State::Failed(err) => return Err(err.clone()),
            State::Ended => return Ok(self.summary()),
            State::StreamHeader | State::CommandHeader => None,
            State::Head(pending) | State::Rest { pending, .. } => Some(self.location_of(pending)),
        };
        Err(error(self.consumed, command, Defect::Truncated))
    }

    fn summary(self) -> StreamSummary {
        StreamSummary {
            protocol: self.protocol,
            snapshot: self.snapshot.expect("END is refused as the first command"),
            root_times: self.root_times,
            unreceivable: self.unreceivable,
            command_count: self.command_count,
            total_bytes: self.consumed,
        }
    }

    /// Advances by one header, head or rest, as far as the piece reaches.
    fn step(
        &mut self,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        match std::mem::replace(&mut self.state, State::CommandHeader) {
            State::StreamHeader => {
                let header = self.take_array(piece);
                self.state = match header {
                    Some(header) => self.parse_stream_header(&header)?,
                    None => State::StreamHeader,
                };
                Ok(())
            }
            State::CommandHeader => match self.take_array(piece) {
                Some(header) => {
                    self.take_head(self.parse_command_header(&header)?, piece, on_command)
                }
                None => Ok(()),
            },
            State::Head(pending) => self.take_head(pending, piece, on_command),
            State::Rest { pending, head } => self.take_rest(pending, head, piece, on_command),
            State::Ended => Err(error(self.consumed, None, Defect::DataAfterEnd)),
            State::Failed(err) => Err(err),
        }
    }

    fn parse_stream_header(
        &mut self,
        header: &[u8; STREAM_HEADER_BYTES],
    ) -> Result<State, StreamError> {
        let (magic, version) = header.split_last_chunk().expect("the header ends with a version");
        if magic != MAGIC {
            let found = magic.escape_ascii().to_string();
            return Err(error(0, None, Defect::WrongMagic { found }));
        }
        let version = u32::from_le_bytes(*version);
        self.protocol = Protocol::from_version(version)
            .ok_or_else(|| error(0, None, Defect::UnknownVersion(version)))?;
        Ok(State::CommandHeader)
    }

    fn parse_command_header(
        &self,
        header: &[u8; COMMAND_HEADER_BYTES],
    ) -> Result<PendingCommand, StreamError> {
        let start = self.consumed - COMMAND_HEADER_BYTES as u64;
        if MAGIC.starts_with(header) {
            return Err(error(start, None, Defect::SecondStreamHeader));
        }
        let [l0, l1, l2, l3, k0, k1, c0, c1, c2, c3] = *header;
        let (body_bytes, kind) =
            (u32::from_le_bytes([l0, l1, l2, l3]), u16::from_le_bytes([k0, k1]));
        let bytes = u64::from(body_bytes) + COMMAND_HEADER_BYTES as u64;
        let mut pending = PendingCommand {
            start,
            kind,
            body_bytes: body_bytes as usize,
            crc_expected: u32::from_le_bytes([c0, c1, c2, c3]),
            crc: Crc::new(),
        };
        let limit = self.protocol.command_bytes_max();
        if bytes > limit {
            let defect = Defect::CommandTooLong { bytes, limit };
            return Err(error(start, Some(self.location_of(&pending)), defect));
        }
        pending.crc.update(&[l0, l1, l2, l3, k0, k1, 0, 0, 0, 0]);
        Ok(pending)
    }

    /// Reads attributes until the file data starts or the command ends. The buffer
    /// holds exactly the bytes of the body that were consumed so far.
    fn take_head(
        &mut self,
        pending: PendingCommand,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        loop {
            let body = if self.buffered.is_empty() { *piece } else { &self.buffered[..] };
            let body = &body[..body.len().min(pending.body_bytes)];
            match scan_head(body, pending.body_bytes, self.protocol) {
                HeadScan::Done(head) if self.buffered.is_empty() => {
                    return self.take_body_from_piece(pending, head, piece, on_command);
                }
                HeadScan::Done(head) => {
                    return self.take_body_from_buffer(pending, head, piece, on_command);
                }
                HeadScan::NeedsBytes(bytes) => {
                    let missing = (bytes - self.buffered.len()).min(piece.len());
                    let more = self.take(missing, piece);
                    self.buffered.extend_from_slice(more);
                    if self.buffered.len() < bytes {
                        self.state = State::Head(pending);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Continues with a head that lies in the piece. If all of the command does,
    /// nothing is copied.
    fn take_body_from_piece(
        &mut self,
        mut pending: PendingCommand,
        head: Result<CommandHead, Defect>,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        let body = self.take(pending.body_bytes.min(piece.len()), piece);
        pending.crc.update(body);
        let head_bytes = head.as_ref().map_or(0, |head| head.bytes);
        if body.len() == pending.body_bytes {
            return self.complete_command(pending, head, &body[..head_bytes], on_command);
        }
        self.buffered.extend_from_slice(&body[..head_bytes]);
        self.state = State::Rest { pending, head };
        Ok(())
    }

    /// Continues with a head that arrived in several pieces.
    fn take_body_from_buffer(
        &mut self,
        mut pending: PendingCommand,
        head: Result<CommandHead, Defect>,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        pending.crc.update(&self.buffered);
        self.buffered.truncate(head.as_ref().map_or(0, |head| head.bytes));
        self.take_rest(pending, head, piece, on_command)
    }

    fn take_rest(
        &mut self,
        mut pending: PendingCommand,
        head: Result<CommandHead, Defect>,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        let left = (pending.end() - self.consumed) as usize;
        let bytes = self.take(left.min(piece.len()), piece);
        pending.crc.update(bytes);
        if bytes.len() < left {
            self.state = State::Rest { pending, head };
            return Ok(());
        }
        let mut head_bytes = std::mem::take(&mut self.buffered);
        let completed = self.complete_command(pending, head, &head_bytes, on_command);
        head_bytes.clear();
        self.buffered = head_bytes;
        completed
    }

    /// Verifies and hands out a command that has arrived completely.
    fn complete_command(
        &mut self,
        pending: PendingCommand,
        head: Result<CommandHead, Defect>,
        head_bytes: &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        let command = self
            .verify_command(&pending, head, head_bytes)
            .map_err(|defect| error(pending.start, Some(self.location_of(&pending)), defect))?;
        if self.snapshot.is_none() {
            self.snapshot = command.snapshot();
        }
        self.root_times = command.root_times().or(self.root_times);
        self.unreceivable.add(&command);
        self.command_count += 1;
        self.state =
            if command.kind == CommandKind::End { State::Ended } else { State::CommandHeader };
        on_command(command);
        Ok(())
    }

    fn verify_command<'a>(
        &self,
        pending: &PendingCommand,
        head: Result<CommandHead, Defect>,
        head_bytes: &'a [u8],
    ) -> Result<Command<'a>, Defect> {
        let (expected, found) = (pending.crc_expected, pending.crc.value());
        if expected != found {
            return Err(Defect::WrongChecksum { expected, found });
        }
        let kind = CommandKind::from_number(pending.kind, self.protocol)
            .ok_or(Defect::UnknownCommand(self.protocol))?;
        match (kind.is_first(), self.command_count == 0) {
            (true, true) | (false, false) => (),
            (false, true) => return Err(Defect::MissingSnapshotCommand),
            (true, false) => return Err(Defect::SecondSubvolume),
        }
        if kind == CommandKind::UpdateExtent && !self.accepts_no_data {
            return Err(Defect::NoData);
        }
        let head = head?;
        let body_start = pending.start + COMMAND_HEADER_BYTES as u64;
        let data = head.data_start.map(|start| body_start + start as u64..pending.end());
        let command = Command { kind, range: pending.start..pending.end(), data, head: head_bytes };
        command.check(head.present)?;
        Ok(command)
    }

    fn location_of(&self, pending: &PendingCommand) -> CommandLocation {
        CommandLocation { nth: self.command_count + 1, kind: pending.kind }
    }

    fn take<'p>(&mut self, bytes: usize, piece: &mut &'p [u8]) -> &'p [u8] {
        let (taken, rest) = piece.split_at(bytes);
        *piece = rest;
        self.consumed += bytes as u64;
        taken
    }

    /// Returns the next `N` bytes once they have all arrived.
    fn take_array<const N: usize>(&mut self, piece: &mut &[u8]) -> Option<[u8; N]> {
        let bytes = self.take(piece.len().min(N - self.buffered.len()), piece);
        if let Ok(whole) = bytes.try_into() {
            return Some(whole);
        }
        self.buffered.extend_from_slice(bytes);
        let whole = self.buffered[..].try_into().ok()?;
        self.buffered.clear();
        Some(whole)
    }
}

fn error(offset: u64, command: Option<CommandLocation>, defect: Defect) -> StreamError {
    StreamError { location: StreamLocation { offset, command }, defect }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_data_is_never_buffered() {
        let stream = include_bytes!("../testdata/large-2.stream");
        for piece_bytes in [1, 10, 1000, 60_000] {
            let mut verifier = Verifier::new();
            for piece in stream.chunks(piece_bytes) {
                verifier.feed(piece).unwrap();
                assert!(verifier.buffered.len() < 100, "{} bytes", verifier.buffered.len());
            }
            assert!(verifier.finish().is_ok());
        }
    }
}

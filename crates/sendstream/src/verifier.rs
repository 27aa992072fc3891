//! Takes a stream in pieces of any size and judges it.
//!
//! A command is judged whole, and its checksum first: what stands in damaged
//! bytes says nothing. So the verdict, and the commands that are handed out,
//! do not depend on how the stream was cut into pieces.
//!
//! Bytes are looked at where they lie. Only what a cut parts is held until the
//! rest arrives: a header, or the head of a command.

use crate::command::Command;
use crate::crc::Crc;
use crate::error::{CommandPlace, Place};
use crate::head::{Head, Split, split};
use crate::{Facts, Kind, Protocol, Snapshot, StreamError, Times, Verdict, Wrong};

const MAGIC: &[u8; 13] = b"btrfs-stream\0";
/// Magic and version.
const STREAM_HEADER_BYTES: usize = MAGIC.len() + 4;
/// Length, kind, checksum.
const COMMAND_HEADER_BYTES: usize = 4 + 2 + 4;

#[derive(Debug)]
pub struct Verifier {
    state: State,
    held: Vec<u8>,
    /// Bytes taken so far, held ones included.
    taken: u64,
    protocol: Protocol,
    command_count: u64,
    snapshot: Option<Snapshot>,
    root_times: Option<Times>,
}

#[derive(Debug)]
enum State {
    StreamHeader,
    CommandHeader,
    /// In the attributes of a command.
    Head(Open),
    /// In what follows them, or in a command that is wrong but has to be read
    /// to its checksum. Its head is held.
    Rest {
        open: Open,
        head: Result<Head, Wrong>,
    },
    Ended,
    Failed(StreamError),
}

/// A command whose header was read.
#[derive(Clone, Copy, Debug)]
struct Open {
    start: u64,
    kind: u16,
    body_bytes: usize,
    crc_expected: u32,
    /// Of what was read of it.
    crc: Crc,
}

impl Open {
    fn end(&self) -> u64 {
        self.start + (COMMAND_HEADER_BYTES + self.body_bytes) as u64
    }
}

impl Default for Verifier {
    fn default() -> Verifier {
        Verifier {
            state: State::StreamHeader,
            held: Vec::new(),
            taken: 0,
            protocol: Protocol::V1,
            command_count: 0,
            snapshot: None,
            root_times: None,
        }
    }
}

impl Verifier {
    pub fn new() -> Verifier {
        Verifier::default()
    }

    /// Takes the next piece. The first error stays: it is what [`finish`]
    /// returns, and whatever is fed after it changes nothing.
    ///
    /// [`finish`]: Verifier::finish
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), StreamError> {
        self.feed_to(piece, |_| ())
    }

    /// Takes the next piece and hands out each command that ends in it.
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
                self.held = Vec::new();
                self.state = State::Failed(err.clone());
                return Err(err);
            }
        }
        Ok(())
    }

    /// What the stream says it holds, as soon as its first command is there:
    /// long before the verdict.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// The protocol of the stream, which is known before its first command.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The verdict, after the last piece.
    pub fn finish(self) -> Verdict {
        let command = match &self.state {
            State::Failed(err) => return Err(err.clone()),
            State::Ended => return Ok(self.facts()),
            State::StreamHeader | State::CommandHeader => None,
            State::Head(open) | State::Rest { open, .. } => Some(self.place_of(open)),
        };
        Err(error(self.taken, command, Wrong::Truncated))
    }

    fn facts(self) -> Facts {
        Facts {
            protocol: self.protocol,
            snapshot: self.snapshot.expect("END is refused as the first command"),
            root_times: self.root_times,
            command_count: self.command_count,
            total_bytes: self.taken,
        }
    }

    /// Goes on by one header, head or rest, as far as the piece reaches.
    fn step(
        &mut self,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        match std::mem::replace(&mut self.state, State::CommandHeader) {
            State::StreamHeader => {
                let header = self.take_array(piece);
                self.state = match header {
                    Some(header) => self.stream_header(&header)?,
                    None => State::StreamHeader,
                };
                Ok(())
            }
            State::CommandHeader => match self.take_array(piece) {
                Some(header) => self.head(self.command_header(&header)?, piece, on_command),
                None => Ok(()),
            },
            State::Head(open) => self.head(open, piece, on_command),
            State::Rest { open, head } => self.rest(open, head, piece, on_command),
            State::Ended => Err(error(self.taken, None, Wrong::AfterEnd)),
            State::Failed(err) => Err(err),
        }
    }

    fn stream_header(&mut self, header: &[u8; STREAM_HEADER_BYTES]) -> Result<State, StreamError> {
        let (magic, version) = header.split_last_chunk().expect("the header ends with a version");
        if magic != MAGIC {
            return Err(error(0, None, Wrong::Magic));
        }
        let version = u32::from_le_bytes(*version);
        self.protocol = Protocol::from_version(version)
            .ok_or_else(|| error(0, None, Wrong::Version(version)))?;
        Ok(State::CommandHeader)
    }

    fn command_header(&self, header: &[u8; COMMAND_HEADER_BYTES]) -> Result<Open, StreamError> {
        let start = self.taken - COMMAND_HEADER_BYTES as u64;
        if MAGIC.starts_with(header) {
            return Err(error(start, None, Wrong::SecondHeader));
        }
        let [l0, l1, l2, l3, k0, k1, c0, c1, c2, c3] = *header;
        let (body_bytes, kind) =
            (u32::from_le_bytes([l0, l1, l2, l3]), u16::from_le_bytes([k0, k1]));
        let bytes = u64::from(body_bytes) + COMMAND_HEADER_BYTES as u64;
        let mut open = Open {
            start,
            kind,
            body_bytes: body_bytes as usize,
            crc_expected: u32::from_le_bytes([c0, c1, c2, c3]),
            crc: Crc::new(),
        };
        let limit = self.protocol.command_bytes_max();
        if bytes > limit {
            let wrong = Wrong::TooLong { bytes, limit };
            return Err(error(start, Some(self.place_of(&open)), wrong));
        }
        open.crc.update(&[l0, l1, l2, l3, k0, k1, 0, 0, 0, 0]);
        Ok(open)
    }

    /// Reads attributes until the file data starts or the command ends. What is
    /// held is all that was taken of the body.
    fn head(
        &mut self,
        open: Open,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        loop {
            let body = if self.held.is_empty() { *piece } else { &self.held[..] };
            let body = &body[..body.len().min(open.body_bytes)];
            match split(body, open.body_bytes, self.protocol) {
                Split::Done(head) if self.held.is_empty() => {
                    return self.body_here(open, head, piece, on_command);
                }
                Split::Done(head) => return self.body_held(open, head, piece, on_command),
                Split::Needs(bytes) => {
                    let missing = (bytes - self.held.len()).min(piece.len());
                    let more = self.take(missing, piece);
                    self.held.extend_from_slice(more);
                    if self.held.len() < bytes {
                        self.state = State::Head(open);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The head lies in the piece, and with luck all of the command: then
    /// nothing is copied at all.
    fn body_here(
        &mut self,
        mut open: Open,
        head: Result<Head, Wrong>,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        let body = self.take(open.body_bytes.min(piece.len()), piece);
        open.crc.update(body);
        let head_bytes = head.as_ref().map_or(0, |head| head.bytes);
        if body.len() == open.body_bytes {
            return self.complete(open, head, &body[..head_bytes], on_command);
        }
        self.held.extend_from_slice(&body[..head_bytes]);
        self.state = State::Rest { open, head };
        Ok(())
    }

    /// The head came in several pieces.
    fn body_held(
        &mut self,
        mut open: Open,
        head: Result<Head, Wrong>,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        open.crc.update(&self.held);
        self.held.truncate(head.as_ref().map_or(0, |head| head.bytes));
        self.rest(open, head, piece, on_command)
    }

    fn rest(
        &mut self,
        mut open: Open,
        head: Result<Head, Wrong>,
        piece: &mut &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        let left = (open.end() - self.taken) as usize;
        let bytes = self.take(left.min(piece.len()), piece);
        open.crc.update(bytes);
        if bytes.len() < left {
            self.state = State::Rest { open, head };
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        let completed = self.complete(open, head, &held, on_command);
        held.clear();
        self.held = held;
        completed
    }

    /// Judges a command that is there to its last byte.
    fn complete(
        &mut self,
        open: Open,
        head: Result<Head, Wrong>,
        head_bytes: &[u8],
        on_command: &mut impl FnMut(Command<'_>),
    ) -> Result<(), StreamError> {
        let command = self
            .judge(&open, head, head_bytes)
            .map_err(|wrong| error(open.start, Some(self.place_of(&open)), wrong))?;
        if self.snapshot.is_none() {
            self.snapshot = command.snapshot();
        }
        self.root_times = command.root_times().or(self.root_times);
        self.command_count += 1;
        self.state = if command.kind == Kind::End { State::Ended } else { State::CommandHeader };
        on_command(command);
        Ok(())
    }

    fn judge<'a>(
        &self,
        open: &Open,
        head: Result<Head, Wrong>,
        head_bytes: &'a [u8],
    ) -> Result<Command<'a>, Wrong> {
        let (expected, found) = (open.crc_expected, open.crc.value());
        if expected != found {
            return Err(Wrong::Checksum { expected, found });
        }
        let kind = Kind::from_number(open.kind, self.protocol).ok_or(Wrong::UnknownCommand)?;
        match (kind.is_first(), self.command_count == 0) {
            (true, true) | (false, false) => (),
            (false, true) => return Err(Wrong::NotFirst),
            (true, false) => return Err(Wrong::SecondSubvolume),
        }
        if kind == Kind::UpdateExtent {
            return Err(Wrong::NoData);
        }
        let head = head?;
        let body_start = open.start + COMMAND_HEADER_BYTES as u64;
        let data = head.data_start.map(|start| body_start + start as u64..open.end());
        let command = Command { kind, place: open.start..open.end(), data, head: head_bytes };
        command.check(head.present)?;
        Ok(command)
    }

    fn place_of(&self, open: &Open) -> CommandPlace {
        CommandPlace { nth: self.command_count + 1, kind: open.kind }
    }

    fn take<'p>(&mut self, bytes: usize, piece: &mut &'p [u8]) -> &'p [u8] {
        let (taken, rest) = piece.split_at(bytes);
        *piece = rest;
        self.taken += bytes as u64;
        taken
    }

    /// The next `N` bytes, once they are there.
    fn take_array<const N: usize>(&mut self, piece: &mut &[u8]) -> Option<[u8; N]> {
        let bytes = self.take(piece.len().min(N - self.held.len()), piece);
        if let Ok(whole) = bytes.try_into() {
            return Some(whole);
        }
        self.held.extend_from_slice(bytes);
        let whole = self.held[..].try_into().ok()?;
        self.held.clear();
        Some(whole)
    }
}

fn error(offset: u64, command: Option<CommandPlace>, wrong: Wrong) -> StreamError {
    StreamError { place: Place { offset, command }, wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_data_is_never_held() {
        let stream = include_bytes!("../testdata/large-2.stream");
        for piece_bytes in [1, 10, 1000, 60_000] {
            let mut verifier = Verifier::new();
            for piece in stream.chunks(piece_bytes) {
                verifier.feed(piece).unwrap();
                assert!(verifier.held.len() < 100, "{} bytes", verifier.held.len());
            }
            assert!(verifier.finish().is_ok());
        }
    }
}

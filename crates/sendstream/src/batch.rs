//! Commands that are handed to another thread, many at a time.

use std::ops::Range;

use crate::command::Command;
use crate::kind::CommandKind;

/// Commands in the order of the stream. Holds their attributes, and no file data.
#[derive(Clone, Debug, Default)]
pub struct CommandBatch {
    heads: Vec<u8>,
    commands: Vec<BatchedCommand>,
}

#[derive(Clone, Debug)]
struct BatchedCommand {
    kind: CommandKind,
    range: Range<u64>,
    data: Option<Range<u64>>,
    /// End of its attributes in `heads`; they start where those of the previous command end.
    head_end: usize,
}

impl CommandBatch {
    pub fn push(&mut self, command: &Command<'_>) {
        self.heads.extend_from_slice(command.head);
        self.commands.push(BatchedCommand {
            kind: command.kind,
            range: command.range.clone(),
            data: command.data.clone(),
            head_end: self.heads.len(),
        });
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Returns the memory that the commands take.
    pub fn bytes(&self) -> usize {
        self.heads.len() + self.commands.len() * size_of::<BatchedCommand>()
    }

    pub fn iter(&self) -> impl Iterator<Item = Command<'_>> {
        let mut start = 0;
        self.commands.iter().map(move |batched| {
            let head = &self.heads[start..batched.head_end];
            start = batched.head_end;
            let (kind, range, data) = (batched.kind, batched.range.clone(), batched.data.clone());
            Command { kind, range, data, head }
        })
    }
}

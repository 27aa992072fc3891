//! Hands the commands of a stream to another thread while the stream is read.
//!
//! A reader waits while too many commands are waiting, so that memory stays bounded. If the other
//! thread has ended, the stream is read on without it.

use std::task::{Context, Poll, ready};

use btrfs_sendstream::{Command, CommandBatch, CommandKind};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// Commands are handed over in batches of about this size.
const BATCH_BYTES: usize = 64 << 10;

pub struct CommandTap {
    /// `None` once the receiver is gone.
    sender: Option<PollSender<CommandBatch>>,
    batch: CommandBatch,
}

impl CommandTap {
    pub fn new(sender: mpsc::Sender<CommandBatch>) -> CommandTap {
        CommandTap { sender: Some(PollSender::new(sender)), batch: CommandBatch::default() }
    }

    /// Waits until a batch can be sent.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sender) = &mut self.sender
            && ready!(sender.poll_reserve(cx)).is_err()
        {
            self.sender = None;
        }
        Poll::Ready(())
    }

    /// Adds a command. The last one of a stream completes its batch.
    pub(crate) fn push(&mut self, command: &Command<'_>) {
        if self.sender.is_some() {
            self.batch.push(command);
        }
        if command.kind == CommandKind::End {
            self.send();
        }
    }

    /// Sends the batch if it is long enough.
    pub(crate) fn send_long(&mut self) {
        if self.batch.bytes() >= BATCH_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Some(sender) = &mut self.sender
            && sender.send_item(batch).is_err()
        {
            self.sender = None;
        }
    }
}

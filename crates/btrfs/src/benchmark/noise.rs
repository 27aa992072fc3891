//! A source of incompressible data that is faster than an upload.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

pub struct Noise {
    left: u64,
    state: u64,
}

impl Noise {
    pub fn of(bytes: u64) -> Noise {
        Noise { left: bytes, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// xorshift64: <https://www.jstatsoft.org/article/view/v008i14>
    fn next(&mut self) -> [u8; 8] {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.to_le_bytes()
    }
}

impl AsyncRead for Noise {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.left.min(buf.remaining() as u64) as usize;
        let target = buf.initialize_unfilled_to(count);
        for piece in target.chunks_mut(8) {
            let word = self.next();
            piece.copy_from_slice(&word[..piece.len()]);
        }
        buf.advance(count);
        self.left -= count as u64;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn noise_has_the_given_length_and_does_not_repeat() {
        let mut bytes = Vec::new();
        Noise::of(100_003).read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes.len(), 100_003);
        let words: std::collections::HashSet<_> = bytes.chunks(8).collect();
        assert_eq!(words.len(), 100_003_usize.div_ceil(8));
    }
}

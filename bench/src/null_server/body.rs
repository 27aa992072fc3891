//! The bytes of a stored body.

use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::ops::Range;

use rustix::fs::{MemfdFlags, memfd_create, sendfile};

/// Minimum length of a body that is stored in a file of its own.
const LONG_BYTES: usize = 1 << 20;

/// A body in memory. A long one is in a memory file, which the kernel sends
/// without a copy.
#[derive(Debug)]
pub enum Body {
    Short(Vec<u8>),
    Long { file: File, bytes: u64 },
}

impl Body {
    pub fn store(bytes: Vec<u8>) -> io::Result<Body> {
        if bytes.len() < LONG_BYTES {
            return Ok(Body::Short(bytes));
        }
        let mut file = File::from(memfd_create("body", MemfdFlags::CLOEXEC)?);
        file.write_all(&bytes)?;
        Ok(Body::Long { file, bytes: bytes.len() as u64 })
    }

    pub fn bytes(&self) -> u64 {
        match self {
            Body::Short(bytes) => bytes.len() as u64,
            Body::Long { bytes, .. } => *bytes,
        }
    }

    pub fn send(&self, range: Range<u64>, mut stream: &TcpStream) -> io::Result<()> {
        let file = match self {
            Body::Short(bytes) => {
                return stream.write_all(&bytes[range.start as usize..range.end as usize]);
            }
            Body::Long { file, .. } => file,
        };
        let mut at = range.start;
        while at < range.end {
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            if sendfile(stream, file, Some(&mut at), left)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn any_range_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for len in [1000, LONG_BYTES + 1000] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let body = Body::store(bytes.clone()).unwrap();
            assert_eq!(body.bytes(), len as u64);
            for range in [0..len, 7..len - 1, 5..5] {
                let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (mut other, _) = listener.accept().unwrap();
                let reader = std::thread::spawn(move || {
                    let mut read = Vec::new();
                    other.read_to_end(&mut read).map(|_| read)
                });
                body.send(range.start as u64..range.end as u64, &stream).unwrap();
                drop(stream);
                assert!(reader.join().unwrap().unwrap() == bytes[range]);
            }
        }
    }
}

//! A TCP proxy in front of the S3 server that keeps what the gateway sends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Clones share what was sent.
#[derive(Clone)]
pub struct Wiretap {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Wiretap {
    /// Listens on a free port and forwards all bytes to `target` unchanged, so that signatures stay
    /// valid.
    pub fn start(target: SocketAddr) -> Wiretap {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let tap =
            Wiretap { address: listener.local_addr().expect("an address"), sent: Arc::default() };
        let sent = tap.sent.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let from = socket.expect("a connection");
                let to = TcpStream::connect(target).expect("a connection to S3");
                let (from_too, to_too) =
                    (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                let sent = sent.clone();
                std::thread::spawn(move || copy(from, to, Some(&sent)));
                std::thread::spawn(move || copy(to_too, from_too, None));
            }
        });
        tap
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns method and target of each request that was sent so far.
    pub fn requests(&self) -> Vec<(String, String)> {
        let sent = self.sent.lock().expect("no panic");
        let text = String::from_utf8_lossy(&sent);
        let lines = text.split("\r\n").filter_map(|line| line.strip_suffix(" HTTP/1.1"));
        let request = |line: &str| {
            // A body may end right before the next request line.
            let start = ["GET /", "HEAD /", "PUT /", "POST /", "DELETE /"]
                .into_iter()
                .filter_map(|method| line.find(method))
                .min()?;
            let (method, target) = line[start..].split_once(' ')?;
            Some((method.to_owned(), target.to_owned()))
        };
        lines.filter_map(request).collect()
    }

    /// Returns each value of one header that was sent so far. `name` is in lower case.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let sent = self.sent.lock().expect("no panic");
        let text = String::from_utf8_lossy(&sent);
        let fields = text.split("\r\n").filter_map(|line| line.split_once(':'));
        let values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.trim().to_owned()).collect()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, sent: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(sent) = sent {
            sent.lock().expect("no panic").extend_from_slice(&buffer[..count]);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other side may have closed the connection already.
    to.shutdown(Shutdown::Write).ok();
}

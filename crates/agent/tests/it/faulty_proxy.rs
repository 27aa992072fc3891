//! A proxy between the agent and the gateway that refuses a method, or loses the answers to it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Fault of the proxy, for one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The gateway gets the request, and the connection breaks before its answer.
    LosesAnswer {
        method: &'static str,
    },
    /// The proxy answers with a status and without a body.
    Refuses {
        method: &'static str,
        status: u16,
    },
    /// The connection breaks after this number of bytes of the body.
    CutsBody {
        method: &'static str,
        bytes: usize,
    },
    /// The answer is that of a gateway which does not know the method.
    AnswersAsOldGateway {
        method: &'static str,
    },
}

pub struct FaultyProxy {
    address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    cuts: Arc<AtomicU64>,
}

impl FaultyProxy {
    pub async fn start(gateway: SocketAddr) -> FaultyProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let fault = Arc::new(Mutex::new(Fault::None));
        let (shared, cuts) = (fault.clone(), Arc::<AtomicU64>::default());
        let counted = cuts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (shared, counted) = (shared.clone(), counted.clone());
                // An error is a connection that the other side closed.
                tokio::spawn(async move { pass(client, gateway, &shared, &counted).await.ok() });
            }
        });
        FaultyProxy { address, fault, cuts }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the number of bodies that were cut since the fault was set.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    pub fn set(&self, fault: Fault) {
        self.cuts.store(0, Ordering::Relaxed);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// Passes the one request of a connection.
async fn pass(
    mut client: TcpStream,
    gateway: SocketAddr,
    fault: &Mutex<Fault>,
    cuts: &AtomicU64,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let fault = *fault.lock().unwrap_or_else(PoisonError::into_inner);
    let concerns = |method: &str| head.starts_with(method.as_bytes());
    let loses_answer = match fault {
        Fault::Refuses { method, status } if concerns(method) => {
            let head = format!("HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\n");
            return client.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
        }
        Fault::AnswersAsOldGateway { method } if concerns(method) => {
            let body = r#"{"status":405,"title":"","detail":"","code":"method_not_allowed"}"#;
            let head = "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/problem+json";
            let length = format!("Content-Length: {}\r\nConnection: close", body.len());
            return client.write_all(format!("{head}\r\n{length}\r\n\r\n{body}").as_bytes()).await;
        }
        Fault::LosesAnswer { method } => concerns(method),
        Fault::CutsBody { method, bytes } if concerns(method) => {
            let mut server = TcpStream::connect(gateway).await?;
            server.write_all(&head).await?;
            copy(&mut client.take(bytes as u64), &mut server).await?;
            drop(server);
            cuts.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        Fault::None
        | Fault::Refuses { .. }
        | Fault::CutsBody { .. }
        | Fault::AnswersAsOldGateway { .. } => false,
    };
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    let mut server = TcpStream::connect(gateway).await?;
    server.write_all(&head).await?;
    if !loses_answer {
        return copy_bidirectional(&mut client, &mut server).await.map(drop);
    }
    let (mut body, _unused) = client.split();
    let (mut answer, mut request) = server.split();
    tokio::select! {
        sent = copy(&mut body, &mut request) => sent.map(drop),
        answered = answer.read_u8() => answered.map(drop),
    }
}

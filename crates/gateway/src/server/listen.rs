//! The socket on which the gateway listens.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Maximum number of connections that the kernel keeps until the gateway accepts them; it also applies the limit of
/// the host (`net.core.somaxconn`), by default the same. With the 128 of the standard library, it drops connections
/// that come at the same moment, and such a client tries again after a second or more.
const BACKLOG: u32 = 4096;

/// Listens on an address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // So that a new gateway can listen while connections of the one before end.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

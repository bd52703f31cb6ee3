//! `tcp:HOST:PORT`: somebody takes a connection.

use supervisor_config::HostPort;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, PATIENCE, SILENT, Threads, name, why};

/// The connection, to the first address of the name that takes one. The addresses share the time, so
/// that one which swallows everything does not hide the others.
pub(super) async fn connect(address: &HostPort, threads: &Threads) -> Answer<TcpStream> {
    let addresses = name::addresses(address, threads).await?;
    let each = PATIENCE / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = "its name has no address".to_owned();
    for address in addresses {
        last = match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) if !is_own_echo(&stream) => return Ok(stream),
            Ok(Ok(_)) => "connection refused".to_owned(),
            Ok(Err(error)) => why(&error),
            Err(_) => SILENT.to_owned(),
        };
    }
    Err(last)
}

/// A port from which the kernel takes those of outgoing connections may be given to this very one: then
/// it is connected to itself, and nobody listens.
pub(super) fn is_own_echo(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local == peer,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

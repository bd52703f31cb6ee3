//! `unix:PATH`: a socket there takes a connection.

use std::path::Path;

use tokio::net::UnixStream;

use super::{Answer, why};

pub(super) async fn connect(path: &Path) -> Answer {
    let connected = UnixStream::connect(path).await;
    connected.map(drop).map_err(|error| why(&error))
}

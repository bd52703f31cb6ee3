//! Addresses of names of hosts.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use supervisor_config::HostPort;

use super::{Answer, Threads, uncapitalised};

/// So many addresses of a name are tried.
const TRIED: usize = 4;

/// An address as it is written; of a name, its first addresses.
pub(super) async fn addresses(of: &HostPort, threads: &Threads) -> Answer<Vec<SocketAddr>> {
    if let Ok(address) = of.host.parse::<IpAddr>() {
        return Ok(vec![(address, of.port).into()]);
    }
    let name = (of.host.clone(), of.port);
    let found = threads.call(move || {
        let found = name.to_socket_addrs();
        found.map(|addresses| addresses.take(TRIED).collect())
    });
    found.await?.map_err(|error| {
        let text = error.to_string();
        // `failed to lookup address information: Name or service not known`
        uncapitalised(text.rsplit_once(": ").map_or(&*text, |(_, why)| why))
    })
}

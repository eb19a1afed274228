//! Ports of containers that an engine publishes, as a lock file spells them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A port of a container that can be reached at an address of the engine's machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// The address of the machine; unspecified for all of them.
    pub address: IpAddr,
    /// The port of the machine.
    pub port: u16,
    /// Whether the engine chose that port, and may choose another one at the next start.
    pub is_chosen: bool,
    /// The port inside the container.
    pub inner: u16,
    /// `tcp`, `udp`, `sctp`.
    pub proto: String,
}

/// Text that is no published port.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no published port (ADDRESS:PORT->PORT/PROTO)")]
pub struct BadPublishedPort(String);

impl PublishedPort {
    /// Whether every address of the machine leads to it.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        self.address.is_unspecified()
    }
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, is_chosen, inner, proto } = self;
        match (address.is_ipv6(), is_chosen) {
            (true, true) => write!(f, "[{address}]:*->{inner}/{proto}"),
            (false, true) => write!(f, "{address}:*->{inner}/{proto}"),
            (_, false) => write!(f, "{}->{inner}/{proto}", SocketAddr::new(*address, *port)),
        }
    }
}

impl FromStr for PublishedPort {
    type Err = BadPublishedPort;

    fn from_str(text: &str) -> Result<Self, BadPublishedPort> {
        let read = || {
            let (outer, inner) = text.split_once("->")?;
            let (inner, proto) = inner.split_once('/')?;
            let is_chosen = outer.ends_with(":*");
            let place = if is_chosen { format!("{}0", outer.strip_suffix('*')?) } else { outer.to_owned() };
            let place: SocketAddr = place.parse().ok()?;
            let inner = inner.parse().ok().filter(|port| *port > 0)?;
            let is_sound = (is_chosen || place.port() > 0) && ["tcp", "udp", "sctp"].contains(&proto);
            let (address, port) = (place.ip(), place.port());
            is_sound.then(|| Self { address, port, is_chosen, inner, proto: proto.to_owned() })
        };
        read().filter(|port| port.to_string() == text).ok_or_else(|| BadPublishedPort(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back_and_nothing_else() {
        for text in
            ["0.0.0.0:8069->8069/tcp", "[::]:53->5353/udp", "127.0.0.1:*->8070/tcp", "[::1]:*->1/sctp"]
        {
            assert_eq!(text.parse::<PublishedPort>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "8069",
            "8069->8069/tcp",
            "0.0.0.0:0->1/tcp",
            "0.0.0.0:1->0/tcp",
            "0.0.0.0:1->1/icmp",
            "0.0.0.0:01->1/tcp",
            "localhost:1->1/tcp",
            "0.0.0.0:1->1/tcp ",
        ] {
            assert!(text.parse::<PublishedPort>().is_err(), "{text}");
        }
    }
}

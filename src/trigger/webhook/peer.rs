//! Who sent a request, as the log names it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    At(IpAddr),
    UnixSocket,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::UnixSocket => f.write_str("unix socket"),
        }
    }
}

impl Peer {
    /// Who sent the request: this end, or the one that a trusted proxy names.
    ///
    /// Each proxy appends who it heard the request from, so the list is read from its end, as long as who wrote an
    /// entry is trusted. Whoever reaches the Unix socket may open it, and is trusted as a proxy.
    pub(super) fn behind_proxies(self, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let is_trusted = |peer: Self| match peer {
            Self::UnixSocket => true,
            Self::At(address) => trusted.iter().any(|network| network.contains(&address)),
        };
        let values: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let mut peer = self;
        for entry in values.iter().flat_map(|value| value.split(',')).rev() {
            let Some(address) = address(entry).filter(|_| is_trusted(peer)) else { break };
            peer = Self::At(address);
        }
        peer
    }
}

/// An address, with or without a port.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    entry.parse().ok().or_else(with_port).or_else(in_brackets).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn behind(direct: Peer, headers: &[&str], trusted: &[&str]) -> String {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        direct.behind_proxies(&map, &trusted).to_string()
    }

    fn at(address: &str) -> Peer {
        Peer::At(address.parse().unwrap())
    }

    #[test]
    fn a_stranger_s_word_is_not_believed() {
        assert_eq!(behind(at("203.0.113.9"), &["198.51.100.7"], &[]), "203.0.113.9");
        assert_eq!(behind(at("203.0.113.9"), &["198.51.100.7"], &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_names_who_it_heard_from() {
        let proxies = ["10.0.0.0/8", "2001:db8::/32"];
        let direct = at("10.0.0.1");
        assert_eq!(behind(direct, &[], &proxies), "10.0.0.1");
        assert_eq!(behind(direct, &["198.51.100.7"], &proxies), "198.51.100.7");
        assert_eq!(behind(direct, &["1.1.1.1, 198.51.100.7"], &proxies), "198.51.100.7", "the rest is hearsay");
        assert_eq!(behind(direct, &["1.1.1.1", "198.51.100.7 , 10.0.0.2"], &proxies), "198.51.100.7");
        assert_eq!(behind(direct, &["10.0.0.3,10.0.0.2"], &proxies), "10.0.0.3");
        assert_eq!(behind(direct, &["198.51.100.7:4711"], &proxies), "198.51.100.7");
        assert_eq!(behind(at("2001:db8::1"), &["[2001:db9::7]:4711"], &proxies), "2001:db9::7");
        assert_eq!(behind(direct, &["198.51.100.7, unknown"], &proxies), "10.0.0.1");
        assert_eq!(behind(direct, &["::ffff:198.51.100.7"], &proxies), "198.51.100.7");
    }

    #[test]
    fn who_comes_over_the_unix_socket_is_a_proxy() {
        assert_eq!(behind(Peer::UnixSocket, &[], &[]), "unix socket");
        assert_eq!(behind(Peer::UnixSocket, &["1.1.1.1, 198.51.100.7"], &[]), "198.51.100.7");
    }
}

//! Which addresses may be contacted.
//!
//! `https` goes anywhere that the configuration names; plain `http` only to this machine. A download may be sent on to
//! another address by the server, so its target is checked at every hop against `zoom.download_hosts`, and the address
//! that its name resolves to must be public unless the exact `host:port` stands in that list: an answer from outside
//! cannot make this program talk to its own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Why an address is not contacted. Names at most the scheme, never the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    #[error("it is not an absolute address with a host")]
    Malformed,
    #[error("plain http is allowed for this machine only")]
    PlainHttp,
    #[error("only https (and http to this machine) is allowed")]
    Scheme,
    #[error("it carries a user name or password")]
    Credentials,
    #[error("its host is not in zoom.download_hosts")]
    UnlistedHost,
    #[error("it leads to a private address")]
    PrivateAddress,
}

/// An entry of `zoom.download_hosts` that is none of `host`, `*.domain` and `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is none of host, *.domain and host:port")]
pub struct InvalidHostRule {
    pub entry: String,
}

/// How far a request may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The exact `host:port` is listed: whatever it resolves to.
    Listed,
    /// Only public addresses.
    Public,
}

/// Checks an address that the operator configured: absolute, `https` or `http` on loopback, no credentials inside.
///
/// # Errors
/// [`AddressError`] says what is wrong with it.
pub fn check_endpoint(url: &Url) -> Result<(), AddressError> {
    let host = url.host().ok_or(AddressError::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&host) => Ok(()),
        "http" => Err(AddressError::PlainHttp),
        _ => Err(AddressError::Scheme),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostRule {
    AnyPort(Host),
    /// The domain without `*`, with its leading dot.
    Subdomains(String),
    Exact(Host, u16),
}

/// The hosts that audio may be fetched from.
#[derive(Debug, Clone)]
pub struct DownloadHosts {
    rules: Vec<HostRule>,
}

impl DownloadHosts {
    /// Reads the entries `host`, `*.domain` (any subdomain, not the domain itself) and `host:port`.
    ///
    /// # Errors
    /// The first entry that is none of them.
    pub fn parse(entries: &[String]) -> Result<Self, InvalidHostRule> {
        let rule = |entry: &String| parse_rule(entry.trim()).ok_or_else(|| InvalidHostRule { entry: entry.clone() });
        Ok(Self { rules: entries.iter().map(rule).collect::<Result<_, _>>()? })
    }

    /// Decides whether one hop of a download may go to `url`. A name is judged again when it is resolved: see
    /// [`PublicOnly`].
    ///
    /// # Errors
    /// [`AddressError`] says why not.
    pub fn check(&self, url: &Url) -> Result<Reach, AddressError> {
        check_endpoint(url)?;
        let host = url.host().ok_or(AddressError::Malformed)?.to_owned();
        let port = url.port_or_known_default().ok_or(AddressError::Malformed)?;
        if self.rules.contains(&HostRule::Exact(host.clone(), port)) {
            return Ok(Reach::Listed);
        }
        let listed = self.rules.iter().any(|rule| match rule {
            HostRule::AnyPort(listed) => *listed == host,
            HostRule::Subdomains(suffix) => matches!(&host, Host::Domain(name) if is_subdomain(name, suffix)),
            HostRule::Exact(..) => false,
        });
        if !listed {
            return Err(AddressError::UnlistedHost);
        }
        let public = match &host {
            Host::Domain(name) => name != "localhost",
            Host::Ipv4(address) => is_public(IpAddr::V4(*address)),
            Host::Ipv6(address) => is_public(IpAddr::V6(*address)),
        };
        if public { Ok(Reach::Public) } else { Err(AddressError::PrivateAddress) }
    }
}

fn parse_rule(entry: &str) -> Option<HostRule> {
    let domain = entry.strip_prefix("*.");
    if domain.unwrap_or(entry).contains('*') {
        return None;
    }
    if let Some(domain) = domain {
        let Host::Domain(domain) = Host::parse(domain).ok()? else { return None };
        return Some(HostRule::Subdomains(format!(".{domain}")));
    }
    if let Ok(host) = Host::parse(entry) {
        return Some(HostRule::AnyPort(host));
    }
    let (host, port) = entry.rsplit_once(':')?;
    Some(HostRule::Exact(Host::parse(host).ok()?, port.parse().ok().filter(|port| *port != 0)?))
}

fn is_subdomain(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

/// Whether an address is on the public internet: not this machine, not a private, link-local, shared or reserved
/// network, not a cloud's metadata service, also when it is wrapped in an IPv6 address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

/// Azure's metadata service stands on an otherwise public address.
const AZURE_METADATA: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || matches!((a, b, c), (0 | 224..=255, _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _))
        || address == AZURE_METADATA;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is handed out for the public internet; 2001:db8::/32 is for documentation.
    first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0x0db8)
}

/// The IPv4 address inside a mapped (`::ffff:a.b.c.d`), compatible, translated (`64:ff9b::`) or 6to4 (`2002:`) one.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(join(g, h)),
        [0, 0, 0, 0, 0, 0] if !address.is_loopback() => Some(join(g, h)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

/// Resolves names for requests of [`Reach::Public`] and refuses a name of which any address is not public. The
/// connection is made to the very addresses that were checked.
#[derive(Debug, Clone, Copy)]
pub struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().all(|address| is_public(address.ip())) {
                Ok(Box::new(found.into_iter()) as Addrs)
            } else {
                Err(AddressError::PrivateAddress.into())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn hosts(entries: &[&str]) -> DownloadHosts {
        DownloadHosts::parse(&entries.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for allowed in ["https://api.zoom.us/v2", "http://127.0.0.1:81/x", "http://[::1]:81", "http://localhost:81"] {
            assert_eq!(check_endpoint(&url(allowed)), Ok(()), "{allowed}");
        }
        for plain in ["http://api.zoom.us", "http://10.0.0.1", "http://localhost.evil.example", "http://0.0.0.0:1"] {
            assert_eq!(check_endpoint(&url(plain)), Err(AddressError::PlainHttp), "{plain}");
        }
        assert_eq!(check_endpoint(&url("ftp://zoom.us/x")), Err(AddressError::Scheme));
        assert_eq!(check_endpoint(&url("file:///etc/passwd")), Err(AddressError::Malformed));
        assert_eq!(check_endpoint(&url("https://a:b@zoom.us/")), Err(AddressError::Credentials));
    }

    #[test]
    fn only_listed_hosts_are_downloaded_from() {
        let hosts = hosts(&["zoom.us", "*.zoom.us", "files.example:8443"]);
        assert_eq!(hosts.check(&url("https://zoom.us/v2/x")), Ok(Reach::Public));
        assert_eq!(hosts.check(&url("https://FILE.zoom.us/x")), Ok(Reach::Public));
        assert_eq!(hosts.check(&url("https://files.example:8443/x")), Ok(Reach::Listed));
        for other in [
            "https://files.example/x",
            "https://evilzoom.us/x",
            "https://zoom.us.evil.example/x",
            "https://.zoom.us/",
            "https://93.184.216.34/",
        ] {
            assert_eq!(hosts.check(&url(other)), Err(AddressError::UnlistedHost), "{other}");
        }
        assert_eq!(hosts.check(&url("http://zoom.us/x")), Err(AddressError::PlainHttp));
        assert_eq!(hosts.check(&url("https://zoom.us@evil.example/")), Err(AddressError::Credentials));
    }

    #[test]
    fn a_private_target_needs_its_exact_host_and_port() {
        let hosts = hosts(&["127.0.0.1", "localhost", "10.1.2.3:8443", "[::1]:9000", "127.0.0.1:9001"]);
        assert_eq!(hosts.check(&url("http://127.0.0.1:9001/x")), Ok(Reach::Listed));
        assert_eq!(hosts.check(&url("http://[::1]:9000/x")), Ok(Reach::Listed));
        assert_eq!(hosts.check(&url("https://10.1.2.3:8443/x")), Ok(Reach::Listed));
        assert_eq!(hosts.check(&url("http://127.0.0.1:9002/x")), Err(AddressError::PrivateAddress));
        assert_eq!(hosts.check(&url("http://localhost/x")), Err(AddressError::PrivateAddress));
        assert_eq!(hosts.check(&url("http://0x7f.1:9002/x")), Err(AddressError::PrivateAddress));
        assert_eq!(hosts.check(&url("https://10.1.2.3/x")), Err(AddressError::UnlistedHost));
    }

    #[test]
    fn entries_that_are_no_hosts_are_refused() {
        for entry in ["", "*", "*.", "https://zoom.us", "zoom.us:", "zoom.us:0", "zoom.us:99999", "a b", "*.1.2.3.4"] {
            let refused = DownloadHosts::parse(&[entry.to_string()]);
            assert!(refused.is_err(), "{entry:?} became {refused:?}");
        }
    }

    #[test]
    fn addresses_inside_a_network_are_not_public() {
        let private = [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "192.0.0.192",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "::10.0.0.1",
            "2001:db8::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["93.184.216.34", "170.114.52.2", "2606:4700::1111", "::ffff:93.184.216.34"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_refused() {
        let error = PublicOnly.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert_eq!(error.downcast_ref::<AddressError>(), Some(&AddressError::PrivateAddress));
    }
}

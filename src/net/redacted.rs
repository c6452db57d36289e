//! Addresses for people to read: scheme and host, never what may hold a credential.

use std::fmt;

use url::Url;

/// Shows `scheme://host:port` of an address and nothing else: no user, no path, no query, no fragment.
#[derive(Clone, Copy)]
pub struct Redacted<'a>(pub &'a Url);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or("?"))?;
        match self.0.port() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_host_and_port_are_shown() {
        let url = Url::parse("https://user:pass@files.example:8443/recording/key?jwt=secret#part").unwrap();
        assert_eq!(Redacted(&url).to_string(), "https://files.example:8443");
        assert_eq!(format!("{:?}", Redacted(&url)), "https://files.example:8443");
    }
}

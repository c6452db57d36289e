//! Which address requests go to: the configured one, or that of the account's region.

use url::{Host, Url};

use crate::net::address::check_endpoint;

/// `zoom.api_url` as it stands in the defaults: it works everywhere and gives way to the account's region.
const EVERYWHERE: &str = "https://api.zoom.us/v2";

/// The address that requests go to, with `/v2`.
///
/// `named` is the region of the token's answer. It counts only where `configured` is the built-in default, and only
/// when it is Zoom's own or on the very host and port of `oauth_url`: an answer cannot send tokens anywhere else.
#[must_use]
pub fn api_base(configured: &Url, oauth_url: &Url, named: Option<&Url>) -> Url {
    let Some(named) = named.filter(|_| configured.as_str().trim_end_matches('/') == EVERYWHERE) else {
        return configured.clone();
    };
    if check_endpoint(named).is_err() || !(is_zooms(named) || is_same_server(named, oauth_url)) {
        tracing::warn!("the token names an API address that is not Zoom's; it is ignored");
        return configured.clone();
    }
    let mut base = named.clone();
    base.set_query(None);
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(&if path.ends_with("/v2") { path } else { format!("{path}/v2") });
    base
}

fn is_zooms(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Domain(name)) if name == "zoom.us" || name.ends_with(".zoom.us"))
}

fn is_same_server(url: &Url, other: &Url) -> bool {
    (url.host(), url.port_or_known_default()) == (other.host(), other.port_or_known_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(configured: &str, oauth_url: &str, named: &str) -> String {
        let url = |text: &str| Url::parse(text).unwrap();
        api_base(&url(configured), &url(oauth_url), Url::parse(named).ok().as_ref()).to_string()
    }

    fn of_region(named: &str) -> String {
        base(EVERYWHERE, "https://zoom.us/oauth/token", named)
    }

    #[test]
    fn the_default_address_gives_way_to_the_accounts_region() {
        assert_eq!(of_region("https://api-us.zoom.us"), "https://api-us.zoom.us/v2");
        assert_eq!(of_region("https://api-eu.zoom.us/v2/"), "https://api-eu.zoom.us/v2");
        assert_eq!(of_region("https://zoom.us?x=1#y"), "https://zoom.us/v2");
        let local = base(EVERYWHERE, "http://127.0.0.1:81/oauth/token", "http://127.0.0.1:81");
        assert_eq!(local, "http://127.0.0.1:81/v2");
    }

    #[test]
    fn an_address_that_the_operator_chose_stands() {
        for chosen in ["https://example.zoom.us/v2", "http://127.0.0.1:81/v2", "https://api.zoom.us/v3"] {
            assert_eq!(base(chosen, "https://zoom.us/oauth/token", "https://api-us.zoom.us"), chosen);
        }
    }

    #[test]
    fn an_answer_cannot_send_the_token_elsewhere() {
        let hostile = [
            "http://api-us.zoom.us",
            "https://zoom.us.evil.example",
            "https://evilzoom.us",
            "https://user:pass@api-us.zoom.us",
            "https://169.254.169.254",
            "http://127.0.0.1:9",
            "ftp://zoom.us",
            "https://zoom.us@evil.example",
            "not an address",
        ];
        for named in hostile {
            assert_eq!(of_region(named), EVERYWHERE, "{named}");
        }
        let other_port = base(EVERYWHERE, "http://127.0.0.1:81/oauth/token", "http://127.0.0.1:82");
        assert_eq!(other_port, EVERYWHERE);
    }
}

//! The keys of the service: what wakes it, whom it tells of calls, and where its traces go.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::super::layers::{ConfigError, Layer};
use super::super::settings::{HooksConfig, TriggerConfig, WebhookConfig, WebsocketConfig, WebsocketGrant};
use super::reader::Reader;
use crate::net::address::{AddressError, check_endpoint};

pub(super) fn trigger(read: &Reader<'_>) -> Result<TriggerConfig, ConfigError> {
    let path = read.text("trigger.webhook.path")?;
    if !path.starts_with('/') || path.contains(['{', '}', '*', '?', '#']) {
        return Err(read.bad("trigger.webhook.path", "a path that starts with /"));
    }
    let networks = read.texts("trigger.webhook.trusted_proxies")?;
    let network = |text: &String| text.parse().or_else(|_no_network| text.parse::<IpAddr>().map(IpNet::from)).ok();
    let expected = "a list of addresses or networks such as \"10.0.0.0/8\"";
    let trusted_proxies: Option<Vec<IpNet>> = networks.iter().map(network).collect();
    let url = read.text("trigger.websocket.url")?;
    let url = Url::parse(&url).ok().filter(is_socket_address);
    Ok(TriggerConfig {
        sweep_every: read.duration("trigger.sweep_every", Duration::from_secs(1))?,
        overlap: read.duration("trigger.overlap", Duration::ZERO)?,
        drain: read.duration("trigger.drain", Duration::ZERO)?,
        webhook: WebhookConfig {
            listen: read.listen("trigger.webhook.listen")?,
            is_asked_for: read.merged.get("trigger.webhook.listen").layer != Layer::Default,
            path,
            unix_socket: match read.switch("trigger.webhook.unix_socket")? {
                Some(_) => Some(read.path("trigger.webhook.unix_socket")?),
                None => None,
            },
            unix_socket_mode: read.permissions("trigger.webhook.unix_socket_mode")?,
            trusted_proxies: trusted_proxies.ok_or_else(|| read.bad("trigger.webhook.trusted_proxies", expected))?,
            max_skew: read.duration("trigger.webhook.max_skew", Duration::from_secs(1))?,
            max_body: usize::try_from(read.size("trigger.webhook.max_body")?).unwrap_or(usize::MAX),
        },
        websocket: WebsocketConfig {
            enabled: read.flag("trigger.websocket.enabled")?,
            url: url
                .ok_or_else(|| read.bad("trigger.websocket.url", "a wss:// address (ws:// only on this machine)"))?,
            grant: read.word(
                "trigger.websocket.grant",
                &[("client_credentials", WebsocketGrant::Client), ("account_credentials", WebsocketGrant::Account)],
            )?,
        },
    })
}

/// `wss`, or `ws` to this machine: the rule for Zoom's other addresses.
fn is_socket_address(url: &Url) -> bool {
    let as_http = url.as_str().strip_prefix("ws").and_then(|rest| Url::parse(&format!("http{rest}")).ok());
    as_http.is_some_and(|url| check_endpoint(&url).is_ok())
}

pub(super) fn hooks(read: &Reader<'_>) -> Result<HooksConfig, ConfigError> {
    let allow_http = read.flag("hooks.allow_http")?;
    let expected = "\"off\" or an https:// address (http:// only with hooks.allow_http)";
    let url = match read.switch("hooks.url")? {
        None => None,
        Some(text) => {
            let url = Url::parse(&text).ok().filter(|url| url.has_host());
            let url = url.filter(|url| url.scheme() == "https" || (allow_http && url.scheme() == "http"));
            Some(url.ok_or_else(|| read.bad("hooks.url", expected))?)
        }
    };
    Ok(HooksConfig {
        command: read.texts("hooks.command")?,
        url,
        events: read.texts("hooks.events")?,
        timeout: read.duration("hooks.timeout", Duration::from_millis(1))?,
    })
}

pub(super) fn collector(read: &Reader<'_>) -> Result<Option<Url>, ConfigError> {
    let key = "telemetry.otlp_endpoint";
    let allow_http = read.flag("telemetry.otlp_allow_http")?;
    let Some(text) = read.switch(key)? else { return Ok(None) };
    let is_accepted = |url: &Url| match check_endpoint(url) {
        Ok(()) => url.query().is_none(),
        Err(AddressError::PlainHttp) => allow_http && url.query().is_none(),
        Err(_refused) => false,
    };
    let expected = "\"off\" or the https:// address of an OTLP/HTTP collector (http:// only on this machine, elsewhere \
                    with telemetry.otlp_allow_http)";
    let url = Url::parse(&text).ok().filter(is_accepted).ok_or_else(|| read.bad(key, expected))?;
    if cfg!(feature = "otlp") {
        Ok(Some(url))
    } else {
        Err(read.refused(key, "this program was built without otlp: build it with `--features otlp`, or set \"off\""))
    }
}

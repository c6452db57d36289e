//! The two HTTP clients of the program: one for addresses that the operator named, one for addresses that came from
//! outside.
//!
//! Neither follows redirects (each hop is checked by its caller), neither uses a proxy (the resolved address could not
//! be checked behind one), neither decompresses (a body's length stays what the server announced).

use std::error::Error;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect};

use super::address::{AddressError, PublicOnly, Reach};

/// The machine cannot make HTTPS connections, for instance for want of CA certificates.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS; are the CA certificates of this system installed?")]
pub struct ClientError {
    #[source]
    source: reqwest::Error,
}

/// The clients, each with its own connection pool; cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClients {
    trusted: Client,
    public_only: Client,
}

impl HttpClients {
    /// Makes clients that give up when connecting takes longer than `connect_timeout`.
    ///
    /// # Errors
    /// [`ClientError`] when TLS cannot be set up.
    pub fn new(connect_timeout: Duration) -> Result<Self, ClientError> {
        let builder = || base(connect_timeout);
        let build = |builder: ClientBuilder| builder.build().map_err(|source| ClientError { source });
        Ok(Self { trusted: build(builder())?, public_only: build(builder().dns_resolver(PublicOnly))? })
    }

    /// The client for addresses that the operator configured.
    #[must_use]
    pub const fn trusted(&self) -> &Client {
        &self.trusted
    }

    /// The client for an address of the given reach.
    #[must_use]
    pub const fn reaching(&self, reach: Reach) -> &Client {
        match reach {
            Reach::Listed => &self.trusted,
            Reach::Public => &self.public_only,
        }
    }
}

fn base(connect_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("transcribe/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .connect_timeout(connect_timeout)
}

/// The refusal of [`PublicOnly`] inside a failed request, if that is why it failed.
#[must_use]
pub fn refused_address(error: &reqwest::Error) -> Option<AddressError> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<AddressError>() {
            return Some(refusal.clone());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_to_a_name_that_resolves_to_this_machine_is_refused_before_it_is_sent() {
        let clients = HttpClients::new(Duration::from_secs(5)).unwrap();
        let error = clients.reaching(Reach::Public).get("http://localhost:9/").send().await.unwrap_err();
        assert_eq!(refused_address(&error), Some(AddressError::PrivateAddress));
        let error = clients.trusted().get("http://localhost:9/").send().await.unwrap_err();
        assert_eq!(refused_address(&error), None);
    }
}

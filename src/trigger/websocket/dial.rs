//! Opening the WebSocket: TCP, TLS, the handshake. The token travels in the address, so neither the address nor an
//! answer that may repeat it is ever part of an error.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::{Host, Url};

use crate::net::Redacted;
use crate::source::zoom::auth::AccessToken;

/// No frame and no message may be larger. An event is a few KB.
const MAX_FRAME_BYTES: usize = 1 << 20;
/// Memory that a connection takes before anything came.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// An open connection.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    #[error("the address has no host")]
    NoHost,
    #[error("the host cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("the handshake is answered with status {status}")]
    Status { status: u16 },
    #[error("the handshake fails")]
    Handshake(#[source] SocketError),
}

/// Opens connections to one address.
pub struct Dialer {
    url: Url,
    connector: Connector,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("url", &Redacted(&self.url)).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Trusts the certificates that this system trusts, as all requests of this program do.
    ///
    /// # Errors
    /// When TLS cannot be set up, for instance for want of CA certificates.
    pub fn new(url: Url) -> Result<Self, rustls::Error> {
        let connector = if url.scheme() == "wss" { Connector::Rustls(Arc::new(tls()?)) } else { Connector::Plain };
        Ok(Self { url, connector })
    }

    /// The address without the token.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Connects. Redirects are not followed: the token is for this host. `per_address` is how long one of the host's
    /// addresses may take, so that one that swallows everything does not stand in the way of the others.
    ///
    /// # Errors
    /// [`DialError`], which holds nothing of the address or of the answer's text.
    pub async fn dial(&self, token: &AccessToken, per_address: Duration) -> Result<Socket, DialError> {
        let port = self.url.port_or_known_default().ok_or(DialError::NoHost)?;
        let host = match self.url.host().ok_or(DialError::NoHost)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let stream = reach(&host, port, per_address).await.map_err(DialError::Unreachable)?;
        let mut address = self.url.clone();
        address.query_pairs_mut().append_pair("access_token", token.expose());
        let request = address.as_str().into_client_request().map_err(without_answer)?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let dialing = client_async_tls_with_config(request, stream, Some(limits), Some(self.connector.clone()));
        let (socket, _answer) = Box::pin(dialing).await.map_err(without_answer)?;
        Ok(socket)
    }
}

/// Connects to the first of the host's addresses that answers.
async fn reach(host: &str, port: u16, per_address: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::HostUnreachable);
    for address in lookup_host((host, port)).await? {
        match timeout(per_address, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return stream.set_nodelay(true).map(|()| stream),
            Ok(Err(error)) => failure = error,
            Err(_elapsed) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}

/// Of an answer only its status is kept; it may repeat the request's address.
fn without_answer(error: SocketError) -> DialError {
    match error {
        SocketError::Http(answer) => DialError::Status { status: answer.status().as_u16() },
        other => DialError::Handshake(other),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::handshake::client::Response;

    use super::*;

    #[tokio::test]
    async fn a_host_is_reached_at_whichever_of_its_addresses_answers() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        // The name may stand for ::1 first, where nobody listens.
        let stream = reach("localhost", address.port(), Duration::from_secs(30)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        drop((listener, stream));
        assert!(reach("127.0.0.1", address.port(), Duration::from_secs(30)).await.is_err());
    }

    #[test]
    fn nothing_of_an_answer_but_its_status_is_in_an_error() {
        let mut answer = Response::new(Some(b"you asked for /ws?access_token=t0ken".to_vec()));
        answer.headers_mut().insert("location", "/ws?access_token=t0ken".parse().unwrap());
        *answer.status_mut() = 302.try_into().unwrap();
        let error = without_answer(SocketError::Http(Box::new(answer)));
        assert_eq!(error.to_string(), "the handshake is answered with status 302");
        assert!(!format!("{error:?}").contains("t0ken"));
    }

    #[test]
    fn the_address_is_printed_without_its_path_and_query() {
        let dialer = Dialer::new("ws://127.0.0.1:81/ws?subscriptionId=s3cret".parse().unwrap()).unwrap();
        assert_eq!(format!("{dialer:?}"), "Dialer { url: ws://127.0.0.1:81, .. }");
    }
}

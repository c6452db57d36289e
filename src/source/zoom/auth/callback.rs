//! Where the browser comes back to after the person has agreed: a listener on this machine, for one answer.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use super::pkce::is_same;
use crate::source::zoom::error::plain;

const PATH: &str = "/callback";
/// How long the browser may take to read its page once the answer is there.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What the browser brought.
#[derive(Debug)]
pub enum Reply {
    Code(SecretString),
    /// The person said no.
    Denied,
    /// Zoom could not ask, and says why in one word.
    Refused {
        label: String,
    },
}

/// A listener on 127.0.0.1 only.
#[derive(Debug)]
pub struct Callback {
    listener: TcpListener,
    address: SocketAddr,
}

struct Waiting {
    state: SecretString,
    reply: mpsc::Sender<Reply>,
}

impl Callback {
    /// Listens on `port`; 0 is any that is free.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn listen(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that Zoom sends the browser to.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Waits for the browser with the right `state`. Everything else is turned away and changes nothing.
    ///
    /// Dropping the future closes the listener.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn reply(self, state: SecretString) -> io::Result<Reply> {
        let (reply, mut replies) = mpsc::channel(1);
        let router = Router::new().route(PATH, any(answer)).with_state(Arc::new(Waiting { state, reply }));
        let stop = CancellationToken::new();
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let mut serving = std::pin::pin!(serving.into_future());
        let reply = tokio::select! {
            reply = replies.recv() => reply,
            ended = &mut serving => {
                ended?;
                None
            }
        };
        let reply = reply.ok_or(io::ErrorKind::ConnectionAborted)?;
        stop.cancel();
        if tokio::time::timeout(CLOSE_WITHIN, serving).await.is_err() {
            tracing::debug!("the browser keeps its connection; closing it");
        }
        Ok(reply)
    }
}

async fn answer(State(waiting): State<Arc<Waiting>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return StatusCode::NOT_FOUND.into_response();
    }
    let query: Vec<(String, String)> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let given = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if !given("state").is_some_and(|state| is_same(state, waiting.state.expose_secret())) {
        tracing::warn!("a browser came back without the word that it was sent away with; still waiting");
        return page(StatusCode::BAD_REQUEST, &NOT_OURS);
    }
    let (reply, words) = match (given("error"), given("code").filter(|code| !code.is_empty())) {
        (Some("access_denied"), _) => (Reply::Denied, &DENIED),
        (Some(error), _) => (Reply::Refused { label: plain(error, 40) }, &REFUSED),
        (None, Some(code)) => (Reply::Code(code.into()), &AGREED),
        (None, None) => return page(StatusCode::BAD_REQUEST, &NOT_OURS),
    };
    match waiting.reply.try_send(reply) {
        Ok(()) => page(StatusCode::OK, words),
        Err(_answered_before) => page(StatusCode::BAD_REQUEST, &NOT_OURS),
    }
}

/// What a page says, in English and in Japanese.
struct Words {
    english: &'static str,
    japanese: &'static str,
}

const AGREED: Words = Words {
    english: "Zoom has answered. You may close this page; the terminal says how it goes on.",
    japanese: "Zoom から応答がありました。このページは閉じてかまいません。続きはターミナルをご覧ください。",
};
const DENIED: Words = Words {
    english: "Access was not allowed; nothing was stored. You may close this page.",
    japanese: "アクセスは許可されませんでした。何も保存していません。このページは閉じてかまいません。",
};
const REFUSED: Words = Words {
    english: "Zoom could not complete the sign-in. You may close this page; the terminal says why.",
    japanese: "Zoom でのサインインを完了できませんでした。このページは閉じてかまいません。理由はターミナルをご覧ください。",
};
const NOT_OURS: Words = Words {
    english: "This answer does not belong to the sign-in that is waiting. Use the address in the terminal.",
    japanese: "この応答は、待機中のサインインのものではありません。ターミナルに表示されたアドレスを開いてください。",
};

fn page(status: StatusCode, words: &Words) -> Response {
    let Words { english, japanese } = words;
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>transcribe</title></head>\n\
         <body><p>{english}</p>\n<p lang=\"ja\">{japanese}</p></body></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::CONNECTION, "close"),
    ];
    (status, headers, body).into_response()
}

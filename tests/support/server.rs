//! Starting and stopping the server, and what tests ask it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::clip::Clip;
use super::fault::{Chaos, Script};
use super::history::History;
use super::oauth::OAuth;
use super::routes;
use super::seen::{Listener, Seen};

pub(crate) const ACCOUNT_ID: &str = "demo-account";
pub(crate) const CLIENT_ID: &str = "demo-client";
pub(crate) const CLIENT_SECRET: &str = "demo-secret";

/// Who a token was issued to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// The account's Server-to-Server app.
    Account,
    /// A user who signed in.
    User(String),
}

/// What the handlers share.
pub(super) struct World {
    pub(super) api_address: String,
    pub(super) files_address: String,
    pub(super) redirects_downloads: bool,
    pub(super) honours_ranges: bool,
    pub(super) changing: Mutex<Changing>,
}

#[derive(Default)]
pub(super) struct Changing {
    pub(super) clips: Vec<Clip>,
    pub(super) history: History,
    /// Zoom's own transcripts by recording.
    pub(super) transcripts: HashMap<String, Vec<u8>>,
    pub(super) scripts: Vec<Script>,
    pub(super) chaos: Option<Chaos>,
    pub(super) seen: Vec<Seen>,
    pub(super) access_tokens: HashMap<String, Identity>,
    /// Page token → where its page starts and when it was issued.
    pub(super) page_tokens: HashMap<String, (usize, Instant)>,
    pub(super) issued: usize,
    pub(super) oauth: OAuth,
    pub(super) observer: Option<Observer>,
}

/// Is shown every request when it has arrived, before it is answered.
pub(super) type Observer = Arc<dyn Fn(&Seen) + Send + Sync>;

impl World {
    pub(super) fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How to start the server.
pub(crate) struct Builder {
    clips: Vec<Clip>,
    listen: SocketAddr,
    redirects_downloads: bool,
    honours_ranges: bool,
}

impl Builder {
    /// Listens here instead of on a free port of 127.0.0.1.
    pub(crate) fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// Answers downloads with a redirect to the second listener.
    pub(crate) fn redirecting_downloads(mut self) -> Self {
        self.redirects_downloads = true;
        self
    }

    /// Answers a request for a part of a download with that part.
    pub(crate) fn honouring_ranges(mut self) -> Self {
        self.honours_ranges = true;
        self
    }

    pub(crate) async fn start(self) -> std::io::Result<ZoomServer> {
        let api = TcpListener::bind(self.listen).await?;
        let files = TcpListener::bind(("127.0.0.1", 0)).await?;
        let world = Arc::new(World {
            api_address: format!("http://{}", api.local_addr()?),
            files_address: format!("http://{}", files.local_addr()?),
            redirects_downloads: self.redirects_downloads,
            honours_ranges: self.honours_ranges,
            changing: Mutex::new(Changing { clips: self.clips, ..Changing::default() }),
        });
        let tasks = [(api, Listener::Api), (files, Listener::Files)].map(|(listener, which)| {
            let world = Arc::clone(&world);
            let router = Router::new().fallback(move |request: Request| {
                let world = Arc::clone(&world);
                async move { routes::answer(&world, which, request).await }
            });
            tokio::spawn(async move { axum::serve(listener, router).await })
        });
        Ok(ZoomServer { world, tasks })
    }
}

/// A running server; it stops when it is dropped.
pub(crate) struct ZoomServer {
    pub(super) world: Arc<World>,
    tasks: [JoinHandle<std::io::Result<()>>; 2],
}

impl Drop for ZoomServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl ZoomServer {
    pub(crate) fn builder(clips: Vec<Clip>) -> Builder {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Builder { clips, listen, redirects_downloads: false, honours_ranges: false }
    }

    /// Serves `clips` on a free port of 127.0.0.1.
    pub(crate) async fn start(clips: Vec<Clip>) -> Self {
        Self::builder(clips).start().await.expect("127.0.0.1 has a free port")
    }

    /// `http://127.0.0.1:PORT` of the API.
    pub(crate) fn address(&self) -> &str {
        &self.world.api_address
    }

    /// The same of the file host.
    pub(crate) fn files_address(&self) -> &str {
        &self.world.files_address
    }

    /// `host:port` of both listeners, for `zoom.download_hosts`.
    pub(crate) fn download_hosts(&self) -> Vec<String> {
        let hosts = [self.address(), self.files_address()];
        hosts.iter().filter_map(|address| address.strip_prefix("http://")).map(str::to_owned).collect()
    }

    /// The environment that points `transcribe` here.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let hosts: Vec<_> = self.download_hosts().iter().map(|host| format!("\"{host}\"")).collect();
        vec![
            ("ZOOM_ACCOUNT_ID", ACCOUNT_ID.to_owned()),
            ("ZOOM_CLIENT_ID", CLIENT_ID.to_owned()),
            ("ZOOM_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("TRANSCRIBE__ZOOM__API_URL", format!("{}/v2", self.address())),
            ("TRANSCRIBE__ZOOM__OAUTH_URL", format!("{}/oauth/token", self.address())),
            ("TRANSCRIBE__ZOOM__DOWNLOAD_HOSTS", format!("[{}]", hosts.join(", "))),
        ]
    }

    pub(crate) fn fault(&self, script: Script) {
        self.world.changing().scripts.push(script);
    }

    /// From now on lets this share of all requests fail, in ways drawn with `seed`.
    pub(crate) fn fail_at_random(&self, share: f64, seed: u64) {
        self.world.changing().chaos = Some(Chaos::new(share, seed));
    }

    /// From now on shows every request to `observer` before it is answered.
    pub(crate) fn observe(&self, observer: impl Fn(&Seen) + Send + Sync + 'static) {
        self.world.changing().observer = Some(Arc::new(observer));
    }

    /// Offers one more recording from now on.
    pub(crate) fn add(&self, clip: Clip) {
        self.world.changing().clips.push(clip);
    }

    /// Changes what the server knows of calls.
    pub(crate) fn history(&self, change: impl FnOnce(&mut History)) {
        change(&mut self.world.changing().history);
    }

    /// From now on has this file as its own transcript of a recording.
    pub(crate) fn set_transcript(&self, recording: &str, file: impl Into<Vec<u8>>) {
        self.world.changing().transcripts.insert(recording.to_owned(), file.into());
    }

    /// Requests at the API whose path begins with `/v2/phone/` and this, so far.
    pub(crate) fn asked(&self, path: &str) -> Vec<Seen> {
        let path = format!("/v2/phone/{path}");
        self.requests().into_iter().filter(|seen| seen.path.starts_with(&path)).collect()
    }

    /// Offers `clip` instead of the one with the same id.
    pub(crate) fn replace(&self, clip: Clip) {
        let mut changing = self.world.changing();
        changing.clips.retain(|known| known.id != clip.id);
        changing.clips.push(clip);
    }

    /// No longer offers the recording with this id.
    pub(crate) fn delete(&self, id: &str) {
        self.world.changing().clips.retain(|known| known.id != id);
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.world.changing().seen.clone()
    }

    pub(crate) fn token_requests(&self) -> usize {
        self.requests().iter().filter(|seen| seen.is_token_request()).count()
    }

    pub(crate) fn listings(&self) -> Vec<Seen> {
        self.requests().into_iter().filter(Seen::is_listing).collect()
    }

    /// How often the download of a recording was asked for at the API.
    pub(crate) fn downloads_of(&self, id: &str) -> usize {
        let is_download = |seen: &&Seen| {
            let path = seen.path.contains("/recording/download/");
            path && seen.listener == Listener::Api && seen.recording.as_deref() == Some(id)
        };
        self.requests().iter().filter(is_download).count()
    }
}

//! Downloads from a real server on this machine that cuts, lies and redirects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response as Reply, StatusCode, header};
use axum::routing::get;
use sha1::Digest;

use super::*;

/// How the server behaves; `ranges` is what it was asked for.
#[derive(Clone, Default)]
struct Server {
    content: Vec<u8>,
    ignores_ranges: bool,
    /// Answers a range from another place than asked.
    shifts_ranges: bool,
    /// Sends this many bytes only, without saying so.
    cut_after: Option<usize>,
    status: Option<u16>,
    redirect: Option<String>,
    requests: Arc<AtomicUsize>,
}

async fn answer(State(server): State<Server>, headers: HeaderMap) -> Reply<Body> {
    server.requests.fetch_add(1, Ordering::SeqCst);
    if let Some(status) = server.status {
        return Reply::builder().status(status).body(Body::empty()).unwrap();
    }
    if let Some(target) = &server.redirect {
        let location = HeaderValue::from_str(target).unwrap();
        return Reply::builder().status(302).header(header::LOCATION, location).body(Body::empty()).unwrap();
    }
    let total = server.content.len();
    let asked = headers.get(header::RANGE).map(|range| {
        let range = range.to_str().unwrap();
        range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap().parse::<usize>().unwrap()
    });
    let (status, from) = match asked {
        Some(from) if !server.ignores_ranges && from < total => {
            (206, if server.shifts_ranges { from - 1 } else { from })
        }
        Some(from) if from >= total => return Reply::builder().status(416).body(Body::empty()).unwrap(),
        _ => (200, 0),
    };
    let until = server.cut_after.map_or(total, |cut| total.min(from + cut));
    // Streamed, so that a cut is not announced by a length.
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        server.content[from..until].chunks(1000).map(|chunk| Ok(chunk.to_vec())).collect();
    let mut reply = Reply::new(Body::from_stream(futures::stream::iter(chunks)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    if status == 206 {
        let range = format!("bytes {from}-{}/{total}", total - 1);
        reply.headers_mut().insert(header::CONTENT_RANGE, HeaderValue::from_str(&range).unwrap());
    }
    reply
}

struct Fixture {
    folder: tempfile::TempDir,
    manifest: Manifest,
    options: PullOptions,
    requests: Arc<AtomicUsize>,
}

/// A model of 5000 bytes called `thing`, and a server for it.
async fn fixture(change: impl FnOnce(&mut Server)) -> Fixture {
    let content: Vec<u8> = (0..5000_u32).map(|index| (index % 251) as u8).collect();
    let sha1 = hex::encode(sha1::Sha1::digest(&content));
    let manifest = Manifest::parse(&format!(
        "[[model]]\nname = \"thing\"\nformat = \"ggml\"\nsource = \"https://example.com/ggml-thing.bin\"\n\
         bytes = 5000\nlicence = \"MIT\"\nsha1 = \"{sha1}\"\n\
         [[model]]\nname = \"unknown\"\nformat = \"ggml\"\nsource = \"https://example.com/ggml-unknown.bin\"\n\
         bytes = 5000\nlicence = \"MIT\"\n"
    ))
    .unwrap();
    let mut server = Server { content, ..Server::default() };
    change(&mut server);
    let requests = server.requests.clone();
    let routes = Router::new()
        .route("/files/ggml-thing.bin", get(answer))
        .route("/files/ggml-unknown.bin", get(answer))
        .with_state(server);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let from = format!("http://{}/files/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let options = PullOptions { from: Some(from), force: false };
    Fixture { folder: tempfile::tempdir().unwrap(), manifest, options, requests }
}

impl Fixture {
    async fn pull(&self) -> Result<Pulled, ModelError> {
        pull(self.folder.path(), "thing", &self.manifest, &self.options, &mut |_, _| {}).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_model_is_downloaded_once_and_then_found() {
    let fixture = fixture(|_| {}).await;
    let first = fixture.pull().await.unwrap();
    assert!(first.downloaded && first.path == fixture.path("thing.bin") && first.digests.bytes == 5000);
    assert!(!fixture.path("thing.bin.part").exists());
    let second = fixture.pull().await.unwrap();
    assert!(!second.downloaded);
    assert_eq!(fixture.requests(), 1);
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let fixture = fixture(|server| server.cut_after = Some(3000)).await;
    let error = fixture.pull().await.unwrap_err();
    assert!(matches!(error, ModelError::Interrupted { got: 3000, expected: 5000, .. }), "{error}");
    assert!(!fixture.path("thing.bin").exists());
    let mut seen = Vec::new();
    let options = &fixture.options;
    pull(fixture.folder.path(), "thing", &fixture.manifest, options, &mut |have, _| seen.push(have)).await.unwrap();
    assert!(seen[0] > 3000 && seen.last() == Some(&5000), "{seen:?}");
}

#[tokio::test]
async fn a_server_that_ignores_or_shifts_the_range_starts_the_file_over() {
    for shifts in [false, true] {
        let fixture = fixture(|server| {
            server.ignores_ranges = !shifts;
            server.shifts_ranges = shifts;
        })
        .await;
        std::fs::write(fixture.path("thing.bin.part"), vec![9; 2000]).unwrap();
        assert!(fixture.pull().await.unwrap().downloaded);
    }
}

#[tokio::test]
async fn a_complete_or_too_long_remainder_is_not_trusted() {
    for length in [5000, 6000] {
        let fixture = fixture(|_| {}).await;
        std::fs::write(fixture.path("thing.bin.part"), vec![9; length]).unwrap();
        assert!(fixture.pull().await.unwrap().downloaded);
    }
}

#[tokio::test]
async fn other_content_of_the_right_size_is_refused_and_removed() {
    let fixture = fixture(|server| server.content[77] ^= 1).await;
    let error = fixture.pull().await.unwrap_err();
    assert!(matches!(error, ModelError::WrongDownload { algorithm: "SHA-1", .. }), "{error}");
    assert_eq!(error.kind(), super::super::error::ModelErrorKind::Configuration);
    assert!(!fixture.path("thing.bin").exists() && !fixture.path("thing.bin.part").exists());
}

#[tokio::test]
async fn an_endless_answer_stops_at_the_published_size() {
    let fixture = fixture(|server| server.content.resize(1 << 20, 0)).await;
    let error = fixture.pull().await.unwrap_err();
    assert!(matches!(error, ModelError::WrongSize { got, expected: 5000, .. } if got < 100_000), "{error}");
    assert!(!fixture.path("thing.bin.part").exists());
}

#[tokio::test]
async fn two_pulls_at_once_download_once() {
    let fixture = fixture(|_| {}).await;
    let (first, second) = tokio::join!(fixture.pull(), fixture.pull());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.downloaded != second.downloaded);
    assert_eq!(first.digests, second.digests);
    assert_eq!(fixture.requests(), 1);
}

#[tokio::test]
async fn a_wrong_file_under_the_name_is_replaced() {
    let fixture = fixture(|_| {}).await;
    std::fs::write(fixture.path("thing.bin"), "something else").unwrap();
    assert!(fixture.pull().await.unwrap().downloaded);
    assert_eq!(std::fs::metadata(fixture.path("thing.bin")).unwrap().len(), 5000);
}

#[tokio::test]
async fn an_unreachable_host_is_unavailable_and_its_address_is_not_told() {
    let mut fixture = fixture(|_| {}).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    fixture.options.from = Some(format!("http://{free}/secret-path/").parse().unwrap());
    let error = fixture.pull().await.unwrap_err();
    assert_eq!(error.kind(), super::super::error::ModelErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("secret-path"), "{error:?}");
}

#[tokio::test]
async fn an_error_status_is_named() {
    let fixture = fixture(|server| server.status = Some(404)).await;
    assert!(matches!(fixture.pull().await.unwrap_err(), ModelError::Refused { status: 404, .. }));
}

#[tokio::test]
async fn neither_the_address_nor_a_redirect_may_leave_https() {
    let mut fixture = fixture(|server| server.redirect = Some("http://example.com/ggml-thing.bin".into())).await;
    assert!(matches!(fixture.pull().await.unwrap_err(), ModelError::InsecureAddress));
    for address in ["http://example.com/", "ftp://127.0.0.1/", "http://127.0.0.1.example.com/", "data:text/plain,x"] {
        fixture.options.from = Some(address.parse().unwrap());
        assert!(matches!(fixture.pull().await.unwrap_err(), ModelError::InsecureAddress), "{address}");
    }
    assert_eq!(fixture.requests(), 1);
}

#[test]
fn who_started_on_https_is_not_sent_to_this_machine() {
    let local: Url = "http://127.0.0.1:8080/".parse().unwrap();
    assert!(is_safe(&local, true) && !is_safe(&local, false));
}

#[tokio::test]
async fn a_model_without_checksum_needs_force_and_a_sound_structure() {
    let mut fixture = fixture(|_| {}).await;
    let attempt = async |fixture: &Fixture| {
        pull(fixture.folder.path(), "unknown", &fixture.manifest, &fixture.options, &mut |_, _| {}).await
    };
    assert!(matches!(attempt(&fixture).await.unwrap_err(), ModelError::NoChecksum { .. }));
    fixture.options.force = true;
    assert!(matches!(attempt(&fixture).await.unwrap_err(), ModelError::Damaged { .. }));
    assert!(!fixture.path("unknown.bin").exists());
    let other = pull(fixture.folder.path(), "other", &fixture.manifest, &fixture.options, &mut |_, _| {}).await;
    assert!(matches!(other.unwrap_err(), ModelError::NotPublished { .. }));
}

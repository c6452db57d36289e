//! Signing in: an account's tokens, a user's rotating refresh token, the browser, and what Zoom refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use transcribe::config::Config;
use transcribe::config::layers::{Layers, Merged};
use transcribe::config::secrets::{Environment, ZoomSecrets};
use transcribe::domain::{AudioLocation, Failure, Reason, Recording, RecordingId, SourceKind, Treatment};
use transcribe::net::HttpClients;
use transcribe::source::RecordingSource;
use transcribe::source::zoom::ZoomSource;
use transcribe::source::zoom::auth::Credentials;
use url::Url;

use crate::support::{CLIENT_SECRET, Clip, Fault, Route, Script, ZoomServer};
use crate::workspace::{Outcome, Workspace};

const LOGIN: &str = "transcribe auth login";

fn clip() -> Clip {
    Clip::silent("r1", 10)
}

/// A state folder and what the environment says besides the server's addresses.
struct Scene {
    server: ZoomServer,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        Self { server: ZoomServer::start(vec![clip()]).await, folder: tempfile::tempdir().unwrap() }
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn stored_file(&self) -> PathBuf {
        self.state_dir().join("zoom-user.json")
    }

    fn stored_token(&self) -> String {
        stored_token(&self.stored_file())
    }

    /// A process of its own: nothing is shared but the folder.
    fn source(&self, settings: &[(&str, &str)]) -> ZoomSource {
        let mut environment: Environment =
            self.server.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let attempts = ("TRANSCRIBE__ZOOM__REQUEST_ATTEMPTS", "1");
        for (name, value) in [attempts].iter().chain(settings) {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let working_dir = self.folder.path();
        let layers = Layers { file: None, environment: &environment, flags: &[], working_dir };
        let config = Config::resolve(&Merged::from_layers(&layers).unwrap()).unwrap();
        let secrets = ZoomSecrets::read(&environment, config.zoom.mode).unwrap();
        ZoomSource::new(&config.zoom, Credentials::new(secrets, &config.paths.state_dir)).unwrap()
    }

    fn user(&self) -> ZoomSource {
        self.source(&[("TRANSCRIBE__ZOOM__MODE", "user")])
    }

    fn user_with(&self, refresh_token: &str) -> ZoomSource {
        self.source(&[("TRANSCRIBE__ZOOM__MODE", "user"), ("ZOOM_REFRESH_TOKEN", refresh_token)])
    }

    /// Downloads the only recording.
    async fn fetch(&self, source: &ZoomSource) -> Result<u64, Failure> {
        let address = format!("{}/v2/phone/recording/download/{}", self.server.address(), clip().key());
        let audio = AudioLocation::Download(address);
        let recording = Recording::bare(RecordingId::parse("r1").unwrap(), "r1".into(), SourceKind::Zoom, audio);
        let spool = tempfile::tempdir().unwrap();
        source.fetch(&recording, &spool.path().join("audio")).await.map(|fetched| fetched.bytes)
    }

    /// The refresh tokens that were spent, in order.
    fn spent(&self) -> Vec<String> {
        self.server.token_forms().iter().filter_map(|form| form.get("refresh_token").cloned()).collect()
    }
}

fn stored_token(file: &Path) -> String {
    let stored: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    stored["refresh_token"].as_str().unwrap().to_owned()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Stores a sign-in as a run would have, so long ago.
fn store(state_dir: &Path, refresh_token: &str, age: SignedDuration) {
    std::fs::create_dir_all(state_dir).unwrap();
    let renewed_at = Timestamp::now() - age;
    let stored =
        json!({ "format": 1, "refresh_token": refresh_token, "renewed_at": renewed_at, "environment_sha256": null });
    std::fs::write(state_dir.join("zoom-user.json"), stored.to_string()).unwrap();
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[tokio::test]
async fn a_token_whose_life_is_not_stated_or_is_text_serves_more_than_one_request() {
    for life in [Value::Null, json!("3599")] {
        let scene = Scene::new().await;
        scene.server.answer_tokens_with("expires_in", life);
        let source = scene.source(&[]);
        for _ in 0..2 {
            assert_eq!(scene.fetch(&source).await, Ok(5_760));
        }
        assert_eq!(scene.server.token_requests(), 1);
    }
}

#[tokio::test]
async fn by_default_requests_go_to_the_region_that_the_token_names() {
    let scene = Scene::new().await;
    let everywhere = ("TRANSCRIBE__ZOOM__API_URL", "https://api.zoom.us/v2");
    let source = scene.source(&[everywhere]);
    let token = source.client().sign_in().await.unwrap();
    assert_eq!(token.api().as_str(), format!("{}/v2", scene.server.address()));
    let (found, _pages) = tokio::sync::mpsc::channel(8);
    let until = Timestamp::now();
    let window = transcribe::source::TimeWindow { since: until - days(1), until };
    let slice = source.slices(Some(window)).remove(0);
    assert_eq!(source.list(&slice, found).await.unwrap().recordings, 1);
    assert_eq!(scene.server.listings().len(), 1);

    scene.server.answer_tokens_with("api_url", json!("https://api-us.zoom.us.evil.example"));
    let token = scene.source(&[everywhere]).client().sign_in().await.unwrap();
    assert_eq!(token.api().as_str(), everywhere.1);
}

#[tokio::test]
async fn trouble_at_zoom_keeps_the_sign_in_and_a_dead_one_says_what_to_do() {
    let scene = Scene::new().await;
    assert_eq!(scene.fetch(&scene.user_with(&scene.server.refresh_token_of("u"))).await, Ok(5_760));
    let stored = std::fs::read(scene.stored_file()).unwrap();
    for status in [408, 429, 500, 503] {
        scene.server.fault(Script::next(Route::Token, Fault::status(status)));
        let failure = scene.fetch(&scene.user()).await.unwrap_err();
        assert_eq!(failure.treatment, Treatment::Transient, "{status}");
        assert_eq!(std::fs::read(scene.stored_file()).unwrap(), stored, "{status}");
    }
    let persistent = [("TRANSCRIBE__ZOOM__MODE", "user"), ("TRANSCRIBE__ZOOM__REQUEST_ATTEMPTS", "2")];
    scene.server.fault(Script::next(Route::Token, Fault::status(503)));
    assert_eq!(scene.fetch(&scene.source(&persistent)).await, Ok(5_760));

    scene.server.revoke_users();
    let (stored, requests) = (std::fs::read(scene.stored_file()).unwrap(), scene.server.token_requests());
    let refused = scene.source(&persistent).client().sign_in().await.unwrap_err();
    assert!(refused.to_string().contains(LOGIN) && refused.to_string().contains("invalid_grant"), "{refused}");
    assert_eq!(scene.server.token_requests(), requests + 1);
    assert_eq!(std::fs::read(scene.stored_file()).unwrap(), stored);
    let failure = scene.fetch(&scene.user()).await.unwrap_err();
    assert_eq!((failure.reason, failure.treatment), (Reason::CredentialsRefused, Treatment::Fatal));
}

#[tokio::test]
async fn without_a_sign_in_nobody_is_asked() {
    let scene = Scene::new().await;
    let refused = scene.user().client().sign_in().await.unwrap_err();
    assert!(refused.to_string().contains(LOGIN), "{refused}");
    assert!(scene.server.requests().is_empty());
}

#[tokio::test]
async fn workers_at_once_spend_one_refresh_token() {
    let scene = Scene::new().await;
    store(&scene.state_dir(), &scene.server.refresh_token_of("u"), days(0));
    let source = scene.user();
    let fetched = join_all((0..20).map(|_| scene.fetch(&source))).await;
    assert!(fetched.iter().all(|fetched| *fetched == Ok(5_760)), "{fetched:?}");
    assert_eq!(scene.server.token_requests(), 1);
    scene.server.fault(Script::next(Route::Download, Fault::ExpireAccessToken));
    let fetched = join_all((0..8).map(|_| scene.fetch(&source))).await;
    assert!(fetched.iter().all(|fetched| *fetched == Ok(5_760)), "{fetched:?}");
    assert_eq!(scene.server.token_requests(), 2);
}

#[tokio::test]
async fn the_next_refresh_token_is_stored_before_the_access_token_is_used() {
    let scene = Scene::new().await;
    let first = scene.server.refresh_token_of("u");
    let at_use = Arc::new(Mutex::new(Vec::new()));
    let (file, noted) = (scene.stored_file(), Arc::clone(&at_use));
    scene.server.observe(move |seen| {
        if !seen.is_token_request() {
            noted.lock().unwrap().push((stored_token(&file), mode(&file)));
        }
    });
    assert_eq!(scene.fetch(&scene.user_with(&first)).await, Ok(5_760));
    let stored = scene.stored_token();
    assert!(stored != first && scene.server.takes_refresh_token(&stored));
    assert_eq!(*at_use.lock().unwrap(), [(stored, 0o600)]);
    assert_eq!(mode(&scene.state_dir()), 0o700);
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_stored_uses_nothing_and_is_not_lost() {
    let scene = Scene::new().await;
    let file = scene.stored_file();
    scene.server.observe(move |seen| {
        if seen.is_token_request() && !file.exists() {
            std::fs::create_dir(&file).unwrap();
        }
    });
    let failure = scene.fetch(&scene.user_with(&scene.server.refresh_token_of("u"))).await.unwrap_err();
    assert_eq!((failure.reason, failure.treatment), (Reason::Disk, Treatment::Local));
    assert_eq!((scene.server.token_requests(), scene.server.downloads_of("r1")), (1, 0));

    scene.server.observe(|_| {});
    std::fs::remove_dir(scene.stored_file()).unwrap();
    assert_eq!(scene.fetch(&scene.user()).await, Ok(5_760));
    assert!(scene.server.takes_refresh_token(&scene.stored_token()));
}

#[tokio::test]
async fn where_nothing_can_be_stored_no_refresh_token_is_spent() {
    let scene = Scene::new().await;
    let token = scene.server.refresh_token_of("u");
    std::fs::write(scene.state_dir(), "a file where the folder should be").unwrap();
    let failure = scene.fetch(&scene.user_with(&token)).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Disk);
    assert!(scene.server.requests().is_empty() && scene.server.takes_refresh_token(&token));
}

#[tokio::test]
async fn the_environments_token_is_taken_up_once_and_again_when_it_changes() {
    let scene = Scene::new().await;
    let (one, two) = (scene.server.refresh_token_of("u1"), scene.server.refresh_token_of("u2"));
    let mut expected = Vec::new();
    for (environment, is_taken_up) in [(&one, true), (&one, false), (&two, true), (&two, false)] {
        expected.push(if is_taken_up { environment.clone() } else { scene.stored_token() });
        assert_eq!(scene.fetch(&scene.user_with(environment)).await, Ok(5_760));
    }
    assert_eq!(scene.spent(), expected);
    assert_eq!(scene.spent().iter().collect::<BTreeSet<_>>().len(), 4);
}

#[tokio::test]
async fn two_processes_rotate_in_turn() {
    let scene = Scene::new().await;
    store(&scene.state_dir(), &scene.server.refresh_token_of("u"), days(0));
    let sources = [scene.user(), scene.user()];
    for _ in 0..5 {
        let rotated = join_all(sources.iter().map(|source| source.client().rotate())).await;
        assert!(rotated.iter().all(Result::is_ok), "{rotated:?}");
    }
    assert_eq!(scene.spent().iter().collect::<BTreeSet<_>>().len(), 10);
    assert!(scene.server.takes_refresh_token(&scene.stored_token()));
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_the_next_refresh_token_with_it() {
    let scene = Scene::new().await;
    store(&scene.state_dir(), &scene.server.refresh_token_of("u"), days(0));
    let source = scene.user();
    assert!(futures::poll!(std::pin::pin!(source.client().rotate())).is_pending());
    source.client().rotate().await.unwrap();
    scene.user().client().rotate().await.unwrap();
    assert!(scene.server.takes_refresh_token(&scene.stored_token()));
}

fn keeps(workspace: &Workspace) -> PathBuf {
    workspace.path().join("state/zoom-user.json")
}

/// `transcribe auth login` while it waits, and a person with a browser.
struct Waiting {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    address: Url,
    browser: HttpClients,
}

impl Waiting {
    fn begin(workspace: &Workspace) -> Self {
        let mut child = workspace.command(&["auth", "login", "--port", "0", "--no-browser", "-vv"]).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(address) = Url::parse(line.trim()) else {
            let output = child.wait_with_output().unwrap();
            panic!("no address in {line:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        Self { child, stdout, address, browser: HttpClients::new(Duration::from_secs(20)).unwrap() }
    }

    fn asked(&self) -> BTreeMap<String, String> {
        self.address.query_pairs().into_owned().collect()
    }

    /// Where Zoom sends the browser.
    async fn agree(&self) -> Url {
        let answer = self.browser.trusted().get(self.address.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        answer.headers()["location"].to_str().unwrap().parse().unwrap()
    }

    async fn get(&self, url: impl reqwest::IntoUrl) -> (u16, String) {
        let answer = self.browser.trusted().get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn end(mut self) -> Outcome {
        let mut stdout = format!("{}\n", self.address);
        self.stdout.read_to_string(&mut stdout).unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Outcome { code: self.child.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
    }
}

fn with(mut url: Url, name: &str, value: &str) -> Url {
    let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_through_the_browser_and_no_secret_is_shown() {
    let server = ZoomServer::start(vec![clip()]).await;
    let workspace = Workspace::against(server.user_environment());
    let login = Waiting::begin(&workspace);
    let asked = login.asked();
    let back = login.agree().await;
    let (status, page) = login.get(back.clone()).await;
    assert_eq!(status, 200);
    assert!(page.contains("may close this page") && page.contains("閉じてかまいません"), "{page}");
    let outcome = login.end().expect_code(0);
    assert!(outcome.stdout.contains("zoom-user.json") && outcome.stdout.contains("transcribe check"));
    assert!(server.takes_refresh_token(&stored_token(&keeps(&workspace))));
    assert_eq!(mode(&keeps(&workspace)), 0o600);

    let exchange = &server.token_forms()[0];
    let verifier = &exchange["code_verifier"];
    assert!((43..=128).contains(&verifier.len()));
    assert_eq!(asked["code_challenge"], URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
    assert_eq!(exchange["redirect_uri"], asked["redirect_uri"]);
    assert!(asked["redirect_uri"].starts_with("http://127.0.0.1:"));

    let mut shown = vec![outcome];
    let mut secrets = server.secrets_handed_out();
    secrets.extend([CLIENT_SECRET.to_owned(), verifier.clone(), exchange["code"].clone()]);
    for arguments in [&["auth", "keep-alive", "--force", "-vv"][..], &["check", "-vv"], &["config", "show"]] {
        shown.push(workspace.run(arguments).expect_code(0));
        secrets.extend(server.secrets_handed_out());
    }
    server.revoke_users();
    shown.push(workspace.run(&["auth", "keep-alive", "--force", "-vv"]).expect_code(6));
    for Outcome { stdout, stderr, .. } in shown {
        for secret in secrets.iter().map(String::as_str) {
            assert!(!stdout.contains(secret) && !stderr.contains(secret), "{secret} in {stdout}{stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_browser_that_was_sent_away_is_believed() {
    let server = ZoomServer::start(vec![]).await;
    let workspace = Workspace::against(server.user_environment());
    let login = Waiting::begin(&workspace);
    let back = login.agree().await;
    assert_eq!(login.get(with(back.clone(), "state", "guessed")).await.0, 400);
    assert_eq!(login.get(back.join("/callback?code=stolen").unwrap()).await.0, 400);
    assert_eq!(login.get(back.join("/callback?error=access_denied").unwrap()).await.0, 400);
    assert_eq!(login.get(back.join("/favicon.ico").unwrap()).await.0, 404);
    let posted = login.browser.trusted().post(back.clone()).send().await.unwrap();
    assert_eq!(posted.status(), 404);
    assert_eq!(server.token_requests(), 0);
    assert_eq!(login.get(back).await.0, 200);
    login.end().expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_says_no_stores_nothing() {
    let server = ZoomServer::start(vec![]).await;
    server.deny_consent();
    let workspace = Workspace::against(server.user_environment());
    let login = Waiting::begin(&workspace);
    let (status, page) = login.get(login.agree().await).await;
    assert!(status == 200 && page.contains("許可されませんでした"), "{page}");
    let outcome = login.end().expect_code(6);
    assert!(outcome.stderr.contains("denied"), "{}", outcome.stderr);
    assert!(!keeps(&workspace).exists());
    assert_eq!(server.token_requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_and_a_folder_that_cannot_be_written_are_found_before_the_browser_opens() {
    let server = ZoomServer::start(vec![]).await;
    let mut workspace = Workspace::against(server.user_environment());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let outcome = workspace.run(&["auth", "login", "--no-browser", "--port", &port]).expect_code(3);
    assert!(outcome.stderr.contains("--port") && outcome.stdout.is_empty(), "{}", outcome.stderr);

    std::fs::write(workspace.path().join("file"), "").unwrap();
    workspace.set("TRANSCRIBE__PATHS__STATE_DIR", "file");
    let outcome = workspace.run(&["auth", "login", "--no-browser", "--port", "0"]).expect_code(3);
    assert!(outcome.stderr.contains("cannot be read or written: ") && outcome.stdout.is_empty(), "{}", outcome.stderr);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_server_takes_a_code_once_and_only_with_its_verifier() {
    let server = ZoomServer::start(vec![]).await;
    let browser = HttpClients::new(Duration::from_secs(20)).unwrap();
    let redirect_uri = "http://127.0.0.1:1/callback";
    let exchange = async |verifier: &str, tries: usize| {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest("the right verifier"));
        let mut url = Url::parse(&format!("{}/oauth/authorize", server.address())).unwrap();
        let asked = [("client_id", "demo-client"), ("response_type", "code"), ("code_challenge_method", "S256")];
        url.query_pairs_mut().extend_pairs(asked).append_pair("redirect_uri", redirect_uri);
        url.query_pairs_mut().append_pair("code_challenge", &challenge).append_pair("state", "s");
        let answer = browser.trusted().get(url).send().await.unwrap();
        let back = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        let code = back.query_pairs().find(|(key, _)| key == "code").unwrap().1.into_owned();
        let mut statuses = Vec::new();
        for _ in 0..tries {
            let grant = ("grant_type", "authorization_code");
            let form = [grant, ("code", &code), ("redirect_uri", redirect_uri), ("code_verifier", verifier)];
            let request = browser.trusted().post(format!("{}/oauth/token", server.address())).form(&form);
            let answer = request.basic_auth("demo-client", Some(CLIENT_SECRET)).send().await.unwrap();
            statuses.push(answer.status().as_u16());
        }
        statuses
    };
    assert_eq!(exchange("the right verifier", 2).await, [200, 400]);
    assert_eq!(exchange("another", 1).await, [400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_renewed_when_it_is_a_week_old_or_when_asked_to() {
    let server = ZoomServer::start(vec![]).await;
    let workspace = Workspace::against(server.user_environment());
    let state_dir = workspace.path().join("state");
    let refused = workspace.run(&["auth", "keep-alive"]).expect_code(6);
    assert!(refused.stderr.contains(LOGIN), "{}", refused.stderr);

    store(&state_dir, &server.refresh_token_of("u"), days(6));
    let fresh = workspace.run(&["auth", "keep-alive"]).expect_code(0).stdout;
    let until = (Timestamp::now() + days(84)).strftime("%Y-%m-%d").to_string();
    assert!(fresh.contains("nothing to do") && fresh.contains(&until), "{fresh}");
    assert_eq!(server.token_requests(), 0);

    store(&state_dir, &server.refresh_token_of("u"), days(8));
    let renewed = workspace.run(&["auth", "keep-alive"]).expect_code(0).stdout;
    let until = (Timestamp::now() + days(90)).strftime("%Y-%m-%d").to_string();
    assert!(renewed.starts_with("renewed") && renewed.contains(&until), "{renewed}");
    assert!(workspace.run(&["auth", "keep-alive"]).expect_code(0).stdout.contains("nothing to do"));
    assert!(workspace.run(&["auth", "keep-alive", "--force"]).expect_code(0).stdout.starts_with("renewed"));
    assert_eq!(server.token_requests(), 2);
    assert!(server.takes_refresh_token(&stored_token(&keeps(&workspace))));

    let mut account = workspace;
    account.set("TRANSCRIBE__ZOOM__MODE", "account").set("ZOOM_ACCOUNT_ID", "demo-account");
    assert!(account.run(&["auth", "keep-alive"]).expect_code(0).stdout.contains("nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_runs_of_the_program_at_once_lose_no_refresh_token() {
    let server = ZoomServer::start(vec![]).await;
    let workspace = Workspace::against(server.user_environment());
    store(&workspace.path().join("state"), &server.refresh_token_of("u"), days(0));
    let start = || workspace.command(&["auth", "keep-alive", "--force"]).spawn().unwrap();
    let running: Vec<Child> = (0..4).map(|_| start()).collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let spent: BTreeSet<_> = server.token_forms().iter().map(|form| form["refresh_token"].clone()).collect();
    assert_eq!(spent.len(), 4);
    assert!(server.takes_refresh_token(&stored_token(&keeps(&workspace))));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_wins_over_a_value_that_stands_in_the_environment() {
    let server = ZoomServer::start(vec![]).await;
    let mut workspace = Workspace::against(server.user_environment());
    workspace.set("ZOOM_REFRESH_TOKEN", "long-dead");
    let login = Waiting::begin(&workspace);
    assert_eq!(login.get(login.agree().await).await.0, 200);
    login.end().expect_code(0);
    workspace.run(&["auth", "keep-alive", "--force"]).expect_code(0);
    // Nor is it taken up again after a login in a shell that does not have it.
    workspace.unset("ZOOM_REFRESH_TOKEN");
    let login = Waiting::begin(&workspace);
    assert_eq!(login.get(login.agree().await).await.0, 200);
    login.end().expect_code(0);
    workspace.set("ZOOM_REFRESH_TOKEN", "long-dead");
    workspace.run(&["auth", "keep-alive", "--force"]).expect_code(0);
    assert!(server.token_forms().iter().all(|form| form.get("refresh_token").is_none_or(|token| token != "long-dead")));
}

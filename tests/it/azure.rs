//! The lake in a container of Azure Blob Storage: the real binary, built with the feature `azure`, against Azurite.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::json;

use crate::workspace::{Workspace, project};

/// What every Azurite knows, as its documentation prints it.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "recordings";

/// Azurite with one container. It ends when this is dropped.
struct Azurite {
    server: Child,
    _folder: tempfile::TempDir,
    endpoint: String,
}

impl Azurite {
    async fn start() -> Self {
        let program = project().join(".cache/azurite/node_modules/.bin/azurite-blob");
        assert!(program.exists(), "{} is missing: run `make test-azure`", program.display());
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new(program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--silent", "--skipApiVersionCheck"])
            .args(["--disableTelemetry", "--location", folder.path().to_str().unwrap()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let azurite = Self { server, _folder: folder, endpoint: format!("http://127.0.0.1:{port}/{ACCOUNT}") };
        let until = Instant::now() + Duration::from_secs(60);
        while !azurite.create_container().await {
            assert!(Instant::now() < until, "Azurite did not come up");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        azurite
    }

    /// "Create Container" with a shared key, as "Authorize with Shared Key" of Azure's documentation has it.
    async fn create_container(&self) -> bool {
        const VERSION: &str = "2021-08-06";
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let resource = format!("/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container");
        let to_sign = format!("PUT{}x-ms-date:{date}\nx-ms-version:{VERSION}\n{resource}", "\n".repeat(12));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&STANDARD.decode(KEY).unwrap()).unwrap();
        mac.update(to_sign.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let request = reqwest::Client::new()
            .put(format!("{}/{CONTAINER}?restype=container", self.endpoint))
            .header("x-ms-date", date)
            .header("x-ms-version", VERSION)
            .header("Content-Length", "0")
            .header("Authorization", format!("SharedKey {ACCOUNT}:{signature}"));
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _already_gone = self.server.kill();
        let _status = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_a_container_of_azure_is_written_read_compacted_and_adopted() {
    let azurite = Azurite::start().await;
    let mut workspace = Workspace::new();
    workspace
        .set("TRANSCRIBE__LAKE__URL", format!("az://{CONTAINER}/calls"))
        .set("TRANSCRIBE__LAKE__ENDPOINT", azurite.endpoint.clone())
        .set("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        .set("AZURE_STORAGE_ACCOUNT_KEY", KEY)
        .failpoint("large-bytes=return(1000)");
    let check = workspace.run(&["check"]);
    assert!(check.stdout.contains("ok       lake: az://recordings/calls can be written to"), "{}", check.stdout);
    let mut ids = Vec::new();
    for file in ["speech/en_quick_brown_fox.mp3", "speech/en_hello_world.mp3"] {
        let folder = workspace.folder_of(&file[10..15], &[file]);
        // The day of a file without metadata is that of its last change: one that is over.
        let day = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_600_000);
        for file in std::fs::read_dir(&folder).unwrap() {
            std::fs::File::options().write(true).open(file.unwrap().path()).unwrap().set_modified(day).unwrap();
        }
        let arguments = ["--dir", folder.to_str().unwrap(), "--format", "json"];
        let run = workspace.run(&arguments).expect_code(0).json();
        ids.extend(run["recordings"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        std::fs::remove_dir_all(workspace.path().join("state")).unwrap();
        let again = workspace.run(&arguments).expect_code(0).json();
        assert_eq!((&again["done"], &again["skipped"]), (&json!(0), &json!(1)));
    }
    let texts = || ids.iter().map(|id| workspace.run(&["export", id, "--as", "txt"]).expect_code(0).stdout);
    let before: Vec<String> = texts().collect();
    assert!(before[0].to_lowercase().contains("quick brown fox"), "{before:?}");
    workspace.run(&["compact"]).expect_code(0);
    assert_eq!(texts().collect::<Vec<_>>(), before);
}

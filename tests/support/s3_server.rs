//! SeaweedFS on this machine: a real store that speaks S3, checks signatures, and creates an object only once.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server with one bucket, called `recordings`. It ends when this is dropped.
pub(crate) struct S3Server {
    server: Child,
    folder: TempDir,
    pub(crate) filer: u16,
    pub(crate) port: u16,
}

pub(crate) const ACCESS_KEY: &str = "testkey";
pub(crate) const SECRET_KEY: &str = "testsecret";
pub(crate) const BUCKET: &str = "recordings";

impl S3Server {
    /// Starts `weed`, which set-up installed, and makes the bucket.
    ///
    /// # Panics
    /// When it does not come up within a minute, or not at the third try.
    pub(crate) async fn start(weed: &Path) -> Self {
        for _ in 0..2 {
            if let Some(server) = Self::try_start(weed).await {
                return server;
            }
        }
        Self::try_start(weed).await.expect("somebody else is quicker at every port")
    }

    /// `None` where it ended at once, for one of its ports was taken meanwhile.
    async fn try_start(weed: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let credentials = serde_json::json!([{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]);
        let identity = serde_json::json!({"name": "tests", "credentials": credentials, "actions": ["Admin"]});
        let identities = serde_json::json!({"identities": [identity]});
        std::fs::write(folder.path().join("s3.json"), identities.to_string()).unwrap();
        let [master, volume, filer, port] = free_ports();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let server = Command::new(weed)
            .arg("server")
            .arg(format!("-dir={}", folder.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20", "-master.volumeSizeLimitMB=64"])
            .args([format!("-master.port={master}"), format!("-volume.port={volume}")])
            .args(["-filer".to_owned(), format!("-filer.port={filer}"), "-s3".to_owned(), format!("-s3.port={port}")])
            .arg(format!("-s3.config={}", folder.path().join("s3.json").display()))
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { server, folder, filer, port };
        let until = Instant::now() + Duration::from_secs(60);
        let client = reqwest::Client::new();
        let answers = async |request: reqwest::RequestBuilder| {
            request.send().await.is_ok_and(|answer| answer.status().is_success())
        };
        while !answers(client.get(format!("{}/status", server.endpoint()))).await
            || !answers(client.post(format!("http://127.0.0.1:{filer}/buckets/{BUCKET}/"))).await
        {
            if server.server.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < until, "{}", server.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some(server)
    }

    /// Puts every file below `folder` into the bucket, under `prefix`.
    pub(crate) async fn upload(&self, folder: &Path, prefix: &str) {
        let client = reqwest::Client::new();
        let files = glob::glob(&format!("{}/**/*", folder.display())).unwrap().map(Result::unwrap);
        for file in files.filter(|path| path.is_file()) {
            let key = file.strip_prefix(folder).unwrap().display();
            let url = format!("http://127.0.0.1:{}/buckets/{BUCKET}/{prefix}/{key}", self.filer);
            let answer = client.put(url).body(std::fs::read(&file).unwrap()).send().await.unwrap();
            assert!(answer.status().is_success(), "{key}: {}", answer.status());
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // A polite stop takes half a minute.
        let _already_gone = self.server.kill();
        let _status = self.server.wait();
    }
}

/// Ports of this machine that nobody listens on; the server takes each one plus 10,000 as well. None of them is one that
/// the system gives to connections.
fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    std::array::from_fn(|_| {
        loop {
            let port = rand::random_range(11_000..22_000);
            let listen = |port: u16| TcpListener::bind(("127.0.0.1", port));
            if let (Ok(listener), Ok(beside)) = (listen(port), listen(port + 10_000)) {
                // Kept until all are found, so that no port is found twice.
                held.push((listener, beside));
                return port;
            }
        }
    })
}

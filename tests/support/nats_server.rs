//! nats-server on this machine: a real message server with JetStream, that can be killed and started again.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server with its streams in a folder. It ends when this is dropped.
pub(crate) struct NatsServer {
    program: std::path::PathBuf,
    server: Child,
    folder: TempDir,
    port: u16,
    health: u16,
    client: reqwest::Client,
}

impl NatsServer {
    /// Starts `nats-server`, which set-up installed.
    ///
    /// # Panics
    /// When it does not come up within a minute.
    pub(crate) async fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, health) = free_ports();
        let server = spawn(program, &folder, port, health);
        let mut nats =
            Self { program: program.to_owned(), server, folder, port, health, client: reqwest::Client::new() };
        nats.wait().await;
        nats
    }

    /// What `queue.url` is.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}/tests", self.port)
    }

    /// Kills it and starts it again with what it had written.
    pub(crate) async fn restart(&mut self) {
        self.end();
        self.server = spawn(&self.program, &self.folder, self.port, self.health);
        self.wait().await;
    }

    /// As [`NatsServer::restart`], with nothing of what it had.
    pub(crate) async fn forget_all(&mut self) {
        self.end();
        std::fs::remove_dir_all(self.folder.path().join("js")).unwrap();
        self.server = spawn(&self.program, &self.folder, self.port, self.health);
        self.wait().await;
    }

    /// How many messages each stream holds.
    pub(crate) async fn messages(&self) -> Vec<(String, u64)> {
        let url = format!("http://127.0.0.1:{}/jsz?streams=true", self.health);
        let answer: serde_json::Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        let streams = answer["account_details"][0]["stream_detail"].as_array().cloned().unwrap_or_default();
        streams
            .iter()
            .map(|stream| (stream["name"].as_str().unwrap().to_owned(), stream["state"]["messages"].as_u64().unwrap()))
            .collect()
    }

    fn end(&mut self) {
        let _already_gone = self.server.kill();
        let _status = self.server.wait();
    }

    async fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        let url = format!("http://127.0.0.1:{}/healthz", self.health);
        while !self.client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(self.server.try_wait().unwrap().is_none() && Instant::now() < until, "{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(program: &Path, folder: &TempDir, port: u16, health: u16) -> Child {
    let inside = |name: &str| folder.path().join(name).display().to_string();
    Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-m", &health.to_string()])
        .args(["-js", "-sd", &inside("js"), "-l", &inside("log")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Two ports that nobody listens on, none of which the system gives to connections.
fn free_ports() -> (u16, u16) {
    loop {
        let port = rand::random_range(22_000..32_000);
        let listen = |port: u16| TcpListener::bind(("127.0.0.1", port));
        if let (Ok(_one), Ok(_other)) = (listen(port), listen(port + 1)) {
            return (port, port + 1);
        }
    }
}

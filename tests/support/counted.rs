//! A proxy that passes every byte on as it is, so that signatures stay right, and remembers which requests were made and
//! how much came back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What went through since the last time it was asked for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counted {
    /// Method and address of each request, in the order in which they came.
    pub(crate) requests: Vec<String>,
    /// What the answers were, heads included.
    pub(crate) bytes: u64,
}

impl Counted {
    /// The requests with this method whose address holds `part`.
    pub(crate) fn of(&self, method: &str, part: &str) -> usize {
        let is_one = |request: &&String| request.starts_with(method) && request.contains(part);
        self.requests.iter().filter(is_one).count()
    }
}

pub(crate) struct CountingProxy {
    address: SocketAddr,
    counted: Arc<Mutex<Counted>>,
}

impl CountingProxy {
    /// A proxy to the server on this port of this machine. It ends with the process.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counted = Arc::new(Mutex::new(Counted::default()));
        let shared = Arc::clone(&counted);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (asks, answers) = (Arc::clone(&shared), Arc::clone(&shared));
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), request_lines(asks));
                pass(server, client, move |bytes| answers.lock().unwrap().bytes += bytes.len() as u64);
            }
        });
        Self { address, counted }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What went through since this was last asked.
    pub(crate) fn take(&self) -> Counted {
        std::mem::take(&mut self.counted.lock().unwrap())
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8]) + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            see(&buffer[..length]);
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _already_gone = to.shutdown(Shutdown::Write);
    });
}

/// Finds the first line of each request. What is asked has no body here that looks like one.
fn request_lines(counted: Arc<Mutex<Counted>>) -> impl FnMut(&[u8]) + Send + 'static {
    let mut line = Vec::new();
    move |bytes| {
        for &byte in bytes {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            if let Some(request) = text.trim_end().strip_suffix(" HTTP/1.1") {
                counted.lock().unwrap().requests.push(request.to_owned());
            }
            line.clear();
        }
    }
}

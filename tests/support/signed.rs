//! Events as Zoom sends them over HTTP: signed, in one request.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `x-zm-signature` of a body that is sent at `timestamp`, in Unix seconds.
pub(crate) fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

/// The whole request: POST on `path` over a connection that stays open.
pub(crate) fn request(path: &str, timestamp: i64, signature: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: events.example\r\ncontent-type: application/json; charset=utf-8\r\n\
         user-agent: Zoom Marketplace/1.0a\r\nx-zm-request-timestamp: {timestamp}\r\nx-zm-signature: {signature}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

//! A server that speaks Zoom: the token endpoint, the listing and the download of phone recordings, and a second
//! listener that stands for the host of signed files. One implementation for tests, benches and the demo. A server of
//! its own is [`EventServer`], the WebSocket that events come over.
//!
//! It checks what Zoom checks (credentials, tokens, windows, page sizes, the life of page tokens), goes wrong on
//! demand ([`Script`]), and remembers every request ([`Seen`]).

mod audio;
mod client;
mod clip;
mod fault;
mod history;
mod listing;
mod oauth;
mod routes;
mod seen;
mod server;
mod websocket;
mod zoom_transcript;

pub(crate) use client::{credentials, source};
pub(crate) use clip::{Clip, silence};
pub(crate) use fault::{Fault, Route, Script};
pub(crate) use seen::{Listener, Seen};
pub(crate) use server::{ACCOUNT_ID, CLIENT_ID, CLIENT_SECRET, ZoomServer};
pub(crate) use websocket::{EventServer, Line};

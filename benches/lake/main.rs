//! How fast the lake is written, compacted and searched, and how large it is, over made-up calls.
//!
//! `cargo bench --bench lake` does all of it; `… -- write`, `… -- compact` or `… -- search` a part.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

mod calls;
mod compact;
#[path = "../support/cpu.rs"]
mod cpu;
mod folder;
mod search;
#[path = "../../tests/support/transcripts.rs"]
mod transcripts;
mod vocabulary;
mod write;

/// The seed of every made-up call.
const SEED: u64 = 7;

fn main() {
    // Cargo adds flags of its own.
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if is_wanted("write") {
        write::run();
    }
    if is_wanted("compact") {
        compact::run();
    }
    if is_wanted("search") {
        search::run();
    }
}

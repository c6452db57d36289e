#![no_main]

#[path = "../wire.rs"]
mod target;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| target::run(bytes));

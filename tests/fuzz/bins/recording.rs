#![no_main]

#[path = "../recording.rs"]
mod target;

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: {
        // libFuzzer's own would end the process at each panic. Those of decoders are caught, the recording is refused; any
        // other one ends the process all the same.
        drop(std::panic::take_hook());
    },
    |bytes: &[u8]| target::run(bytes)
);

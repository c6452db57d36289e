//! A recording of any bytes is refused, or becomes samples of at most three hours that are numbers.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use transcribe::decode::AudioStream;

const MOST_SAMPLES: usize = 3 * 3_600 * 16_000;

static PLACE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    // libFuzzer's would end the process at each panic. Those of decoders are caught, the recording is refused; any other
    // one ends the process all the same.
    drop(std::panic::take_hook());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording.mp3");
    (folder, path)
});

fuzz_target!(|bytes: &[u8]| {
    let (_folder, path) = &*PLACE;
    fs::write(path, bytes).expect("room");
    let Ok(mut stream) = AudioStream::open(path) else { return };
    let mut count = 0;
    while let Ok(Some(channels)) = stream.next_block() {
        assert!(channels.iter().flatten().all(|sample| sample.is_finite()));
        count += channels.first().map_or(0, Vec::len);
        if count > MOST_SAMPLES {
            break;
        }
    }
});

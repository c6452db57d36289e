//! `transcribe bench`: what it measures, and that it leaves nothing behind.

use serde_json::json;

use crate::workspace::{Workspace, cached};

#[test]
fn cores_are_divided_in_every_way_and_the_fastest_is_proposed() {
    let workspace = Workspace::new();
    let before = workspace.snapshot();
    let recording = cached("fixtures/speech/en_quick_brown_fox.mp3");
    let arguments = ["bench", "--seconds", "1", "--format", "json", recording.to_str().unwrap()];
    let found = workspace.run(&arguments).expect_code(0).json();
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!((&found["model"], &found["cores"]), (&json!("tiny.en"), &json!(cores)));
    assert!(found["decode_audio_s_per_s"].as_f64().unwrap() > 1.0);
    let measured = found["measured"].as_array().unwrap();
    for one in measured {
        assert_eq!(one["workers"].as_u64().unwrap() * one["threads"].as_u64().unwrap(), cores);
        assert!(one["windows"].as_u64().unwrap() > 0 && one["audio_s_per_s"].as_f64().unwrap() > 0.0, "{one}");
    }
    let rates = measured.iter().map(|one| one["audio_s_per_s"].as_f64().unwrap());
    assert_eq!(found["best"]["audio_s_per_s"].as_f64(), rates.max_by(f64::total_cmp));
    assert_eq!(workspace.snapshot(), before);
}

#[test]
fn without_recordings_a_sound_like_a_voice_is_heard() {
    let text = Workspace::new().run(&["bench", "--seconds", "1"]).expect_code(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("model tiny.en, "), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("best: stt.workers = ")), "{text}");
    assert!(lines.last().unwrap().contains("made-up sound"), "{text}");
    assert!(!text.contains("(0 windows"), "{text}");
}

#[test]
fn what_is_no_recording_is_named() {
    let outcome = Workspace::new().run(&["bench", "--seconds", "1", "Cargo.toml"]).expect_code(2);
    assert!(outcome.stderr.contains("Cargo.toml cannot be measured with"), "{}", outcome.stderr);
}

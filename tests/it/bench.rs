//! `transcribe bench`: what it measures, and that it leaves nothing behind.

use serde_json::json;

use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, cached};

#[tokio::test(flavor = "multi_thread")]
async fn cores_are_divided_in_every_way_the_fastest_is_proposed_and_a_plan_knows_how_long_it_takes() {
    let zoom = ZoomServer::start(vec![Clip::new("k1", cached("fixtures/speech/en_hello_world.mp3"))]).await;
    let mut workspace = Workspace::against(zoom.environment());
    let models = workspace.path().join("only");
    std::fs::create_dir(&models).unwrap();
    std::os::unix::fs::symlink(cached("models/tiny.en.bin"), models.join("tiny.en.bin")).unwrap();
    workspace.set("TRANSCRIBE__PATHS__MODELS_DIR", models.to_str().unwrap());
    let plan = ["--since", "7d", "--plan"];
    let unknown = workspace.run(&plan).expect_code(0).stdout;
    assert!(unknown.contains("how long tiny.en takes is not known: `transcribe bench"), "{unknown}");

    let recording = cached("fixtures/speech/en_quick_brown_fox.mp3");
    let options = ["--seconds", "1", "--hours", "1", "--price", "2", "--format", "json"];
    let arguments: Vec<&str> = ["bench"].into_iter().chain(options).chain(recording.to_str()).collect();
    let found = workspace.run(&arguments).expect_code(0).json();
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!((&found["model"], &found["cores"]), (&json!("tiny.en"), &json!(cores)));
    assert!(found["decode_audio_s_per_s"].as_f64().unwrap() > 1.0);
    let measured = found["measured"].as_array().unwrap();
    for one in measured {
        assert_eq!(one["workers"].as_u64().unwrap() * one["threads"].as_u64().unwrap(), cores);
        let number = |key: &str| one[key].as_f64().unwrap();
        // It is one window of three seconds.
        assert!((2.0..4.0).contains(&(number("audio_s") / number("windows"))), "{one}");
        // Windows in work at the end count neither as audio nor as time.
        assert!(number("audio_s_per_s") >= 0.99 * number("audio_s") / number("took_s"), "{one}");
    }
    let rates = measured.iter().map(|one| one["audio_s_per_s"].as_f64().unwrap());
    assert_eq!(found["best"]["audio_s_per_s"].as_f64(), rates.max_by(f64::total_cmp));
    let price = found["price_of_an_audio_hour"].as_f64().unwrap() * found["best"]["audio_s_per_s"].as_f64().unwrap();
    assert!((price - 2.0).abs() < 1e-6, "{found}");
    // It cannot be proposed where an hour a day is too much for this machine.
    let keeps_up = found["best"]["audio_hours_a_day"].as_f64().unwrap() >= 1.0;
    let proposed = if keeps_up { json!("tiny.en") } else { json!(null) };
    assert_eq!(found["proposal"], json!({"hours_a_day": 1, "model": proposed}));

    let known = workspace.run(&plan).expect_code(0).stdout;
    assert!(known.contains("speech to text with tiny.en (stt.model): about 0:0"), "{known}");
    assert!(!known.contains("not known"), "{known}");
}

#[test]
fn without_recordings_a_sound_like_a_voice_is_heard() {
    let workspace = Workspace::new();
    let before = workspace.snapshot();
    let text = workspace.run(&["bench", "--seconds", "1"]).expect_code(0).stdout;
    // A plan is made with what people say.
    assert_eq!(workspace.snapshot(), before);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("model tiny.en, "), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("best: stt.workers = ")), "{text}");
    assert!(lines.last().unwrap().contains("made-up sound"), "{text}");
}

#[test]
fn what_is_no_recording_is_named() {
    let outcome = Workspace::new().run(&["bench", "--seconds", "1", "Cargo.toml"]).expect_code(2);
    assert!(outcome.stderr.contains("Cargo.toml cannot be measured with"), "{}", outcome.stderr);
    let silence = cached("fixtures/edge/silence_30s.mp3");
    let outcome = Workspace::new().run(&["bench", "--seconds", "1", silence.to_str().unwrap()]).expect_code(2);
    assert!(outcome.stderr.contains("nobody speaks"), "{}", outcome.stderr);
}

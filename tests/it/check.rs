//! `transcribe check`: what it finds, what it says to do, and how it exits.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{ACCOUNT_ID, CLIENT_SECRET, Fault, Route, Script, ZoomServer};
use crate::workspace::{Workspace, cached};

/// Runs the check, and sees that the exit code is the printed one and that no secret is.
#[track_caller]
fn check(workspace: &Workspace, code: i32) -> Vec<Value> {
    let outcome = workspace.run(&["check", "--format", "json", "-vv"]).expect_code(code);
    for secret in [ACCOUNT_ID, CLIENT_SECRET, "token-", "refresh-"] {
        assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "{secret}: {}", outcome.stdout);
    }
    let object = outcome.json();
    assert_eq!(object["exit_code"], json!(code));
    object["checks"].as_array().unwrap().clone()
}

fn text(check: &Value, key: &str) -> String {
    check[key].as_str().unwrap_or_default().to_owned()
}

fn problems(checks: &[Value]) -> Vec<String> {
    checks.iter().filter(|check| check["ok"] == json!(false)).map(|check| text(check, "name")).collect()
}

#[track_caller]
fn named<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == json!(name)).unwrap_or_else(|| panic!("no {name} in {checks:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_is_well_every_part_says_so_and_nothing_is_left_behind() {
    let server = ZoomServer::start(vec![]).await;
    let mut workspace = Workspace::against(server.environment());
    workspace.set("TRANSCRIBE__PATHS__SPOOL_MAX_BYTES", "1MiB");
    let checks = check(&workspace, 0);
    let names: Vec<_> = checks.iter().map(|check| text(check, "name")).collect();
    let expected = [
        "configuration",
        "credentials",
        "token",
        "clock",
        "scopes",
        "listing",
        "processor",
        "model",
        "transcription",
        "state",
        "disk",
        "ledger",
        "lake",
    ];
    assert_eq!(names, expected);
    assert!(checks.iter().all(|check| check["ok"] == json!(true) && check["hint"] == json!(null)), "{checks:?}");
    assert_eq!(server.listings().len(), 1);
    assert_eq!(server.listings()[0].query["page_size"], "1");
    assert!(std::fs::read_dir(workspace.path()).unwrap().next().is_none());

    let lines = workspace.run(&["check"]).expect_code(0).stdout;
    assert_eq!(lines.lines().count(), expected.len());
    assert!(lines.lines().all(|line| line.starts_with("ok ")), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_printed_with_what_to_click() {
    let server = ZoomServer::start(vec![]).await;
    server.answer_tokens_with("scope", json!("phone:read:list_call_recordings:admin"));
    let mut workspace = Workspace::against(server.environment());
    workspace.set("TRANSCRIBE__ZOOM__HISTORY", "true").set("TRANSCRIBE__ZOOM__TRANSCRIPTS", "true");
    let checks = check(&workspace, 6);
    let missing: Vec<&Value> = checks.iter().filter(|check| check["name"] == json!("scopes")).collect();
    let expected = ["call_recording", "list_call_logs", "call_log", "recording_transcript"];
    assert_eq!(missing.len(), expected.len());
    for (finding, scope) in missing.iter().zip(expected) {
        let scope = format!("phone:read:{scope}:admin");
        assert!(text(finding, "detail").contains(&scope), "{finding}");
        for word in ["Manage", "Scopes", "Add Scopes", &scope, "new token"] {
            assert!(text(finding, "hint").contains(word), "{finding}");
        }
    }
    server.answer_tokens_with("scope", json!("phone:read:admin"));
    check(&workspace, 0);
    server.answer_tokens_with("scope", Value::Null);
    let checks = check(&workspace, 0);
    assert!(text(named(&checks, "scopes"), "detail").contains("does not say"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_only_the_listing_finds_missing_is_printed_too() {
    let server = ZoomServer::start(vec![]).await;
    server.answer_tokens_with("scope", Value::Null);
    server.fault(Script::next(Route::List, Fault::missing_scope("phone:read:list_call_recordings:admin")));
    let checks = check(&Workspace::against(server.environment()), 6);
    assert_eq!(problems(&checks), ["listing"]);
    assert!(text(named(&checks, "listing"), "hint").contains("tick phone:read:list_call_recordings:admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_told_by_the_date_of_zooms_answer() {
    let server = ZoomServer::start(vec![]).await;
    let workspace = Workspace::against(server.environment());
    for (minutes, code, has_hint) in [(10, 3, true), (-10, 3, true), (2, 0, true), (0, 0, false)] {
        server.see_clocks_ahead_by(SignedDuration::from_mins(minutes));
        let checks = check(&workspace, code);
        let clock = named(&checks, "clock");
        assert_eq!((clock["ok"] == json!(true), clock["hint"].is_string()), (code == 0, has_hint), "{clock}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_is_that_of_the_heaviest_problem() {
    let server = ZoomServer::start(vec![]).await;
    let mut workspace = Workspace::against(server.environment());
    workspace.set("TRANSCRIBE__STT__MODEL", "not-there");
    assert_eq!(problems(&check(&workspace, 3)), ["model"]);
    workspace.set("ZOOM_CLIENT_SECRET", "wrong");
    let checks = check(&workspace, 6);
    assert_eq!(problems(&checks), ["token", "model"]);
    assert!(text(named(&checks, "token"), "detail").contains("ZOOM_CLIENT_SECRET"));
    workspace.unset("ZOOM_CLIENT_SECRET");
    let checks = check(&workspace, 3);
    assert_eq!(problems(&checks), ["credentials", "model"]);
    assert!(text(named(&checks, "credentials"), "hint").contains("_FILE"));

    let mut workspace = Workspace::against(server.environment());
    workspace.set("TRANSCRIBE__ZOOM__REQUEST_ATTEMPTS", "1");
    drop(server);
    let checks = check(&workspace, 5);
    assert_eq!(problems(&checks), ["token"]);
    std::fs::write(workspace.path().join("state"), "").unwrap();
    assert_eq!(problems(&check(&workspace, 3)), ["token", "state"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_told_how_old_the_sign_in_is() {
    let server = ZoomServer::start(vec![]).await;
    let workspace = Workspace::against(server.user_environment());
    let checks = check(&workspace, 6);
    assert!(text(named(&checks, "token"), "detail").contains("transcribe auth login"));

    let renewed_at = Timestamp::now() - SignedDuration::from_hours(24 * 61 + 1);
    let token = server.refresh_token_of("u");
    let stored = json!({ "format": 1, "refresh_token": token, "renewed_at": renewed_at, "environment_sha256": null });
    std::fs::create_dir(workspace.path().join("state")).unwrap();
    std::fs::write(workspace.path().join("state/zoom-user.json"), stored.to_string()).unwrap();
    let checks = check(&workspace, 0);
    let sign_in = named(&checks, "sign-in");
    assert!(text(sign_in, "detail").contains("61 days") && text(sign_in, "hint").contains("keep-alive"), "{sign_in}");
    assert_eq!(server.listings()[0].path, "/v2/phone/users/me/recordings");
    assert_eq!(named(&check(&workspace, 0), "sign-in")["hint"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_users_their_own_list_is_asked_for_and_its_scope_needed() {
    let server = ZoomServer::start(vec![]).await;
    let mut workspace = Workspace::against(server.environment());
    workspace.set("TRANSCRIBE__ZOOM__USERS", "someone@example.com, other@example.com");
    let checks = check(&workspace, 6);
    assert_eq!(problems(&checks), ["scopes"]);
    assert!(text(named(&checks, "scopes"), "detail").contains("phone:read:list_recordings:admin"));
    assert!(server.listings()[0].path.starts_with("/v2/phone/users/someone"));
    assert!(!format!("{checks:?}").contains("example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_needs_no_zoom() {
    let mut workspace = Workspace::new();
    workspace.set("TRANSCRIBE__SOURCE__KIND", "folder");
    std::fs::write(workspace.path().join("pipeline.toml"), "[folder]\npath = \"calls\"").unwrap();
    assert_eq!(problems(&check(&workspace, 3)), ["folder"]);
    std::fs::create_dir(workspace.path().join("calls")).unwrap();
    let checks = check(&workspace, 0);
    assert!(text(named(&checks, "folder"), "detail").contains("Zoom is not looked at"));
    assert!(text(named(&checks, "configuration"), "detail").contains("pipeline.toml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_zoom_does_not_know_is_told_from_a_wrong_address() {
    let server = ZoomServer::start(vec![]).await;
    server.answer_tokens_with("scope", json!("phone:read:list_recordings:admin phone:read:call_recording:admin"));
    server.fault(Script::next(Route::List, Fault::json(404, &json!({ "code": 1001, "message": "No user." }))));
    let mut workspace = Workspace::against(server.environment());
    workspace.set("TRANSCRIBE__ZOOM__USERS", "gone@example.com");
    let checks = check(&workspace, 3);
    assert_eq!(problems(&checks), ["listing"]);
    assert!(text(named(&checks, "listing"), "detail").contains("zoom.users"), "{checks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_planted_fault_is_found_alone_with_what_to_do() {
    type Plant = fn(&ZoomServer, &mut Workspace);
    let faults: [(&str, &str, Plant); 11] = [
        ("token", "failed", |_, workspace| _ = workspace.set("ZOOM_CLIENT_SECRET", "wrong")),
        ("scopes", "failed", |server, _| server.answer_tokens_with("scope", json!("phone:read:call_recording:admin"))),
        ("clock", "failed", |server, _| server.see_clocks_ahead_by(SignedDuration::from_mins(10))),
        ("model", "failed", |_, workspace| _ = workspace.set("TRANSCRIBE__STT__MODEL", "not-there")),
        ("model", "failed", |_, workspace| {
            let damaged = workspace.path().join("tiny.en.bin");
            std::fs::write(&damaged, &std::fs::read(cached("models/tiny.en.bin")).unwrap()[..1_000_000]).unwrap();
            workspace.set("TRANSCRIBE__PATHS__MODELS_DIR", workspace.path().to_str().unwrap().to_owned());
        }),
        ("processor", "failed", |_, workspace| {
            let of_others = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
            workspace.set("TRANSCRIBE__STT__ISA", of_others);
        }),
        ("vocabulary", "failed", |_, workspace| _ = workspace.set("TRANSCRIBE__STT__VOCABULARY", "terms.txt")),
        // The model knows English only, which the engine notices when it starts.
        ("transcription", "failed", |_, workspace| _ = workspace.set("TRANSCRIBE__STT__LANGUAGES", "ja")),
        ("disk", "warning", |_, workspace| _ = workspace.set("TRANSCRIBE__PATHS__SPOOL_MAX_BYTES", "1000000GiB")),
        ("ledger", "failed", |_, workspace| {
            std::fs::create_dir(workspace.path().join("state")).unwrap();
            std::fs::write(workspace.path().join("state/ledger.sqlite"), "something else ".repeat(1_000)).unwrap();
        }),
        ("lake", "failed", |_, workspace| std::fs::write(workspace.lake(), "not a folder").unwrap()),
    ];
    for (name, word, plant) in faults {
        let server = ZoomServer::start(vec![]).await;
        let mut workspace = Workspace::against(server.environment());
        workspace.set("TRANSCRIBE__PATHS__SPOOL_MAX_BYTES", "1MiB");
        plant(&server, &mut workspace);
        let lines = workspace.run(&["check"]).stdout;
        let (wrong, fine): (Vec<&str>, Vec<&str>) = lines.lines().partition(|line| !line.starts_with("ok "));
        let [wrong] = wrong.as_slice() else { panic!("{name}: {lines}") };
        assert!(wrong.starts_with(&format!("{word:<8} {name}: ")), "{name}: {lines}");
        // Which variable holds what was refused is said where it was refused.
        assert!(wrong.contains(" → ") || wrong.contains("ZOOM_CLIENT_SECRET"), "{lines}");
        assert!(fine.len() > 5, "{name}: {lines}");
    }
}

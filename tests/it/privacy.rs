//! What is private never reaches the lake: the real binary, the real model, and DuckDB.

use serde_json::json;

use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, cached};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_private_is_masked_in_text_and_words_and_older_rows_are_made_anew_on_request() {
    let fox = Clip::new("aa01", cached("fixtures").join("speech/en_quick_brown_fox.mp3"));
    let zoom = ZoomServer::builder(vec![fox]).start().await.unwrap();
    let mut workspace = Workspace::against(zoom.environment());
    workspace.run(&["--since", "7d"]).expect_code(0);
    workspace.set("TRANSCRIBE__PRIVACY__PATTERNS", r"['ANIMAL=(?i)\b(fox|dog)\b']");
    let again = workspace.run(&["--since", "7d", "--redo", "changed", "--format", "json"]).expect_code(0).json();
    assert_eq!(again["done"], json!(1), "the settings count as changed");
    let latest =
        "(select fingerprint from read_parquet('recordings/**/*.parquet') order by transcribed_at desc limit 1)";
    let texts = workspace.query(&format!(
        "select lower(r.text), (select string_agg(lower(text), ' ') from read_parquet('segments/**/*.parquet') s
                                where s.fingerprint = r.fingerprint),
                (select string_agg(lower(word), ' ') from read_parquet('words/**/*.parquet') w
                 where w.fingerprint = r.fingerprint)
         from read_parquet('recordings/**/*.parquet') r where r.fingerprint = {latest}"
    ));
    for text in &texts[0] {
        let text = text.as_str().unwrap();
        assert!(text.contains("quick brown [animal]") && text.contains("lazy [animal]"), "{text}");
        assert!(!text.contains("fox") && !text.contains("dog"), "{text}");
    }
}

#[test]
fn a_setting_that_cannot_be_used_is_refused_before_anything_is_done() {
    let refused = |key: &str, value: &str, why: &str| {
        let mut workspace = Workspace::new();
        workspace.set(key, value);
        let stderr = workspace.run(&["--dir", "."]).expect_code(3).stderr;
        assert!(stderr.contains(why), "{stderr}");
    };
    refused("TRANSCRIBE__PRIVACY__REDACT", "['faces']", "privacy.redact");
    refused("TRANSCRIBE__PRIVACY__REGION", "Atlantis", "privacy.region");
    refused("TRANSCRIBE__PRIVACY__PATTERNS", "['ID=(']", "no regular expression");
}

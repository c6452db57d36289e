//! What the lake remembers of a caller.

use std::fs;

use jiff::Timestamp;
use serde_json::json;

use super::{CALLER, Scene, call_id, next_call, no_hooks, notice, ringing};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_three_calls_with_the_number_are_told() {
    let scene = Scene::start(no_hooks()).await;
    scene.recorded("a1", 24 * 40, CALLER, "older than thirty days").await;
    scene.recorded("a2", 24 * 20, CALLER, "the fourth").await;
    scene.recorded("a3", 24 * 9, "03-5550-0123", "the third").await;
    scene.recorded("a4", 24 * 5, "+81355509999", "of somebody else").await;
    scene.recorded("a5", 48, "81355500123", &"注文の件でお電話しました。".repeat(20)).await;
    scene.recorded("a6", 1, CALLER, "the call itself").await;
    scene.recorded("a7", 3, CALLER, "もしもし 山田です").await;
    let mut follower = scene.follow().await;
    scene.calls.offer(&[ringing("call-a6")]);
    let told = next_call(&mut follower).await.earlier_calls;
    let words: Vec<&str> = told.iter().map(|call| call.first_words.as_str()).collect();
    let long = format!("{}…", "注文の件でお電話しました。".repeat(20).chars().take(60).collect::<String>());
    assert_eq!(words, ["もしもし 山田です", &long, "the third"]);
    assert!(told.windows(2).all(|pair| pair[0].started_at > pair[1].started_at));

    // Withheld, and never heard of.
    scene.calls.offer(&[notice("phone.callee_ringing", "2", &json!({}))]);
    scene.calls.offer(&[notice("phone.callee_ringing", "3", &json!({"phone_number": "+15550001111"}))]);
    for _ in 0..2 {
        assert_eq!(next_call(&mut follower).await.earlier_calls, []);
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_lake_holds_for_a_minute_and_a_broken_lake_delays_nothing() {
    let scene = Scene::start(no_hooks()).await;
    scene.recorded("b1", 2, CALLER, "first").await;
    let mut follower = scene.follow().await;
    let mut heard = Vec::new();
    for call in ["1", "2"] {
        scene.calls.offer(&[ringing(call)]);
        heard.push(next_call(&mut follower).await.earlier_calls);
        scene.recorded(&format!("b2{call}"), 1, CALLER, "not known yet").await;
    }
    assert_eq!((heard[0].len(), &heard[0]), (1, &heard[1]));

    let day = scene.folder.path().join(format!("lake/recordings/dt={}", scene.lake.dt(Timestamp::now())));
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join("part-0.parquet"), "damaged").unwrap();
    scene.calls.offer(&[notice("phone.callee_ringing", "3", &json!({"phone_number": "+81355500777"}))]);
    let told = next_call(&mut follower).await;
    assert_eq!((call_id(&told), told.earlier_calls.len()), ("3", 0));
    scene.end().await;
}

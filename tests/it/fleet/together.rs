//! Coordinator and workers when all goes well, and when one of them is not as it should be.

use serde_json::json;

use super::{RUN, Worker, ago, assert_nothing_stays_on_its_way, coordinator, machine, nats};
use crate::s3_server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use crate::started::Started;
use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, cached, project, read_lake};

fn clip(id: &str, fixture: &str) -> Clip {
    Clip::new(id, cached("fixtures").join(fixture)).started_at(ago(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_with_the_real_engine_do_what_a_third_lists_and_the_store_is_all_they_share() {
    let (nats, store) = (nats().await, S3Server::start(&project().join(".venv/bin/weed")).await);
    let zoom = ZoomServer::start(vec![
        clip("hello", "speech/en_hello_world.mp3"),
        clip("fox", "speech/en_quick_brown_fox.mp3"),
        clip("two", "edge/stereo_two_speakers.mp3"),
        clip("page", "edge/html.mp3"),
    ])
    .await;
    let mut leader = coordinator(&zoom, &nats);
    leader
        .set("TRANSCRIBE__LAKE__URL", format!("s3://{BUCKET}/calls"))
        .set("TRANSCRIBE__LAKE__ENDPOINT", store.endpoint())
        .set("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let workers = [leader.elsewhere(), leader.elsewhere()].map(Worker::on);
    // Who leads needs no model.
    leader.set("TRANSCRIBE__PATHS__MODELS_DIR", "/nowhere");
    let run = leader.run(&RUN).expect_code(4).json();
    assert_eq!((&run["done"], &run["failed"], &run["waiting"]), (&json!(3), &json!(1), &json!(0)), "{run}");
    assert_eq!(run["recordings"].as_array().unwrap().len(), 4, "{run}");

    let status = leader.run(&["status", "--format", "json"]).expect_code(0).json();
    let cards = status["fleet"]["workers"].as_array().unwrap();
    assert_eq!(cards.len(), 2, "{status}");
    let people = leader.run(&["status"]).expect_code(0).stdout;
    assert!(people.contains("2 workers"), "{people}");
    let check = workers[0].machine.run(&["check"]).stdout;
    assert!(check.contains("workers: 2"), "{check}");
    workers.into_iter().for_each(Worker::dismiss);

    let query = |sql: &str| {
        let sql = sql.replace("{lake}", &format!("s3://{BUCKET}/calls"));
        read_lake(["remote", &store.endpoint(), ACCESS_KEY, SECRET_KEY, &sql])
    };
    let texts = query("select recording_id, lower(text) from read_parquet('{lake}/recordings/*/*.parquet') order by 1");
    assert_eq!(texts.as_array().unwrap().len(), 3, "{texts}");
    assert!(texts[0][1].as_str().unwrap().contains("quick brown fox"), "{texts}");
    assert_eq!(query("select reason from read_parquet('{lake}/quarantine/*/*.parquet')"), json!([["not_audio"]]));
    assert_eq!(query("select count(*) from glob('{lake}/_staging/**')"), json!([[0]]));
    assert_nothing_stays_on_its_way(&nats, &leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_coordinator_is_told_who_leads_and_the_first_goes_on() {
    let nats = nats().await;
    let zoom = ZoomServer::start(vec![clip("hello", "speech/en_hello_world.mp3")]).await;
    let first = coordinator(&zoom, &nats);
    let mut leading = Started::run(&first, &RUN);
    leading.wait_for(&["recording claimed"]);

    let other = coordinator(&zoom, &nats).run(&RUN).expect_code(5);
    assert!(other.stderr.contains("another coordinator leads this fleet: process "), "{}", other.stderr);

    let worker = Worker::on(machine(&first));
    assert_eq!(leading.end().code, Some(0));
    worker.dismiss();
    assert_eq!(first.query("select count(*) from read_parquet('recordings/**/*.parquet')"), [[json!(1)]]);
    // Who ended in order lets the next one lead at once, on whatever machine.
    coordinator(&zoom, &nats).run(&["--since", "1h"]).expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_message_server_one_sentence_says_so_and_nothing_is_lost() {
    let zoom = ZoomServer::start(vec![clip("hello", "speech/en_hello_world.mp3")]).await;
    let mut workspace = Workspace::against(zoom.environment());
    workspace.set("TRANSCRIBE__QUEUE__URL", "nats://127.0.0.1:9/tests").with_scripted_engine(&[]);
    for command in [&RUN[..], &["worker"], &["status"]] {
        let outcome = workspace.run(command).expect_code(5);
        assert!(
            outcome.stderr.contains("error: the message server nats://127.0.0.1:9 cannot be reached"),
            "{}",
            outcome.stderr
        );
    }
    let alone = workspace.set("TRANSCRIBE__QUEUE__URL", "sqlite:state/ledger.sqlite").run(&RUN).expect_code(0).json();
    assert_eq!(alone["done"], json!(1));
}

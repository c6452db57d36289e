//! Somebody stands still, dies, or forgets everything, at a moment that the test chooses.

use serde_json::json;

use super::{RUN, Worker, ago, assert_nothing_stays_on_its_way, coordinator, machine, nats};
use crate::crash::boundaries::{HIRED, LEADING};
use crate::started::Started;
use crate::support::{Clip, ZoomServer};
use crate::workspace::{Workspace, cached};

const ROWS: &str = "select count(*), count(distinct recording_id) from read_parquet('recordings/**/*.parquet')";

fn clip(id: &str) -> Clip {
    Clip::new(id, cached("fixtures/speech/en_hello_world.mp3")).started_at(ago(1))
}

fn steps(workspace: &Workspace, id: &str) -> Vec<String> {
    let life = workspace.run(&["status", "--recording", id, "--format", "json"]).expect_code(0).json();
    life["events"].as_array().unwrap().iter().map(|event| event["step"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stood_still_for_longer_than_its_lease_cannot_publish_over_its_successor() {
    // Before the transcript is put into the store, and after.
    for moment in ["staged", "handed-over"] {
        let (nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1")]).await);
        let leader = coordinator(&zoom, &nats);
        let mut slow = machine(&leader);
        slow.failpoint(&format!("{moment}=sleep(1000)"));
        let mut paused = Worker::on(slow);
        let leading = Started::run(&leader, &RUN);
        paused.process.wait_for(&["recording claimed"]);
        paused.process.wait_for(&["audio fetched"]);
        paused.process.signal("STOP");
        let successor = Worker::on(machine(&leader));
        let ended = leading.end();
        assert_eq!(ended.code, Some(0), "{moment}: {}", ended.said);
        paused.process.signal("CONT");
        paused.process.wait_for(&["took the recording over"]);
        paused.dismiss();
        successor.dismiss();
        // What comes late is taken note of by whoever leads next.
        leader.run(&RUN).expect_code(0);
        assert_eq!(leader.query(ROWS), [[json!(1), json!(1)]], "{moment}");
        assert_eq!(steps(&leader, "c1"), ["seen", "claimed", "crashed", "claimed", "staged", "published"], "{moment}");
        assert_nothing_stays_on_its_way(&nats, &leader).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_dies_or_is_told_to_stop_leaves_its_work_to_the_fleet_and_to_the_next_one() {
    let (nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1"), clip("c2"), clip("c3")]).await);
    let leader = coordinator(&zoom, &nats);
    for blow in ["KILL", "TERM"] {
        let mut leading = Started::run(&leader, &RUN);
        leading.wait_for(&["recording claimed"]);
        leading.signal(blow);
        let ended = leading.end();
        assert!([None, Some(130), Some(5)].contains(&ended.code), "{blow}: {}", ended.said);
    }
    let worker = Worker::on(machine(&leader));
    let run = leader.run(&RUN).expect_code(0).json();
    assert_eq!(run["failed"], json!(0), "{run}");
    assert_eq!(leader.query(ROWS), [[json!(3), json!(3)]]);
    for id in ["c1", "c2", "c3"] {
        assert_eq!(steps(&leader, id), ["seen", "claimed", "staged", "published"], "{id} was claimed once");
    }
    worker.dismiss();
    assert_nothing_stays_on_its_way(&nats, &leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_dies_between_any_two_steps_of_a_report_loses_and_doubles_nothing() {
    let (nats, zoom) = (nats().await, ZoomServer::start(Vec::new()).await);
    let leader = coordinator(&zoom, &nats);
    let worker = Worker::on(machine(&leader));
    let boundaries = [&["claimed"], LEADING].concat();
    for (number, boundary) in boundaries.iter().enumerate() {
        zoom.add(clip(&format!("c{number}")));
        assert!(leader.dies_at(&RUN, boundary, 0), "{boundary}");
    }
    let run = leader.run(&RUN).expect_code(0).json();
    assert_eq!(run["failed"], json!(0), "{run}");
    assert_eq!(leader.query(ROWS), [[json!(3), json!(3)]]);
    worker.dismiss();
    assert_nothing_stays_on_its_way(&nats, &leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_any_two_steps_loses_and_doubles_nothing() {
    let (nats, zoom) = (nats().await, ZoomServer::start(Vec::new()).await);
    let leader = coordinator(&zoom, &nats);
    let boundaries = [HIRED, &["fetched", "staged"]].concat();
    for (number, boundary) in boundaries.iter().enumerate() {
        zoom.add(clip(&format!("c{number}")));
        let mut mortal = machine(&leader);
        mortal.failpoint(&format!("{boundary}=return"));
        let dying = Worker::on(mortal);
        let leading = Started::run(&leader, &RUN);
        let died = dying.process.end();
        assert_eq!(died.code, None, "{boundary}: {}", died.said);
        let successor = Worker::on(machine(&leader));
        let ended = leading.end();
        assert_eq!(ended.code, Some(0), "{boundary}: {}", ended.said);
        successor.dismiss();
    }
    assert_eq!(leader.query(ROWS), [[json!(boundaries.len()), json!(boundaries.len())]]);
    assert!(!leader.lake().join("quarantine").exists());
    assert_nothing_stays_on_its_way(&nats, &leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_gives_back_what_it_has_and_no_attempt_is_counted() {
    let (nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1")]).await);
    let leader = coordinator(&zoom, &nats);
    let mut slow = machine(&leader);
    slow.set("SCRIPTED_SLOW_MS", "0..1000000").set("TRANSCRIBE__TRIGGER__DRAIN", "1ms");
    let mut leaving = Worker::on(slow);
    let leading = Started::run(&leader, &RUN);
    leaving.process.wait_for(&["audio fetched"]);
    leaving.process.signal("TERM");
    let left = leaving.process.end();
    assert_eq!(left.code, Some(0), "{}", left.said);
    let successor = Worker::on(machine(&leader));
    assert_eq!(leading.end().code, Some(0));
    successor.dismiss();
    let mut steps = steps(&leader, "c1");
    // Who leaves may be given it once more, and gives it back again.
    while steps[2..].iter().filter(|step| *step == "given_back").count() > 1 {
        steps.drain(1..3);
    }
    assert_eq!(steps, ["seen", "claimed", "given_back", "claimed", "staged", "published"]);
    let status = leader.run(&["status", "--recording", "c1", "--format", "json"]).expect_code(0).json();
    assert_eq!(status["attempt"], json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_server_that_forgets_everything_costs_time_and_no_recording() {
    let (mut nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1"), clip("c2")]).await);
    let leader = coordinator(&zoom, &nats);
    let mut leading = Started::run(&leader, &RUN);
    leading.wait_for(&["recording claimed"]);
    leading.wait_for(&["recording claimed"]);
    leading.signal("KILL");
    leading.end();
    nats.forget_all().await;
    let worker = Worker::on(machine(&leader));
    leader.run(&RUN).expect_code(0);
    worker.dismiss();
    assert_eq!(leader.query(ROWS), [[json!(2), json!(2)]]);
    assert_nothing_stays_on_its_way(&nats, &leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_server_that_forgets_everything_while_all_run_is_made_ready_again() {
    let (mut nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1")]).await);
    let mut leader = coordinator(&zoom, &nats);
    leader.failpoint("post-again-ms=return(500)");
    let mut slow = machine(&leader);
    slow.failpoint("staged=sleep(3000)");
    let mut worker = Worker::on(slow);
    let leading = Started::run(&leader, &RUN);
    worker.process.wait_for(&["audio fetched"]);
    nats.forget_all().await;
    let ended = leading.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    worker.dismiss();
    assert_eq!(leader.query(ROWS), [[json!(1), json!(1)]]);
    assert_nothing_stays_on_its_way(&nats, &leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_transcript_counts_against_no_recording() {
    let (nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1")]).await);
    let leader = coordinator(&zoom, &nats);
    std::fs::create_dir_all(leader.lake()).unwrap();
    let in_the_way = leader.lake().join("_staging");
    std::fs::write(&in_the_way, "not a folder").unwrap();
    let mut refusing = machine(&leader);
    refusing.set("TRANSCRIBE__TRIGGER__DRAIN", "1ms");
    let mut refused = Worker::on(refusing);
    let leading = Started::run(&leader, &RUN);
    refused.process.wait_for(&["a finished transcript cannot be put into the store"]);
    // Told to stop now, it gives up and says so.
    refused.dismiss();
    std::fs::remove_file(&in_the_way).unwrap();
    let successor = Worker::on(machine(&leader));
    let ended = leading.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    successor.dismiss();
    let status = leader.run(&["status", "--recording", "c1", "--format", "json"]).expect_code(0).json();
    assert_eq!(status["attempt"], json!(1), "{status}");
    assert!(!steps(&leader, "c1").contains(&"crashed".to_owned()), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_a_folder_beside_a_fleet_leaves_its_claims_alone() {
    let (nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1")]).await);
    let mut leader = coordinator(&zoom, &nats);
    leader.with_scripted_engine(&[]);
    let mut leading = Started::run(&leader, &RUN);
    leading.wait_for(&["recording claimed"]);
    let folder = leader.folder_of("calls", &["speech/en_quick_brown_fox.mp3"]);
    leader.run(&["--dir", folder.to_str().unwrap()]).expect_code(0);
    let worker = Worker::on(machine(&leader));
    assert_eq!(leading.end().code, Some(0));
    worker.dismiss();
    assert_eq!(steps(&leader, "c1"), ["seen", "claimed", "staged", "published"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_while_nobody_leads_is_on_the_server_no_more_when_somebody_does() {
    let (nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1")]).await);
    let leader = coordinator(&zoom, &nats);
    let mut leading = Started::run(&leader, &RUN);
    leading.wait_for(&["recording claimed"]);
    while nats.messages().await.iter().any(|(name, count)| name.starts_with("tests-jobs") && *count == 0) {
        tokio::task::yield_now().await;
    }
    leading.signal("KILL");
    leading.end();
    leader.run(&["purge", "--recording", "c1", "--yes"]).expect_code(0);
    leader.run(&RUN).expect_code(0);
    assert_nothing_stays_on_its_way(&nats, &leader).await;
    assert!(!leader.lake().join("recordings").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_stands_by_and_leads_when_the_other_is_gone_and_the_server_has_forgotten_everything() {
    // Of today: such calls are published at once.
    let clip = |id: &str| clip(id).started_at(ago(0));
    let (mut nats, zoom) = (nats().await, ZoomServer::start(vec![clip("c1")]).await);
    let service = || {
        let mut service = coordinator(&zoom, &nats);
        service.set("TRANSCRIBE__LAKE__FRESH_EVERY", "0s").set("TRANSCRIBE__TRIGGER__WEBHOOK__LISTEN", "off");
        service
    };
    let (first, mut second) = (service(), service());
    second.set("TRANSCRIBE__LAKE__URL", first.lake().display().to_string());
    let worker = Worker::on(machine(&first));
    let mut leading = Started::run(&first, &["serve"]);
    leading.wait_for(&[" published "]);
    let mut standing_by = Started::run(&second, &["serve"]);
    standing_by.wait_for(&["standing by"]);
    worker.dismiss();
    leading.signal("KILL");
    leading.end();
    // Nobody is there who would make its streams and buckets again but the one that stands by.
    nats.forget_all().await;
    zoom.add(clip("c2"));
    standing_by.wait_for(&["recording claimed"]);
    let worker = Worker::on(machine(&first));
    standing_by.wait_for(&[" published "]);
    standing_by.signal("TERM");
    let ended = standing_by.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    worker.dismiss();
    // Its ledger knew nothing of the first one: the lake did.
    assert_eq!(first.query(ROWS), [[json!(2), json!(2)]]);
}

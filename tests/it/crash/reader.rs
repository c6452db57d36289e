//! A reader who looks while everything is done anew with another model.

use serde_json::{Value, json};

use super::scene::{RUN, finish, good_clips, workspace};
use crate::support::ZoomServer;
use crate::workspace::Workspace;

/// What a reader sees of each recording: how many current rows it has, and of its segments and words those that belong
/// to the current row, in all and without repetitions.
const CURRENT: &str = "
    with ranked as (
        select recording_id, fingerprint, model,
               row_number() over (partition by recording_id order by transcribed_at desc, fingerprint desc) as place
        from read_parquet('recordings/**/*.parquet')),
    current as (select * from ranked where place = 1),
    segments as (select recording_id, fingerprint, count(*) as lines, count(distinct segment_index) as distinct_lines
                 from read_parquet('segments/**/*.parquet') group by all),
    words as (select recording_id, fingerprint, count(*) as words, count(distinct (segment_index, word_index)) as distinct_words
              from read_parquet('words/**/*.parquet') group by all)
    select recording_id, lines, distinct_lines, words, distinct_words, model
    from current left join segments using (recording_id, fingerprint) left join words using (recording_id, fingerprint)
    order by recording_id";

fn seen_by_a_reader(workspace: &Workspace) -> (Vec<Vec<Value>>, Vec<Value>) {
    let mut rows = workspace.query(CURRENT);
    let models = rows.iter_mut().map(|row| row.pop().unwrap()).collect();
    (rows, models)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_model_does_everything_anew_a_reader_sees_each_recording_once_at_every_moment() {
    let zoom = ZoomServer::start(good_clips()).await;
    let mut first = workspace(&zoom);
    first.run(&RUN).expect_code(0);
    let (before, models) = seen_by_a_reader(&first);
    assert_eq!(before.len(), 4);
    assert!(before.iter().all(|row| row[1] == row[2] && row[3] == row[4]), "{before:?}");
    assert_eq!(models, [json!("tiny.en"), json!("tiny.en"), json!("tiny.en"), json!("tiny.en")]);
    first.set("TRANSCRIBE__STT__MODEL", "base");

    let redo = [RUN[0], RUN[1], "--redo", "changed"];
    let mut steps = Vec::new();
    // The lake as it is at the very moment after each object: the process that would go on is gone.
    for passed in 0.. {
        let redone = first.copy();
        let is_killed = redone.dies_at(&redo, "object-put", passed);
        let (rows, models) = seen_by_a_reader(&redone);
        assert_eq!(rows, before, "after {} objects", passed + 1);
        steps.push(models.iter().filter(|model| *model == "base").count());
        if !is_killed {
            break;
        }
        finish(&redone);
        let (rows, models) = seen_by_a_reader(&redone);
        assert_eq!(rows, before, "finished after {} objects", passed + 1);
        assert!(models.iter().all(|model| model == "base"), "{models:?}");
    }
    // Words, segments, recordings of each of the three days: old results give way to new ones day by day, in one step.
    assert_eq!(steps, [0, 0, 1, 1, 1, 3, 3, 3, 4, 4]);
}

-- Tables and views for Athena (engine version 3). Written by `transcribe lake init`; run it all again after an upgrade.
-- Partitions are computed (partition projection): nothing has to be added or repaired when new days come.
-- Athena runs one statement at a time:
--   aws athena start-query-execution --work-group primary --query-string "…"
-- Timestamps are in UTC. Filter on dt first ('2026-11-22'): other days are then not looked at.
@note@
CREATE DATABASE IF NOT EXISTS @database@;

DROP TABLE IF EXISTS @database@.hidden_files;
CREATE EXTERNAL TABLE @database@.hidden_files (
  `key` string COMMENT 'Object that does not count, from the root of the lake',
  `state` string COMMENT 'new: not yet; old: no longer'
)
COMMENT 'Files that are being replaced or removed; the views leave them out'
STORED AS PARQUET
LOCATION '@place@/hidden_files/';

@tables@
-- The last result of each recording.
CREATE OR REPLACE VIEW @database@.current_recordings AS
WITH last AS (
    SELECT recordings.*, row_number() OVER (
        PARTITION BY recording_id ORDER BY transcribed_at DESC, fingerprint DESC) AS place
    FROM @recordings@
), compared AS (
    -- Zoom's own transcript may come days later than ours.
    SELECT recording_id, fingerprint, agreement, row_number() OVER (
        PARTITION BY recording_id, fingerprint ORDER BY fetched_at DESC) AS place
    FROM @zoom_transcripts@
    WHERE agreement IS NOT NULL
)
SELECT @last.*@
FROM last LEFT JOIN compared
    ON compared.recording_id = last.recording_id AND compared.fingerprint = last.fingerprint AND compared.place = 1
WHERE last.place = 1;

-- Its segments, those that a guard suppressed included.
CREATE OR REPLACE VIEW @database@.current_segments_all AS
SELECT @segments.*@
FROM @segments@
JOIN @database@.current_recordings AS current
    ON current.recording_id = segments.recording_id AND current.fingerprint = segments.fingerprint;

-- Its segments that count.
CREATE OR REPLACE VIEW @database@.current_segments AS
SELECT * FROM @database@.current_segments_all WHERE NOT suppressed;

-- Their words.
CREATE OR REPLACE VIEW @database@.current_words AS
SELECT @words.*@
FROM @words@
JOIN @database@.current_recordings AS current
    ON current.recording_id = words.recording_id AND current.fingerprint = words.fingerprint;

-- What could not be transcribed and is not in the lake otherwise.
CREATE OR REPLACE VIEW @database@.current_quarantine AS
WITH last AS (
    SELECT quarantine.*, row_number() OVER (
        PARTITION BY recording_id ORDER BY last_tried_at DESC, run_id DESC) AS place
    FROM @quarantine@
)
SELECT @quarantine.*@
FROM last LEFT JOIN @database@.current_recordings AS current ON current.recording_id = last.recording_id
WHERE last.place = 1 AND current.recording_id IS NULL;

-- The last form of each leg; a call stands for itself only until its legs are known.
CREATE OR REPLACE VIEW @database@.current_call_history AS
WITH ranked AS (
    SELECT call_history.*, row_number() OVER (
        PARTITION BY leg_id ORDER BY fetched_at DESC, row_hash DESC) AS place
    FROM @call_history@
), last AS (
    SELECT * FROM ranked WHERE place = 1
), with_legs AS (
    SELECT DISTINCT coalesce(call_history_id, call_path_id) AS known FROM last WHERE leg_index IS NOT NULL
)
SELECT @call_history.*@
FROM last LEFT JOIN with_legs ON coalesce(last.call_history_id, last.call_path_id) = with_legs.known
WHERE last.leg_index IS NOT NULL OR with_legs.known IS NULL;

-- One row per call: its recordings (legs: a queue and a user, a transfer, a restart) together. A recording without a
-- call_id is a call of its own. Names and numbers are those of the first leg that has them; an agent is who picked up
-- or placed a leg, else the user whose recording it is. talk_seconds is the time in which somebody speaks.
CREATE OR REPLACE VIEW @database@.calls AS
WITH legs AS (
    SELECT *, coalesce(call_id, recording_id) AS call_key,
        coalesce(accepted_by_name, outgoing_by_name, CASE WHEN owner_type = 'user' THEN owner_name END) AS agent
    FROM @database@.current_recordings
)
SELECT
    call_key,
    max(call_id) AS call_id,
    count(*) AS legs,
    array_agg(recording_id ORDER BY started_at, recording_id) AS recording_ids,
    min(started_at) AS started_at,
    max(coalesce(ended_at, date_add('millisecond', audio_ms, started_at))) AS ended_at,
    min_by(direction, started_at) FILTER (WHERE direction IS NOT NULL) AS direction,
    min_by(caller_number, started_at) FILTER (WHERE caller_number IS NOT NULL) AS caller_number,
    min_by(caller_name, started_at) FILTER (WHERE caller_name IS NOT NULL) AS caller_name,
    min_by(callee_number, started_at) FILTER (WHERE callee_number IS NOT NULL) AS callee_number,
    min_by(callee_name, started_at) FILTER (WHERE callee_name IS NOT NULL) AS callee_name,
    array_sort(array_agg(DISTINCT agent) FILTER (WHERE agent IS NOT NULL)) AS agents,
    max_by(language, speech_ms) FILTER (WHERE language IS NOT NULL) AS language,
    round(sum(audio_ms) / 1e3, 1) AS recorded_seconds,
    round(sum(speech_ms - coalesce(overlap_ms, 0)) / 1e3, 1) AS talk_seconds,
    bool_or(needs_review) AS needs_review,
    array_join(array_agg(text ORDER BY started_at, recording_id) FILTER (WHERE text <> ''), chr(10)) AS text,
    min(dt) AS dt
FROM legs GROUP BY call_key;

-- How well it went, per day and language: mean confidence, the share of recordings that a person should look at, and
-- the share of heard segments that a guard suppressed.
CREATE OR REPLACE VIEW @database@.quality AS
WITH guarded AS (
    SELECT recording_id, count(*) AS heard, sum(CASE WHEN suppressed THEN 1 ELSE 0 END) AS refused
    FROM @database@.current_segments_all
    WHERE coalesce(suppressed_reason, '') <> 'non_speech' GROUP BY recording_id
)
SELECT dt, language, count(*) AS recordings, round(sum(audio_ms) / 6e4, 1) AS minutes,
    round(avg(confidence), 3) AS confidence,
    round(avg(CASE WHEN needs_review THEN 1e0 ELSE 0e0 END), 3) AS needs_review_share,
    round(1e0 * sum(refused) / sum(heard), 3) AS suppressed_share
FROM @database@.current_recordings AS current LEFT JOIN guarded ON guarded.recording_id = current.recording_id
GROUP BY dt, language;

-- The last check of each day by `transcribe reconcile`. unexplained counts what is lost, double or orphaned.
CREATE OR REPLACE VIEW @database@.coverage_days AS
WITH ranked AS (
    SELECT coverage.*, rank() OVER (PARTITION BY day ORDER BY checked_at DESC, run_id DESC) AS place
    FROM @coverage@
)
SELECT day, max(zoom_recordings) AS zoom_recordings, max(zoom_seconds) AS zoom_seconds,
    max(lake_recordings) AS lake_recordings, max(lake_seconds) AS lake_seconds,
    CAST(coalesce(sum(recordings) FILTER (WHERE reason NOT IN ('lost', 'double', 'orphaned')), 0) AS bigint) AS explained,
    CAST(coalesce(sum(recordings) FILTER (WHERE reason IN ('lost', 'double', 'orphaned')), 0) AS bigint) AS unexplained,
    array_join(array_agg(CAST(recordings AS varchar) || ' ' || reason ORDER BY reason)
        FILTER (WHERE reason IS NOT NULL), ', ') AS differences,
    max(checked_at) AS checked_at
FROM ranked WHERE place = 1 GROUP BY day;

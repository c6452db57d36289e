-- Twelve questions to the lake, for DuckDB over views.sql: duckdb -init views.sql, then paste one.
-- Change the words, days and limits between quotes. Written by `transcribe lake init`.

-- 1. Who talks: calls in which one side has more than four fifths of the talk (stereo recordings only).
SELECT started_at, owner_name, caller_name, callee_name,
    round(talk_share_left * 100) AS left_percent, round(talk_share_right * 100) AS right_percent
FROM current_recordings
WHERE greatest(talk_share_left, talk_share_right) > 0.8
ORDER BY greatest(talk_share_left, talk_share_right) DESC, started_at DESC;

-- 2. The longest silences within a call, and what was said before and after.
WITH turns AS (
    SELECT recording_id, started_at, text,
        start_ms - max(end_ms) OVER before_it AS silent_ms,
        max(end_ms) OVER before_it AS from_ms,
        last_value(text) OVER before_it AS said_before
    FROM current_segments
    WINDOW before_it AS (
        PARTITION BY recording_id ORDER BY start_ms, segment_index ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT started_at, recording_id, round(from_ms / 1e3, 1) AS after_seconds, round(silent_ms / 1e3, 1) AS silent_seconds,
    said_before, text AS said_after
FROM turns WHERE silent_ms >= 5000
ORDER BY silent_ms DESC, recording_id LIMIT 50;

-- 3. Calls that mention something, with the place to listen to. 請求書 and full-width letters work too.
SELECT calls.started_at, calls.agents, calls.caller_name, found.offset_time, found.speaker, found.text
FROM search('hello') AS found
JOIN calls ON list_contains(calls.recording_ids, found.recording_id)
ORDER BY calls.started_at DESC, found.start_ms;

-- 4. Missing transcripts: days on which Zoom lists more than the lake holds, and what was given up.
-- (`transcribe reconcile` fills the first half.)
SELECT day, 'of ' || zoom_recordings || ' recordings ' || lake_recordings || ' are here' AS what, differences AS why
FROM coverage_days WHERE unexplained > 0 OR zoom_recordings > lake_recordings
UNION ALL
SELECT dt, recording_id, reason || ' (' || stage || ', ' || attempts || ' attempts)' FROM current_quarantine
ORDER BY day, what;

-- 5. Calls per agent: how many, how long, and the share of the time in which somebody speaks.
SELECT agent, count(*) AS calls, round(sum(recorded_seconds) / 60, 1) AS minutes,
    round(avg(recorded_seconds) / 60, 1) AS mean_minutes,
    round(sum(talk_seconds) / sum(recorded_seconds), 2) AS talk_share
FROM (SELECT unnest(agents) AS agent, * EXCLUDE (agents) FROM calls)
GROUP BY agent ORDER BY calls DESC, agent;

-- 6. What a person should listen to, and why.
SELECT started_at, recording_id, owner_name, review_reasons, round(confidence, 2) AS confidence,
    left(text, 80) AS begins
FROM current_recordings WHERE needs_review
ORDER BY started_at DESC;

-- 7. Words that the engine is often unsure of: names and terms for stt.vocabulary.
SELECT word, count(*) AS times, round(avg(probability), 2) AS mean_probability
FROM current_words
GROUP BY word HAVING avg(probability) < 0.6
ORDER BY times DESC, word LIMIT 50;

-- 8. When it rings: calls and minutes per weekday and hour, in the time zone that you name.
SELECT dayname(timezone('Asia/Tokyo', started_at)) AS weekday, hour(timezone('Asia/Tokyo', started_at)) AS hour,
    count(*) AS calls, round(sum(recorded_seconds) / 60, 1) AS minutes
FROM calls
GROUP BY weekday, hour, isodow(timezone('Asia/Tokyo', started_at))
ORDER BY isodow(timezone('Asia/Tokyo', started_at)), hour;

-- 9. The longest monologues, and how often the two sides speak at once.
SELECT started_at, recording_id, owner_name, round(longest_monologue_ms / 1e3) AS monologue_seconds,
    round(overlap_ms / 1e3, 1) AS overlap_seconds, round(words_per_minute) AS words_per_minute
FROM current_recordings WHERE longest_monologue_ms IS NOT NULL
ORDER BY longest_monologue_ms DESC, recording_id LIMIT 50;

-- 10. Who calls again within three days: what the first call may not have solved.
WITH earlier AS (
    SELECT caller_number, caller_name, call_key, started_at,
        lag(started_at) OVER (PARTITION BY caller_number ORDER BY started_at, call_key) AS called_before
    FROM calls WHERE caller_number IS NOT NULL AND direction = 'inbound'
)
SELECT caller_number, max(caller_name) AS caller_name, count(*) AS calls_again, max(started_at) AS last_call
FROM earlier WHERE started_at - called_before <= INTERVAL 3 DAY
GROUP BY caller_number ORDER BY calls_again DESC, caller_number;

-- 11. Where Zoom's own transcript and ours differ most (zoom.transcripts = true).
SELECT started_at, recording_id, language, round(zoom_agreement, 2) AS agreement, left(text, 80) AS ours
FROM current_recordings WHERE zoom_agreement IS NOT NULL AND segment_count > 0
ORDER BY zoom_agreement, recording_id LIMIT 50;

-- 12. What the guards took out, and an example: is it right to be suppressed? (`transcribe explain ID` tells more.)
SELECT suppressed_reason, count(*) AS segments, round(sum(end_ms - start_ms) / 1e3) AS seconds,
    min(text) AS example, min(recording_id) AS of_recording
FROM current_segments_all WHERE suppressed AND suppressed_reason <> 'non_speech'
GROUP BY suppressed_reason ORDER BY segments DESC, suppressed_reason;

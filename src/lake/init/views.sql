-- Written by `transcribe lake init`; run that again after an upgrade.
@open@
-- Then ask: FROM calls ORDER BY started_at DESC LIMIT 20;   or: FROM search('invoice');   or see queries.sql.
--
-- Tables are named as in the lake and have a row for every result; current_… show the last result of each recording
-- only. Filter on dt first ('2026-11-22'): other days are then not read.

-- Files that do not count: they are being replaced or removed. Every table below leaves them out.
CREATE OR REPLACE VIEW hidden_files AS
SELECT key, state FROM read_parquet('@url@/hidden_files/current.parquet', hive_partitioning = false);

@tables@
-- The last result of each recording.
CREATE OR REPLACE VIEW current_recordings AS
WITH last AS (
    SELECT * FROM recordings
    QUALIFY row_number() OVER (PARTITION BY recording_id ORDER BY transcribed_at DESC, fingerprint DESC) = 1
), compared AS (
    -- Zoom's own transcript may come days later than ours.
    SELECT recording_id, fingerprint, agreement FROM zoom_transcripts WHERE agreement IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY recording_id, fingerprint ORDER BY fetched_at DESC) = 1
)
SELECT last.* REPLACE (coalesce(compared.agreement, last.zoom_agreement) AS zoom_agreement)
FROM last LEFT JOIN compared USING (recording_id, fingerprint);

-- Its segments, those that a guard suppressed included.
CREATE OR REPLACE VIEW current_segments_all AS
SELECT segments.* FROM segments SEMI JOIN current_recordings USING (recording_id, fingerprint);

-- Its segments that count.
CREATE OR REPLACE VIEW current_segments AS SELECT * FROM current_segments_all WHERE NOT suppressed;

-- Their words.
CREATE OR REPLACE VIEW current_words AS
SELECT words.* FROM words SEMI JOIN current_recordings USING (recording_id, fingerprint);

-- What could not be transcribed and is not in the lake otherwise.
CREATE OR REPLACE VIEW current_quarantine AS
SELECT quarantine.* FROM quarantine ANTI JOIN current_recordings USING (recording_id)
QUALIFY row_number() OVER (PARTITION BY recording_id ORDER BY last_tried_at DESC, run_id DESC) = 1;

-- The last form of each leg; a call stands for itself only until its legs are known.
CREATE OR REPLACE VIEW current_call_history AS
WITH last AS (
    SELECT * FROM call_history
    QUALIFY row_number() OVER (PARTITION BY leg_id ORDER BY fetched_at DESC, row_hash DESC) = 1
), with_legs AS (
    SELECT DISTINCT coalesce(call_history_id, call_path_id) AS known FROM last WHERE leg_index IS NOT NULL
)
SELECT last.* FROM last LEFT JOIN with_legs ON coalesce(last.call_history_id, last.call_path_id) = with_legs.known
WHERE last.leg_index IS NOT NULL OR with_legs.known IS NULL;

-- One row per call: its recordings (legs: a queue and a user, a transfer, a restart) together. A recording without a
-- call_id is a call of its own. Names and numbers are those of the first leg that has them; an agent is who picked up
-- or placed a leg, else the user whose recording it is. talk_seconds is the time in which somebody speaks.
CREATE OR REPLACE VIEW calls AS
WITH legs AS (
    SELECT *, coalesce(call_id, recording_id) AS call_key,
        coalesce(accepted_by_name, outgoing_by_name, CASE WHEN owner_type = 'user' THEN owner_name END) AS agent
    FROM current_recordings
)
SELECT
    call_key,
    max(call_id) AS call_id,
    count(*) AS legs,
    list(recording_id ORDER BY started_at, recording_id) AS recording_ids,
    min(started_at) AS started_at,
    max(coalesce(ended_at, started_at + to_milliseconds(audio_ms))) AS ended_at,
    first(direction ORDER BY started_at, recording_id) FILTER (direction IS NOT NULL) AS direction,
    first(caller_number ORDER BY started_at, recording_id) FILTER (caller_number IS NOT NULL) AS caller_number,
    first(caller_name ORDER BY started_at, recording_id) FILTER (caller_name IS NOT NULL) AS caller_name,
    first(callee_number ORDER BY started_at, recording_id) FILTER (callee_number IS NOT NULL) AS callee_number,
    first(callee_name ORDER BY started_at, recording_id) FILTER (callee_name IS NOT NULL) AS callee_name,
    list_sort(list(DISTINCT agent) FILTER (agent IS NOT NULL)) AS agents,
    first(language ORDER BY speech_ms DESC, recording_id) FILTER (language IS NOT NULL) AS language,
    round(sum(audio_ms) / 1e3, 1) AS recorded_seconds,
    round(sum(speech_ms - coalesce(overlap_ms, 0)) / 1e3, 1) AS talk_seconds,
    bool_or(needs_review) AS needs_review,
    string_agg(text, chr(10) ORDER BY started_at, recording_id) FILTER (text <> '') AS text,
    min(dt) AS dt
FROM legs GROUP BY call_key;

-- Text for comparison: small letters, full-width letters and digits made narrow, half-width katakana made wide.
CREATE OR REPLACE MACRO fold(words) AS nfc_normalize(translate(lower(words),
    '　！＂＃＄％＆＇（）＊＋，－．／０１２３４５６７８９：；＜＝＞？＠［＼］＾＿｀｛｜｝～ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ'
    || '｡｢｣､･ｦｧｨｩｪｫｬｭｮｯｰｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜﾝﾞﾟ',
    ' !"#$%&''()*+,-./0123456789:;<=>?@[\]^_`{|}~abcdefghijklmnopqrstuvwxyz'
    || '。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン'
    || chr(12441) || chr(12442)));

-- FROM search('invoice'): the segments that say it, newest calls first. It is looked for as it is written, within one
-- segment; offset_time is what `transcribe explain ID --at` takes.
CREATE OR REPLACE MACRO search(words) AS TABLE
SELECT recording_id, call_id, started_at,
    printf('%d:%02d', start_ms // 60000, start_ms // 1000 % 60) AS offset_time,
    start_ms, channel, speaker, text, dt
FROM current_segments WHERE contains(fold(text), fold(words))
ORDER BY started_at DESC, recording_id, start_ms;

-- How well it went, per day and language: mean confidence, the share of recordings that a person should look at, and
-- the share of heard segments that a guard suppressed.
CREATE OR REPLACE VIEW quality AS
WITH guarded AS (
    SELECT recording_id, count(*) AS heard, count(*) FILTER (suppressed) AS refused
    FROM current_segments_all WHERE suppressed_reason IS DISTINCT FROM 'non_speech' GROUP BY recording_id
)
SELECT dt, language, count(*) AS recordings, round(sum(audio_ms) / 6e4, 1) AS minutes,
    round(avg(confidence), 3) AS confidence,
    round(avg(CASE WHEN needs_review THEN 1e0 ELSE 0e0 END), 3) AS needs_review_share,
    round(1e0 * sum(refused) / sum(heard), 3) AS suppressed_share
FROM current_recordings LEFT JOIN guarded USING (recording_id)
GROUP BY dt, language ORDER BY dt, language;

-- The last check of each day by `transcribe reconcile`. unexplained counts what is lost, double or orphaned.
CREATE OR REPLACE VIEW coverage_days AS
WITH last AS (
    SELECT * FROM coverage QUALIFY rank() OVER (PARTITION BY day ORDER BY checked_at DESC, run_id DESC) = 1
)
SELECT day, max(zoom_recordings) AS zoom_recordings, max(zoom_seconds) AS zoom_seconds,
    max(lake_recordings) AS lake_recordings, max(lake_seconds) AS lake_seconds,
    CAST(coalesce(sum(recordings) FILTER (reason NOT IN ('lost', 'double', 'orphaned')), 0) AS BIGINT) AS explained,
    CAST(coalesce(sum(recordings) FILTER (reason IN ('lost', 'double', 'orphaned')), 0) AS BIGINT) AS unexplained,
    string_agg(CAST(recordings AS VARCHAR) || ' ' || reason, ', ' ORDER BY reason) FILTER (reason IS NOT NULL)
        AS differences,
    max(checked_at) AS checked_at
FROM last GROUP BY day ORDER BY day;

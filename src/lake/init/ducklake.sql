-- A copy of the current transcripts in DuckLake, with a snapshot for every run of this file: time travel, and one
-- consistent state for whoever reads while others write. Written by `transcribe lake init`.
--
-- duckdb -init views.sql -f ducklake.sql      (views.sql first: this reads its views)
--
-- The lake itself stays as it is. Its files are copied and not registered in place (ducklake_add_data_files), because
-- `transcribe compact` replaces them. After a purge: CALL ducklake_expire_snapshots('history', older_than => now());
-- and CALL ducklake_cleanup_old_files('history', cleanup_all => true); or the old snapshots keep what was forgotten.
INSTALL ducklake;
LOAD ducklake;
-- The catalogue may be a PostgreSQL database as well: 'ducklake:postgres:dbname=…'.
ATTACH IF NOT EXISTS 'ducklake:transcripts.ducklake' AS history (DATA_PATH 'transcripts_history/');

CREATE TABLE IF NOT EXISTS history.recordings AS SELECT * FROM current_recordings WHERE false;
CREATE TABLE IF NOT EXISTS history.segments AS SELECT * FROM current_segments_all WHERE false;
CREATE TABLE IF NOT EXISTS history.words AS SELECT * FROM current_words WHERE false;
ALTER TABLE history.recordings SET PARTITIONED BY (dt);
ALTER TABLE history.segments SET PARTITIONED BY (dt);
ALTER TABLE history.words SET PARTITIONED BY (dt);

-- One snapshot: what is no longer current goes, what is new comes.
BEGIN;
DELETE FROM history.segments WHERE fingerprint NOT IN (SELECT fingerprint FROM current_recordings);
DELETE FROM history.words WHERE fingerprint NOT IN (SELECT fingerprint FROM current_recordings);
INSERT INTO history.segments BY NAME
SELECT * FROM current_segments_all WHERE fingerprint NOT IN (SELECT fingerprint FROM history.recordings);
INSERT INTO history.words BY NAME
SELECT * FROM current_words WHERE fingerprint NOT IN (SELECT fingerprint FROM history.recordings);
-- Rows of recordings may change (Zoom's transcript comes later), and there are few of them.
DELETE FROM history.recordings;
INSERT INTO history.recordings BY NAME SELECT * FROM current_recordings;
COMMIT;

-- FROM history.snapshots();
-- SELECT count(*) FROM history.recordings AT (VERSION => 3);

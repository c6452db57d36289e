"""One run of the program over a folder of links, read back from its lake with DuckDB."""

import json
import os
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from tests.support.read_lake import rows_of

from .heard import Heard, Span


@dataclass
class OurRun:
    """What came of a run. `cpu_s` is user and system time of the program and its engine, start-up included."""

    heard: dict[str, Heard]
    lake: Path
    cpu_s: float
    wall_s: float


@dataclass
class Program:
    """The program and the settings that all runs share."""

    path: Path
    models: Path
    workers: int = 1
    settings: list[str] = field(default_factory=list)

    def run(self, items, model, languages, work):
        """Transcribes the items into a fresh lake below the folder `work`; equal files are run once."""
        shutil.rmtree(work, ignore_errors=True)
        calls = work / "calls"
        calls.mkdir(parents=True)
        by_content = {item.sha256: item for item in reversed(items)}
        for item in by_content.values():
            os.symlink(item.path.resolve(), calls / item.name.replace("/", "__"))
        settings = {
            "paths.state_dir": work / "state", "paths.models_dir": self.models, "lake.url": work / "lake",
            "stt.model": model, "stt.languages": json.dumps(languages), "stt.workers": self.workers, "stt.threads": 1,
            "queue.backoff": "0s",
        }  # fmt: skip
        command = [str(self.path), "--dir", str(calls), "--format", "json", "-q"]
        for setting in [f"{key}={value}" for key, value in settings.items()] + self.settings:
            command += ["--set", setting]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        ended = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
        if ended.returncode not in (0, 4):
            raise SystemExit(f"the program ended with exit code {ended.returncode}")
        jobs = {job["id"]: job for job in json.loads(ended.stdout)["recordings"]}
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return OurRun(read_back(work / "lake", items, jobs), work / "lake", cpu, wall)


def read_back(lake, items, jobs):
    """What the lake and the program's own summary say of each item, by the item's name."""
    recordings = {row["recording_id"]: row for row in table(lake, "recordings")}
    segments, words = by_recording(table(lake, "segments")), by_recording(table(lake, "words"))
    heard = {}
    for item in items:
        identity = item.recording_id
        job = jobs.get(identity, {"status": "not listed", "reason": None})
        heard[item.name] = to_heard(job, recordings.get(identity), segments.get(identity, []), words.get(identity, []))
    return heard


def to_heard(job, recording, segments, words):
    """One item from its rows."""
    heard = Heard(status=job["status"], reason=job.get("reason"))
    if recording is None:
        return heard
    heard.language, heard.language_prob = recording["language"], recording["language_prob"]
    heard.audio_s = recording["audio_ms"] / 1000
    heard.review_reasons = str(recording["review_reasons"] or "") or None
    heard.segments = [span(row, row["text"], row["suppressed_reason"]) for row in segments]
    heard.words = [replace(span(row, row["word"]), probability=row["probability"]) for row in words]
    with_text = [row for row in segments if row["text"]]
    heard.retried = sum(bool(row["temperature"] or row["first_text"]) for row in with_text)
    if segments and "window_start_ms" in segments[0]:
        windows = {(row["channel"], row["window_start_ms"], row["window_end_ms"]) for row in segments}
        heard.windows = sum(start is not None for _, start, _ in windows)
    return heard


def span(row, text, suppressed=None):
    return Span(row["start_ms"] / 1000, row["end_ms"] / 1000, text or "", row["channel"], suppressed)


def table(lake, name):
    """The rows of a table in order, as dictionaries; none where the table was never written."""
    if not (lake / name).exists():
        return []
    order = {"recordings": "recording_id", "segments": "recording_id, segment_index"}
    by = order.get(name, "recording_id, segment_index, word_index")
    # DuckDB needs another package to hand over timestamps, and nothing here asks for them.
    columns = "COLUMNS(name -> NOT ends_with(name, '_at'))"
    result = duckdb.sql(f"SELECT {columns} FROM read_parquet('{lake / name}/**/*.parquet') ORDER BY {by}")
    names = [column[0] for column in result.description]
    return [dict(zip(names, row)) for row in result.fetchall()]


def by_recording(rows):
    found = {}
    for row in rows:
        found.setdefault(row["recording_id"], []).append(row)
    return found


def different_tables(first, second):
    """The tables in which two lakes differ, what belongs to the run apart."""
    one, other = (tables_of(lake) for lake in (first, second))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def tables_of(lake):
    # rows_of changes into the lake.
    here = os.getcwd()
    try:
        return rows_of(str(lake.resolve()))
    finally:
        os.chdir(here)

"""Transcribes a corpus of real recordings with the real program and checks what came out.

The corpus is a folder with `manifest.jsonl` (one object a file: file, kind, language, duration_s, reference,
reference_kind, segments, expected, sha256). Nothing of it is copied into the project; the program reads copies in a
temporary folder. Every item is run: English, non-speech and damaged files with tiny.en, other languages with base.

Checks: every item ends as it should (`expected.outcome` for damaged ones, done for the rest); decoded lengths; the word
error rate, pooled over the items with an exact English reference under `read/`, both sides through OpenAI's English
normaliser. Prints a table of every word that was invented where nobody speaks.
"""

import argparse
import collections
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import duckdb
import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

MOST_WORD_ERRORS = 0.065
LENGTH_TOLERANCE_S = 0.05
# An MP3 without an Info tag does not say how much its encoder added at the start (529 + 576 samples) and the end (at most
# a frame of 1,152): it may come out so much longer, never shorter.
MP3_PADDING_SAMPLES = 529 + 576 + 1152
ENGLISH = EnglishTextNormalizer()
BASIC = BasicTextNormalizer(split_letters=True)


def flat_name(item):
    """One folder for all: the path inside the corpus becomes part of the name, the ending stays as it is."""
    return item["file"].replace("/", "__")


def transcribe(program, models, model, items, corpus, work):
    """Runs the program over the items; returns (summary, jobs, recordings, segments), the last three by id."""
    calls = work / "calls"
    calls.mkdir(parents=True)
    for item in items:
        shutil.copyfile(corpus / item["file"], calls / flat_name(item))
    command = [
        str(program), "--dir", str(calls), "--format", "json", "-q",
        "--set", f"paths.state_dir={work / 'state'}", "--set", f"paths.models_dir={models}",
        "--set", f"lake.url={work / 'lake'}", "--set", f"stt.model={model}", "--set", "queue.backoff=0s",
    ]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    if run.returncode not in (0, 4):
        sys.exit(f"transcribe ended with exit code {run.returncode}")
    summary = json.loads(run.stdout)
    summary["cpu_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary["wall_seconds"] = wall
    recordings, segments = {}, collections.defaultdict(list)
    if (work / "lake" / "recordings").exists():
        table = lambda name: f"read_parquet('{work / 'lake' / name}/**/*.parquet')"
        for row in rows("recording_id, audio_ms, text, review_reasons", table("recordings")):
            if row["recording_id"] in recordings:
                sys.exit(f"two rows for {row['recording_id']}")
            recordings[row["recording_id"]] = row
        columns = "recording_id, start_ms, end_ms, text, suppressed"
        for row in rows(columns, table("segments") + " ORDER BY recording_id, segment_index"):
            segments[row["recording_id"]].append(row)
    status = {job["id"]: job for job in summary["recordings"]}
    return summary, status, recordings, segments


def rows(columns, source):
    """Rows of a query as dictionaries."""
    result = duckdb.sql(f"SELECT {columns} FROM {source}")
    names = [column[0] for column in result.description]
    return [dict(zip(names, row)) for row in result.fetchall()]


def errors(reference, text, normalise):
    """(edits, words) between a reference and a transcript."""
    reference, text = normalise(reference), normalise(text)
    if not reference.split():
        return len(text.split()), 0
    if not text.split():
        return len(reference.split()), len(reference.split())
    measured = jiwer.process_words(reference, text)
    edits = measured.substitutions + measured.deletions + measured.insertions
    return edits, len(reference.split())


def check_outcome(item, job, row):
    """What is wrong with how an item ended, or None."""
    outcome = (item.get("expected") or {}).get("outcome", "accept")
    status = job["status"] if job else "not listed"
    if status not in ("done", "failed"):
        return f"ended as {status}"
    if outcome == "reject" and (status != "failed" or row):
        return f"had to be rejected, but is {status}"
    if outcome in ("accept", "accept_partial") and (status != "done" or not row):
        return f"had to be accepted, but is {status} ({job.get('reason')})"
    if status == "failed" and not job.get("reason"):
        return "was rejected without a reason"
    if outcome == "accept" and item.get("duration_s") is not None:
        got, expected = row["audio_ms"] / 1000, item["duration_s"]
        padding = MP3_PADDING_SAMPLES / item["sample_rate"] if item["codec"] == "mp3" else 0
        if not -LENGTH_TOLERANCE_S <= got - expected <= LENGTH_TOLERANCE_S + padding:
            return f"is {got:.3f} s long instead of {expected:.3f} s"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transcribe", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("corpus", type=pathlib.Path)
    arguments = parser.parse_args()
    lines = (arguments.corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    is_english = lambda item: item.get("language") in ("en", None)
    groups = {"tiny.en": [i for i in items if is_english(i)], "base": [i for i in items if not is_english(i)]}
    wrong, pooled, by_kind, invented, rejected, checked = [], [0, 0], collections.defaultdict(lambda: [0, 0, 0]), [], [], 0
    for model, group in groups.items():
        with tempfile.TemporaryDirectory() as folder:
            summary, status, recordings, segments = transcribe(
                arguments.transcribe.resolve(), arguments.models.resolve(), model, group, arguments.corpus,
                pathlib.Path(folder))
        audio, cpu = summary["audio_seconds"], summary["cpu_seconds"]
        print(f"{model}: {len(group)} items, {audio / 60:.1f} min of audio, {cpu:.0f} CPU s, "
              f"{audio / max(cpu, 1):.1f} audio seconds per CPU second, {summary['wall_seconds']:.0f} s")
        for item in group:
            identity = f"file-{item['sha256'][:32]}"
            job, row = status.get(identity), recordings.get(identity)
            checked += 1
            problem = check_outcome(item, job, row)
            if problem:
                wrong.append(f"{item['file']} {problem}")
            if item["kind"] == "broken":
                detail = f"{row['audio_ms']} ms, review: {row['review_reasons']}" if row else (job or {}).get("reason")
                rejected.append((item["file"], item["expected"]["outcome"], (job or {}).get("status"), detail))
            if row is None:
                continue
            if item["kind"] == "nonspeech":
                for segment in segments[identity]:
                    if segment["text"] and not segment["suppressed"]:
                        invented.append((item["file"], segment["start_ms"], segment["end_ms"], segment["text"]))
            # Labels of single recordings are digits, not sentences.
            is_text = item["reference_kind"] not in ("none", "label")
            if item["kind"] != "broken" and item.get("reference") and is_text:
                normalise = ENGLISH if item["language"] == "en" else BASIC
                edits, words = errors(item["reference"], row["text"] or "", normalise)
                entry = by_kind[(item["language"], item["kind"], item["reference_kind"])]
                entry[0] += edits
                entry[1] += words
                entry[2] += 1
                if item["language"] == "en" and item["reference_kind"] == "exact_human" and item["file"].startswith("read/"):
                    pooled[0] += edits
                    pooled[1] += words

    print("\nerror rate (words; characters for languages without spaces)")
    for (language, kind, reference), (edits, words, count) in sorted(by_kind.items()):
        print(f"  {language} {kind:15} {reference:19} {count:3} items {edits:5}/{words:<6} {edits / max(words, 1):6.1%}")
    print("\ndamaged files")
    for file, outcome, state, detail in rejected:
        print(f"  {file:45} {outcome:17} {state}: {detail}")
    print("\nwords invented where nobody speaks")
    for file, start, end, text in invented:
        print(f"  {file:45} {start / 1000:7.1f}-{end / 1000:<7.1f} {text}")
    print(f"  {len(invented)} segments")
    rate = pooled[0] / max(pooled[1], 1)
    print(f"\nword error rate, exact English references under read/: {pooled[0]}/{pooled[1]} = {rate:.2%} "
          f"(at most {MOST_WORD_ERRORS:.1%})")
    if not pooled[1] or rate > MOST_WORD_ERRORS:
        wrong.append(f"the word error rate is {rate:.2%}")
    if checked != len(items):
        wrong.append(f"{checked} of {len(items)} items were run")
    for problem in wrong:
        print(f"WRONG: {problem}")
    print(f"{checked - len(wrong)} passed, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

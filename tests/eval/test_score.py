"""Scoring, without models: what is an edit, how edits are pooled, what is invented, late, twice or misplaced."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from . import audio, normalise, score
from .heard import Heard, Span
from .manifest import Item


def item(**fields):
    given = {"name": "a.wav", "path": Path("a.wav"), "group": "read", "kind": "speech", "sha256": "0" * 64}
    return Item(**{**given, **fields})


def said(*spans):
    """(start, end, word[, channel]) as a transcript of one segment for each word."""
    words = [Span(*span) for span in spans]
    return Heard(segments=words, words=words, language="en")


class Edits(unittest.TestCase):
    def test_spelling_case_and_punctuation_are_no_errors(self):
        self.assertEqual(score.edits("I WON'T PAY TWENTY DOLLARS", "I will not pay $20.", "en"), (0, 5))

    def test_a_wrong_a_missing_and_an_added_word_are_one_edit_each(self):
        self.assertEqual(score.edits("a cat sat there", "a dog sat", "de"), (2, 4))
        self.assertEqual(score.edits("a cat sat", "oh a cat sat", "de"), (1, 3))
        self.assertEqual(score.edits("a cat sat", "", "de"), (3, 3))

    def test_japanese_counts_characters_without_width_punctuation_and_spaces(self):
        self.assertEqual(score.edits("「Ｋは、きいた。」", "Kは きいた", "ja"), (0, 5))
        self.assertEqual(score.edits("ブランコ乗り", "プランコ乗り", "ja"), (1, 6))

    def test_names_are_counted_where_they_are_said_and_where_they_are_not(self):
        spoken = item(reference="MYRA CALLED JEFF AND MYRA", reference_kind="exact_human", language="en")
        heard = said((0, 1, "Myra"), (1, 2, "called"), (2, 3, "Geoff"), (3, 4, "and"), (4, 5, "Mira,"), (5, 6, "Kara."))
        found = score.score(spoken, heard, ["Myra", "Jeff", "Kara", "Bo"])
        self.assertEqual((found["names"], found["names_right"], found["names_invented"]), (3, 1, 1))
        self.assertEqual(score.occurrences("田中", "はい、田中です。田中", "ja"), 2)

    def test_digits_are_compared_however_they_are_grouped(self):
        self.assertEqual(score.edits("zero seven one six", "07 16", "en", as_digits=True), (0, 4))
        self.assertEqual(score.edits("zero seven one six", "0, 7, 1. Sex.", "en", as_digits=True), (1, 4))

    def test_probabilities_are_compared_with_the_share_of_right_words(self):
        words = [Span(at, at + 1, word, probability=sure) for at, (word, sure) in enumerate([("a", 0.95), ("dog", 0.35)])]
        bins = score.calibration("a cat", words)
        self.assertEqual((bins[9], bins[3]), ([1, 0.95, 1], [1, 0.35, 0]))
        self.assertAlmostEqual(score.calibration_error(bins), (0.05 + 0.35) / 2)
        pooled = score.pool([{"calibration": bins}, {"calibration": bins}])
        self.assertEqual(pooled["calibration"][9], [2, 1.9, 2])
        self.assertIsNone(score.calibration_error(score.calibration("a cat", [])))

    def test_rates_are_pooled_over_words_not_over_items(self):
        pooled = score.pool([{"edits": 1, "words": 1}, {"edits": 0, "words": 99}, {"status": "done"}])
        self.assertEqual((pooled["rate"], pooled["items"]), (0.01, 3))


class Invented(unittest.TestCase):
    def test_suppressed_text_counts_apart(self):
        heard = Heard(segments=[Span(0, 1, "Thank you."), Span(1, 2, "Bye bye now", suppressed="loop")])
        figures = score.score(item(group="nonspeech", reference=""), heard)
        self.assertEqual((figures["invented"], figures["invented_suppressed"]), (2, 3))

    def test_sounds_in_brackets_are_words_and_japanese_counts_characters(self):
        self.assertEqual(normalise.count_words("[Music] ... ♪"), 1)
        self.assertEqual(normalise.count_words("ご視聴ありがとう。 OK"), 9)


class Padded(unittest.TestCase):
    def figures(self, *words):
        line = audio.pink_noise(20.0, -66.0, seed=5)
        for start in (3.5, 14.0):
            at = int(start * audio.RATE)
            line[at : at + audio.RATE] += 0.1 * np.sin(np.arange(audio.RATE) * 0.3).astype(np.float32)
        segments = [{"start": 3.0, "end": 5.0, "text": "one"}, {"start": 13.0, "end": 16.0, "text": "two"}]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "padded.wav"
            audio.write(path, line)
            return score.padded(item(group="padded", path=path, segments=segments), said(*words))

    def test_the_first_word_of_each_stretch_is_timed_from_the_voice_not_from_the_clip(self):
        figures = self.figures((3.55, 4.0, "one"), (13.8, 14.5, "two"))
        self.assertEqual(figures, {"outside": 0, "onset_ms": [50, -200]})

    def test_a_word_on_the_line_is_outside_and_a_stretch_without_words_is_told(self):
        figures = self.figures((3.5, 4.0, "one"), (8.0, 8.5, "thanks"))
        self.assertEqual(figures, {"outside": 1, "onset_ms": [0, None]})


class Channels(unittest.TestCase):
    CALL = dict(
        language="en", reference="hello there good day", reference_left="hello there", reference_right="good day",
        segments=[{"start": 0, "end": 2, "channel": "left"}, {"start": 3, "end": 5, "channel": "right"}],
    )  # fmt: skip

    def test_each_channel_has_its_own_reference(self):
        heard = said((0, 1, "hello", "left"), (1, 2, "there", "left"), (3, 4, "good", "right"), (4, 5, "bay", "right"))
        figures = score.channels(item(**self.CALL), heard)
        self.assertEqual((figures["channel_edits"], figures["channel_words"]), (1, 4))
        self.assertEqual((figures["wrong_channel"], figures["doubled"]), (0, 0))

    def test_a_word_heard_on_both_sides_is_double_and_on_the_wrong_side(self):
        heard = said((0, 1, "Hello,", "left"), (0.2, 1.1, "hello", "right"), (3, 4, "good", "right"))
        figures = score.channels(item(**self.CALL), heard)
        self.assertEqual((figures["wrong_channel"], figures["doubled"]), (1, 1))

    def test_a_word_of_ones_own_reference_is_on_the_right_side_however_it_is_timed(self):
        heard = said((0, 1, "Hello", "left"), (3, 4, "there.", "left"), (3.1, 4, "bay", "left"))
        self.assertEqual([word.text for word in score.on_wrong_channel(item(**self.CALL), heard.words)], ["bay"])

    def test_the_same_word_later_is_not_double(self):
        self.assertEqual(score.doubled(said((0, 1, "yes", "left"), (3, 4, "yes", "right")).words), [])


class Keywords(unittest.TestCase):
    def test_they_are_found_whatever_their_case_and_spaces(self):
        heard = Heard(segments=[Span(0, 1, "We Filled  out, the form; お 客様")])
        self.assertEqual(score.keywords_found(item(keywords=["filled out", "お客様", "car"]), heard), 2)


if __name__ == "__main__":
    unittest.main()

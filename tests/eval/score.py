"""Figures of one item and of a group. Error rates are pooled: all edits over all words of the references."""

from rapidfuzz.distance import Levenshtein

from . import audio, normalise

# A word is outside the speech when its middle is further than this from every stretch of speech (seconds).
SPEECH_MARGIN_S = 0.25
# The first word of a stretch of speech is looked for this far around it.
ONSET_SEARCH_S = 1.0
# The same word on both channels within this time was said once.
DOUBLED_WITHIN_S = 0.5
# Words are sorted by their probability into so many bins.
BINS = 10


def edits(reference, text, language, as_digits=False):
    """(edits, words of the reference); characters in languages without spaces, digits where they are what counts."""
    split = normalise.digits if as_digits else lambda text: normalise.tokens(text, language)
    reference, text = split(reference), split(text)
    return Levenshtein.distance(reference, text), len(reference)


def score(item, heard, terms=()):
    """What can be said of an item: a flat dictionary, with keys only for what applies. `terms` are names to look for."""
    figures = {"status": heard.status, "cpu_s": heard.cpu_s, "audio_s": item.duration_s, "text": heard.text()}
    figures["segments"] = sum(bool(span.text) for span in heard.segments)
    figures["suppressed"] = sum(bool(span.text and span.suppressed) for span in heard.segments)
    figures["retried"], figures["windows"] = heard.retried, heard.windows
    if item.kind == "broken":
        return figures
    if item.has_reference:
        as_digits = item.reference_kind == "label"
        figures["edits"], figures["words"] = edits(item.reference, heard.text(), item.language, as_digits)
        if terms:
            figures |= names(item, heard, terms)
        if not as_digits and item.language not in normalise.BY_CHARACTER:
            figures["calibration"] = calibration(item.reference, heard.words)
    if item.language:
        figures["language"], figures["language_right"] = heard.language, heard.language == item.language
    if item.group == "nonspeech":
        figures["invented"] = normalise.count_words(heard.text())
        figures["invented_suppressed"] = normalise.count_words(heard.suppressed_text())
    if item.group == "padded":
        figures |= padded(item, heard)
    if item.keywords:
        figures["keywords"], figures["keywords_found"] = len(item.keywords), keywords_found(item, heard)
    if item.reference_left and {span.channel for span in heard.segments} & {"left", "right"}:
        figures |= channels(item, heard)
    return figures


def padded(item, heard):
    """Words outside the speech, and how far the first word of each stretch is from the voice (milliseconds, positive =
    late); None where a stretch has no word."""
    spans = [(segment["start"], segment["end"]) for segment in item.segments]
    words = heard.timed_words()
    near = lambda word, span, margin: span[0] - margin <= word.middle <= span[1] + margin
    outside = [word for word in words if not any(near(word, span, SPEECH_MARGIN_S) for span in spans)]
    errors = []
    for span, onset in zip(spans, audio.onsets(audio.mono(item.path), spans)):
        first = next((word for word in words if near(word, span, ONSET_SEARCH_S)), None)
        errors.append(None if first is None or onset is None else round(1000 * (first.start - onset)))
    return {"outside": len(outside), "onset_ms": errors}


def keywords_found(item, heard):
    """How many of the item's keywords its text has, case, width and spaces folded."""
    text = "".join(normalise.characters(heard.text()))
    return sum("".join(normalise.characters(keyword)) in text for keyword in item.keywords)


def names(item, heard, terms):
    """How often names are said, how often they are written where they are said, and where they are not."""
    said, right, invented = 0, 0, 0
    for term in terms:
        expected, found = (occurrences(term, text, item.language) for text in (item.reference, heard.text()))
        said, right, invented = said + expected, right + min(expected, found), invented + max(found - expected, 0)
    return {"names": said, "names_right": right, "names_invented": invented}


def occurrences(term, text, language):
    """How often a term stands in a text, whole words only where words are written apart."""
    term, text = normalise.tokens(term, language), normalise.tokens(text, language)
    return sum(text[at : at + len(term)] == term for at in range(len(text))) if term else 0


def calibration(reference, words):
    """Of the words of each bin of probability: [how many, sum of the probabilities, how many are right]. A word is right
    when it stands in the reference in its place. Words of two channels are left out: their order is not the reference's."""
    bins = [[0, 0.0, 0] for _ in range(BINS)]
    words = [word for word in words if word.probability is not None and word.channel == "mono"]
    aligned = Levenshtein.opcodes(normalise.keys(reference.split()), normalise.keys(word.text for word in words))
    right = {at for step in aligned if step.tag == "equal" for at in range(step.dest_start, step.dest_end)}
    for at, word in enumerate(words):
        found = bins[min(int(word.probability * BINS), BINS - 1)]
        found[0] += 1
        found[1] += word.probability
        found[2] += at in right
    return bins


def calibration_error(bins):
    """The mean distance of probability and share of right words, each bin by its words; None without words."""
    words = sum(count for count, _, _ in bins)
    return sum(abs(probability - right) for _, probability, right in bins) / words if words else None


def channels(item, heard):
    """A call of two parties: errors of each channel by its own reference, words on the wrong channel, words twice."""
    figures = {"channel_edits": 0, "channel_words": 0}
    for channel, reference in (("left", item.reference_left), ("right", item.reference_right)):
        wrong, words = edits(reference, heard.text(channel), item.language)
        figures[f"{channel}_edits"], figures[f"{channel}_words"] = wrong, words
        figures["channel_edits"] += wrong
        figures["channel_words"] += words
    figures["wrong_channel"] = len(on_wrong_channel(item, heard.timed_words()))
    figures["doubled"] = len(doubled(heard.timed_words()))
    return figures


def on_wrong_channel(item, words):
    """The words in whose middle only the other party speaks. Those that stand in the reference of their own channel are
    where they belong, however they are timed."""
    wrong = []
    for channel, reference in (("left", item.reference_left), ("right", item.reference_right)):
        own = [word for word in words if word.channel == channel]
        aligned = Levenshtein.opcodes(normalise.keys(reference.split()), normalise.keys(word.text for word in own))
        expected = {at for step in aligned if step.tag == "equal" for at in range(step.dest_start, step.dest_end)}
        wrong += [word for at, word in enumerate(own) if at not in expected and others_turn(item.segments, word)]
    return wrong


def others_turn(turns, word):
    """Whether somebody speaks in the middle of a word, and nobody on its channel within a margin."""
    apart = lambda turn: max(turn["start"] - word.middle, word.middle - turn["end"])
    somebody = any(apart(turn) <= 0 for turn in turns)
    own = any(apart(turn) <= SPEECH_MARGIN_S for turn in turns if turn["channel"] == word.channel)
    return somebody and not own


def doubled(words):
    """The words of the right channel that are also on the left at the same time, each word of the left taken once."""
    left = [word for word in words if word.channel == "left"]
    left = list(zip(left, normalise.keys(word.text for word in left)))
    right = [word for word in words if word.channel == "right"]
    found = []
    for word, key in zip(right, normalise.keys(word.text for word in right)):
        same = (pair for pair in left if pair[1] == key and abs(pair[0].middle - word.middle) <= DOUBLED_WITHIN_S)
        twin = next(same, None) if key else None
        if twin:
            left.remove(twin)
            found.append(word)
    return found


SUMMED = (
    "edits", "words", "channel_edits", "channel_words", "invented", "invented_suppressed", "outside", "wrong_channel",
    "doubled", "keywords", "keywords_found", "names", "names_right", "names_invented", "segments", "suppressed", "retried",
    "windows", "cpu_s", "audio_s",
)  # fmt: skip


def pool(scores):
    """The figures of items together: sums, rates of sums, the worst onset. A sum is there when an item has it."""
    total = {"items": len(scores)}
    for key in SUMMED:
        values = [score[key] for score in scores if score.get(key) is not None]
        if values:
            total[key] = sum(values)
    for rate, count, of in (("rate", "edits", "words"), ("channel_rate", "channel_edits", "channel_words")):
        if total.get(of):
            total[rate] = total[count] / total[of]
    right = [score["language_right"] for score in scores if "language_right" in score]
    if right:
        total["languages"], total["languages_right"] = len(right), sum(right)
    bins = [score["calibration"] for score in scores if "calibration" in score]
    if bins:
        total["calibration"] = [[sum(column) for column in zip(*same)] for same in zip(*bins)]
        total["calibration_error"] = calibration_error(total["calibration"])
    onsets = [error for score in scores for error in score.get("onset_ms", ())]
    if onsets:
        total["worst_onset_ms"] = None if None in onsets else max(onsets, key=abs)
    if total.get("windows") and total.get("audio_s"):
        total["windows_per_minute"] = total["windows"] / (total["audio_s"] / 60)
    return total

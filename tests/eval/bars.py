"""What must hold. Each bar is a sentence with a figure and a limit; `met` is None where it was not measured."""

from dataclasses import dataclass

from . import outcome, score

# A recording shorter than this may be too short to tell its language.
LANGUAGE_FROM_S = 5.0
ONSET_MS = 200
OVERLAP_RATIO = 0.8
READ_ABOVE_PEER = 0.003
JAPANESE_ABOVE_PEER = 0.03
LONGEST_READ_AT_MOST = 0.056
# With the small English model (`--quick`).
QUICK_READ_AT_MOST = 0.065
REFERENCE_PEER = "faster-whisper"


@dataclass
class Bar:
    """One bar: what it asks, whether it is met, the figure and the limit in words."""

    what: str
    met: bool | None
    figure: str
    limit: str


def all_bars(main, chapter, different, quick=False):
    """The bars of a run. `main` and `chapter` are (items, {engine: {item name: score}}, {engine: {name: heard}});
    `chapter` may be None, `different` the tables that differ between two runs, None where only one was made."""
    items, scores, heard = main
    problems = [(item.name, outcome.problem(item, heard["ours"][item.name])) for item in items]
    problems = [f"{name} {problem}" for name, problem in problems if problem]
    figure = "; ".join(problems) or f"{len(items)} items"
    met = not problems if items else None
    found = [Bar("every item ends as it should", met, figure, "no other")]
    ours, peer = scores["ours"], scores.get(REFERENCE_PEER, {})
    if quick:
        rate = pooled_rate(ours, of_group(items, "read"))
        return found + [at_most("read: word error rate", rate, QUICK_READ_AT_MOST)]
    found += non_speech(items, ours) + padded(items, ours) + read(items, ours, peer)
    if chapter:
        rate = pooled_rate(chapter[1]["ours"], [item.name for item in chapter[0]])
        found.append(at_most("the longest read item with the small English model", rate, LONGEST_READ_AT_MOST))
    found += calls(items, ours) + languages(items, ours, peer)
    japanese = of_group(items, "japanese")
    limit = above(peer, japanese, JAPANESE_ABOVE_PEER)
    found.append(at_most("japanese: character error rate", pooled_rate(ours, japanese), limit))
    if different is not None:
        found.append(Bar("two runs give the same rows", not different, ", ".join(different) or "equal", "equal"))
    return found


def non_speech(items, ours):
    names = of_group(items, "nonspeech")
    return [count_is_zero("nonspeech: words", names, ours, "invented")]


def padded(items, ours):
    names = of_group(items, "padded")
    errors = [(ours[name]["onset_ms"] or [None])[0] for name in names]
    limit = f"within {ONSET_MS} ms"
    if not names:
        onset = Bar("padded: first word", None, "not run", limit)
    else:
        met = all(error is not None and abs(error) <= ONSET_MS for error in errors)
        onset = Bar("padded: first word", met, ", ".join(map(milliseconds, errors)), limit)
    return [count_is_zero("padded: words outside the speech", names, ours, "outside"), onset]


def read(items, ours, peer):
    names = of_group(items, "read")
    limit = above(peer, names, READ_ABOVE_PEER)
    return [at_most("read: word error rate", pooled_rate(ours, names), limit)]


def calls(items, ours):
    """Bars of calls on two channels: simulated, overlapping, with bleed."""
    stereo = lambda group: [item for item in items if item.group == group and "channel_edits" in ours[item.name]]
    expected = lambda group: any(item.group == group and item.reference_left for item in items)
    found = []
    for group, factor in (("simulated_call", 1.0), ("overlap", OVERLAP_RATIO)):
        what = f"{group}: per-channel error rate"
        both = stereo(group)
        if not both:
            met = False if expected(group) else None
            found.append(Bar(what, met, "no channels" if expected(group) else "not run", f"{factor:g} × mono"))
            continue
        apart = score.pool([ours[item.name] for item in both])["channel_rate"]
        mono = pooled_rate(ours, [item.mono for item in both])
        found.append(at_most(what, apart, None if mono is None else factor * mono))
    found.append(count_is_zero("simulated_call: words on the wrong channel", names_of(stereo("simulated_call")), ours,
                               "wrong_channel"))  # fmt: skip
    found.append(count_is_zero("bleed: words on both channels", names_of(stereo("bleed")), ours, "doubled"))
    return found


def languages(items, ours, peer):
    spoken = [item for item in items if item.language and item.kind != "broken"]
    judged = [
        item
        for item in spoken
        if item.reference_kind not in ("tts_text", "label") and (item.duration_s or 0) >= LANGUAGE_FROM_S
    ]
    wrong = [f"{item.name} as {ours[item.name]['language']}" for item in judged if not right(ours, item)]
    lost = [item.name for item in spoken if item.name in peer and right(peer, item) and not right(ours, item)]
    met = not wrong if judged else None
    figure = f"{len(judged) - len(wrong)} of {len(judged)}" + (f": {'; '.join(wrong)}" if wrong else "")
    figure = figure if judged else "not run"
    long_enough = Bar(f"language of items of {LANGUAGE_FROM_S:g} s or more", met, figure, "all")
    compared = sum(item.name in peer for item in spoken)
    met = not lost if compared else None
    figure = (", ".join(lost) or f"none of {compared}") if compared else "not run"
    return [long_enough, Bar(f"language wrong where {REFERENCE_PEER} is right", met, figure, "none")]


def right(scores, item):
    return scores[item.name]["language_right"]


def of_group(items, group):
    return [item.name for item in items if item.group == group]


def names_of(items):
    return [item.name for item in items]


def pooled_rate(scores, names):
    """The pooled error rate of some items; None where one of them was not run."""
    if not names or any(name not in scores for name in names):
        return None
    return score.pool([scores[name] for name in names]).get("rate")


def above(peer, names, margin):
    rate = pooled_rate(peer, names)
    return None if rate is None else rate + margin


def at_most(what, rate, limit):
    met = None if rate is None or limit is None else rate <= limit
    figure = "not run" if rate is None else f"{rate:.2%}"
    return Bar(what, met, figure, "not known" if limit is None else f"at most {limit:.2%}")


def count_is_zero(what, names, scores, key):
    if not names:
        return Bar(what, None, "not run", "0")
    total = sum(scores[name][key] for name in names)
    return Bar(what, total == 0, str(total), "0")


def milliseconds(error):
    return "no word" if error is None else f"{error:+d} ms"

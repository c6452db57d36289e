"""Tables for people, JSON for comparing with the last run."""

from . import score

# Heading and how a cell is made from the pooled figures of a group.
COLUMNS = (
    ("items", lambda pooled: str(pooled["items"])),
    ("audio", lambda pooled: f"{pooled['audio_s'] / 60:.1f} min" if pooled.get("audio_s") else ""),
    ("errors", lambda pooled: f"{pooled['edits']}/{pooled['words']}" if pooled.get("words") else ""),
    ("rate", lambda pooled: percent(pooled.get("rate"))),
    ("per channel", lambda pooled: percent(pooled.get("channel_rate"))),
    ("wrong ch.", lambda pooled: number(pooled.get("wrong_channel"))),
    ("twice", lambda pooled: number(pooled.get("doubled"))),
    ("invented", lambda pooled: number(pooled.get("invented", pooled.get("outside")))),
    ("onset", lambda pooled: onset(pooled)),
    ("language", lambda pooled: share(pooled, "languages_right", "languages")),
    ("keywords", lambda pooled: share(pooled, "keywords_found", "keywords")),
    ("names", lambda pooled: share(pooled, "names_right", "names")),
    ("not said", lambda pooled: number(pooled.get("names_invented"))),
    ("word prob. off by", lambda pooled: percent(pooled.get("calibration_error"))),
    ("suppressed", lambda pooled: share(pooled, "suppressed", "segments")),
    ("retried", lambda pooled: number(pooled.get("retried"))),
    ("windows/min", lambda pooled: f"{pooled['windows_per_minute']:.1f}" if "windows_per_minute" in pooled else ""),
    ("CPU s", lambda pooled: f"{pooled['cpu_s']:.0f}" if "cpu_s" in pooled else ""),
)


def group_rows(items, scores):
    """{group: {engine: pooled figures}} in the order of the groups of the items."""
    groups = {}
    for group in dict.fromkeys(item.group for item in items):
        names = [item.name for item in items if item.group == group]
        rows = {engine: [by_name[name] for name in names if name in by_name] for engine, by_name in scores.items()}
        groups[group] = {engine: score.pool(found) for engine, found in rows.items() if found}
    return groups


def table(rows, headings, markdown=False):
    """Lines of a table; columns without any content are left out."""
    used = [index for index in range(len(headings)) if any(row[index] for row in rows)]
    cells = [[row[index] for index in used] for row in [headings, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(used))]
    lines = []
    for number_of_line, row in enumerate(cells):
        padded = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append(f"| {' | '.join(padded)} |" if markdown else "  ".join(padded).rstrip())
        if markdown and number_of_line == 0:
            lines.append("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def groups_table(groups, markdown=False):
    headings = ["group", "engine", *(heading for heading, _ in COLUMNS)]
    rows = [
        [group, engine, *(cell(pooled) for _, cell in COLUMNS)]
        for group, engines in groups.items()
        for engine, pooled in engines.items()
    ]
    return table(rows, headings, markdown)


def items_table(items, scores):
    """Every item under every engine, with both texts where ours has more errors than a peer."""
    lines = []
    headings = ["item", "engine", *(heading for heading, _ in COLUMNS[1:])]
    rows = []
    for item in items:
        for engine, by_name in scores.items():
            if item.name in by_name:
                pooled = score.pool([by_name[item.name]])
                rows.append([item.name, engine, *(cell(pooled) for _, cell in COLUMNS[1:])])
    lines += table(rows, headings)
    for item in items:
        ours = scores["ours"].get(item.name, {})
        for engine, by_name in scores.items():
            theirs = by_name.get(item.name, {})
            if theirs.get("edits", ours.get("edits", 0)) < ours.get("edits", 0):
                lines += [
                    "", f"{item.name}: {ours['edits']} errors, {engine} {theirs['edits']}",
                    f"  reference: {item.reference}", f"  ours: {ours['text']}", f"  {engine}: {theirs['text']}",
                ]  # fmt: skip
    return lines


def invented(items, scores):
    """Every word that counts where nobody speaks."""
    for item in items:
        text = scores["ours"].get(item.name, {}).get("text")
        if item.group == "nonspeech" and text:
            yield f"  {item.name}: {text}"


def bars_table(bars, markdown=False):
    verdict = {True: "met", False: "not met", None: "not measured"}
    rows = [[verdict[bar.met], bar.what, bar.figure, bar.limit] for bar in bars]
    return table(rows, ["", "bar", "figure", "limit"], markdown)


def changes(groups, earlier):
    """What is different for us from an earlier run, group by group, where both ran the same number of items."""
    keys = (
        "rate", "channel_rate", "invented", "outside", "worst_onset_ms", "wrong_channel", "doubled", "languages_right",
        "keywords_found", "suppressed", "retried", "windows",
    )  # fmt: skip
    for group, engines in groups.items():
        now, then = engines.get("ours", {}), earlier.get(group, {}).get("ours", {})
        if not now or now["items"] != then.get("items"):
            continue
        moved = [key for key in keys if now.get(key) != then.get(key)]
        show = lambda key, value: percent(value) or "none" if key.endswith("rate") else str(value)
        for key in moved:
            yield f"  {group}: {key} {show(key, then.get(key))} -> {show(key, now.get(key))}"


def percent(rate):
    return "" if rate is None else f"{rate:.2%}"


def number(value):
    return "" if value is None else str(value)


def share(pooled, part, whole):
    return f"{pooled[part]}/{pooled[whole]}" if pooled.get(whole) else ""


def onset(pooled):
    if "worst_onset_ms" not in pooled:
        return ""
    worst = pooled["worst_onset_ms"]
    return "no word" if worst is None else f"{worst:+d} ms"

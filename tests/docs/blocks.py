"""What stands in the documentation: fenced blocks and their commands, code between backticks, headings, links.

Only the standard library: the quick start needs it before anything is installed.
"""

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]

FENCE = re.compile(r"( *)```([a-z]*)\n(.*?)\n\1```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(^|\s+)# .*$")
# Minute, hour, day, month, day of the week, command.
CRON = re.compile(r"(?:\S+\s+){5}(.*)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text without indentation, and the line on which it begins."""

    document: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Step:
    """One thing that a reader does: a command of a shell, a line of cron, or the queries of a block."""

    document: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.document}:{self.line}: {self.text}"


def name(path):
    return path.relative_to(PROJECT).as_posix()


def blocks(path):
    """The fenced blocks of a document, in order."""
    text = path.read_text()
    found = []
    for fence in FENCE.finditer(text):
        indent, language, inside = fence.groups()
        line = text.count("\n", 0, fence.start()) + 2
        found.append(Block(name(path), line, language, inside.replace("\n" + indent, "\n").removeprefix(indent)))
    return found


def steps(path):
    """What a reader of the document executes, in order."""
    found = []
    for block in blocks(path):
        if block.language in ("sh", "cron"):
            found += [Step(block.document, line, block.language, text) for line, text in commands(block)]
        elif block.language == "sql":
            found.append(Step(block.document, block.line, "sql", block.text))
    return found


def commands(block):
    """The commands of a block with their lines: without comments, a line that goes on in the next one as one."""
    found, begun = [], ""
    for number, line in enumerate(block.text.split("\n"), start=block.line):
        begun += COMMENT.sub("", line).strip()
        if begun.endswith("\\"):
            begun = begun[:-1].rstrip() + " "
            continue
        if begun:
            found.append((number, CRON.fullmatch(begun)[1] if block.language == "cron" else begun))
        begun = ""
    return found


def section(path, heading):
    """The blocks of one part of a document: below `heading`, up to the next one of any level."""
    text = path.read_text()
    inside, begin, end = False, None, text.count("\n") + 1
    for number, line in enumerate(without_fences(text).split("\n"), start=1):
        if re.match(r"#+ ", line):
            if inside:
                end = number
                break
            inside = line.lstrip("# ") == heading
            begin = number if inside else begin
    if begin is None:
        raise ValueError(f"{name(path)} has no section {heading!r}")
    return [block for block in blocks(path) if begin < block.line < end]


def without_fences(text):
    """The text with as many lines, those of fenced blocks empty."""
    return FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)


def codes(path):
    """What stands between backticks outside of blocks, line breaks as spaces."""
    return [re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", without_fences(path.read_text()))]


def links(path):
    """The targets of the links outside of blocks and code."""
    text = re.sub(r"`[^`]*`", "", without_fences(path.read_text()))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(path):
    """The anchors of the headings, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ (.*)$", without_fences(path.read_text()), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return found

"""Troubleshooting and exit codes are those of the program: messages occur in its source, and some are provoked."""

import platform
import re
import subprocess
import tempfile
import unittest

from .blocks import PROJECT, without_fences
from .session import BUILT, needed

TROUBLESHOOTING = PROJECT / "docs" / "troubleshooting.md"

# Instructions of another kind of processor.
OTHER_ISA = "neon" if platform.machine() == "x86_64" else "avx2"

# What is typed, what stands in the environment besides, and the documented message that comes of it.
PROVOKED = [
    ("--set stt.modle=base", {}, "…: there is no key …; did you mean …?"),
    ("--set stt.workers=many", {}, "…: … = … is not valid: …"),
    ("--since yesterday", {},
     "--since …: it must be a duration before now (26h, 7d), a date (2026-11-01) or RFC 3339"),
    ("config show", {"TRANSCRIBE__ZOOM__CLIENT_SECRET": "x"},
     "…: … is a secret and must not stand in a file; set … or …_FILE in the environment"),
    ("check", {}, "… is not set"),
    ("check", {"ZOOM_ACCOUNT_ID_FILE": "none"}, "…_FILE names …, which cannot be read"),
    ("--config none.toml", {}, "the configuration file … cannot be read"),
    ("--dir .", {}, "model … is missing (…): run transcribe models pull …"),
    ("check", {"TRANSCRIBE__STT__ISA": OTHER_ISA}, "stt.isa is \"…\", which this processor does not have"),
    ("events --follow", {}, "no transcribe serve answers at …"),
    ("export aa --as vtt", {}, "not found: … is not in the lake at …"),
    ("purge --recording aa", {}, "what is purged is gone for good: say --yes, or --plan to see how much it is"),
    ("purge --phone 03-5550-0123", {}, "--phone …: it must be a whole telephone number"),
]  # fmt: skip


def cells():
    """The rows of the tables of the document, as lists of cells."""
    lines = without_fences(TROUBLESHOOTING.read_text()).split("\n")
    return [re.split(r" *\| *", line.strip("| ")) for line in lines if line.startswith("|")]


def messages():
    return [code for row in cells() for code in re.findall(r"`([^`]+)`", row[0])]


def spoken(source):
    """The texts of a Rust source as they are printed: literals, lines joined, placeholders and backticks left out."""
    found = []
    for literal in re.findall(r'"((?:[^"\\]|\\.)*)"', source, re.DOTALL):
        text = re.sub(r"\\\n\s*", "", literal).replace('\\"', '"').replace("`", "")
        found.append(re.sub(r"\{[^{}]*\}", "…", text))
    return found


def fragments(message):
    """The parts of a message that are the same every time, without those that are punctuation only."""
    parts = [part.strip(' :;,()="') for part in message.split("…")]
    return [part for part in parts if re.search(r"[^\W_]{2}", part)]


class Messages(unittest.TestCase):
    def test_every_message_is_one_of_the_program(self):
        texts = [text for path in (PROJECT / "src").rglob("*.rs") for text in spoken(path.read_text())]
        self.assertGreater(len(messages()), 60)
        for message in messages():
            with self.subTest(message=message):
                self.assertTrue(fragments(message))
                for fragment in fragments(message):
                    self.assertTrue(any(fragment in text for text in texts), f"nothing says {fragment!r}")

    def test_messages_come_as_they_are_written(self):
        for typed, environment, message in PROVOKED:
            with self.subTest(typed=typed), tempfile.TemporaryDirectory() as folder:
                command = [needed(BUILT / "transcribe"), *typed.split()]
                told = subprocess.run(
                    command, cwd=folder, env={**environment, "HOME": folder}, capture_output=True, text=True,
                    stdin=subprocess.DEVNULL, timeout=60, check=False,
                )  # fmt: skip
                self.assertIn(message, messages())
                printed = (told.stdout + told.stderr).replace("`", "")
                self.assertRegex(printed, ".*".join(map(re.escape, message.split("…"))))
                self.assertNotEqual(told.returncode, 0)

    def test_every_reason_of_a_failure_is_explained(self):
        source = (PROJECT / "src" / "domain" / "work.rs").read_text()
        source = source[source.index("pub enum Reason") :]
        reasons = set(re.findall(r'Self::\w+ => "([a-z_]+)"', source))
        self.assertGreater(len(reasons), 15)
        self.assertEqual(reasons - set(messages()), set())


class ExitCodes(unittest.TestCase):
    def test_the_table_has_the_codes_of_the_program(self):
        source = (PROJECT / "src" / "pipeline" / "exit_code.rs").read_text()
        codes = set(re.findall(r"Self::\w+ => (\d+),", source))
        table = set(re.findall(r"^\| (\d+) \|", (PROJECT / "docs" / "operating.md").read_text(), re.MULTILINE))
        self.assertEqual(table, codes)


if __name__ == "__main__":
    unittest.main()

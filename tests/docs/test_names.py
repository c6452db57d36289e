"""What stands between backticks exists, and documented settings are accepted."""

import re
import subprocess
import tempfile
import unittest

from .blocks import DOCUMENTS, PROJECT, blocks, codes, name
from .session import BUILT, needed

# What names the tests that hold it.
NAME_TESTS = [PROJECT / "docs" / "guarantees.md", PROJECT / "SECURITY.md"]


def program(*arguments):
    """What the program says."""
    command = [needed(BUILT / "transcribe"), *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env={})
    return told.stdout + told.stderr


class Names(unittest.TestCase):
    """The program, the Makefile and the tests know them."""

    def test_commands_have_the_options_that_are_named(self):
        helps = {}
        for path in DOCUMENTS:
            for code in codes(path):
                words = code.split()
                if words[0] != "transcribe":
                    continue
                # Up to two words of lower-case letters are a subcommand: `models pull`, `serve`.
                command = re.match(r"transcribe((?: [a-z][a-z-]*){0,2})", code)[1].split()
                command = command[:2] if command[:1] in (["auth"], ["config"], ["lake"], ["models"]) else command[:1]
                helped = helps.get(tuple(command)) or program(*command, "--help")
                helps[tuple(command)] = helped
                with self.subTest(document=name(path), command=code):
                    self.assertIn("Usage: transcribe " + "".join(word + " " for word in command), helped)
                    for option in re.findall(r"--[a-z-]+", code):
                        self.assertRegex(helped, rf"{option}\b")

    def test_targets_of_make_exist(self):
        makefile = (PROJECT / "Makefile").read_text()
        for path in DOCUMENTS:
            for code in codes(path):
                if code.startswith("make "):
                    with self.subTest(document=name(path), command=code):
                        self.assertRegex(makefile, rf"(?m)^{code.split()[1]}:")

    def test_keys_of_the_configuration_exist(self):
        shown = program("config", "show")
        keys = set(re.findall(r"^([a-z_.]+) = ", shown, re.MULTILINE))
        sections = {key.split(".")[0] for key in keys}
        self.assertGreater(len(sections), 5, shown)
        for path in DOCUMENTS:
            for code in codes(path):
                key = re.match(r"([a-z]+)(\.[a-z0-9_]+)+(?= =|$)", code)
                if key and key[1] in sections and not code.endswith((".toml", ".sqlite", ".rs")):
                    with self.subTest(document=name(path), key=key[0]):
                        self.assertIn(key[0], keys)

    def test_every_section_of_the_configuration_is_described(self):
        sections = set(re.findall(r"^([a-z]+)\.", program("config", "show"), re.MULTILINE))
        operating = (PROJECT / "docs" / "operating.md").read_text()
        table = re.findall(r"^\| `([a-z]+)` \|", operating[operating.index("## Configuration") :], re.MULTILINE)
        self.assertEqual(set(table), sections)

    def test_tests_that_are_named_exist(self):
        sources = [path.read_text() for folder in ("tests", "src") for path in (PROJECT / folder).rglob("*.rs")]
        known = set(re.findall(r"fn ([a-z0-9_]+)", "\n".join(sources)))
        is_name = re.compile(r"[a-z0-9]+(_[a-z0-9]+){3,}").fullmatch
        named = [code for path in NAME_TESTS for code in codes(path) if is_name(code)]
        self.assertGreater(len(named), 50)
        self.assertEqual([test for test in named if test not in known], [])


class Settings(unittest.TestCase):
    """Documented settings are accepted."""

    def shown(self, environment, *arguments):
        command = [needed(BUILT / "transcribe"), "config", "show", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")

    def test_blocks_of_toml_are_configurations(self):
        for path in DOCUMENTS:
            for block in blocks(path):
                if block.language != "toml":
                    continue
                with self.subTest(block=f"{block.document}:{block.line}"), tempfile.TemporaryDirectory() as folder:
                    with open(f"{folder}/pipeline.toml", "w") as file, open(f"{folder}/hash.key", "w") as key:
                        key.write("0" * 64)
                        file.write(block.text.replace("/etc/transcribe/hash.key", key.name))
                    told = self.shown({}, "--config", file.name)
                    self.assertEqual(told.returncode, 0, told.stderr)
                    self.assertIn(file.name, told.stdout)

    def test_units_of_systemd_set_variables_that_are_known(self):
        for path in DOCUMENTS:
            for block in blocks(path):
                found = dict(re.findall(r"\b(TRANSCRIBE__\w+)=(\S+)", block.text)) if block.language == "ini" else {}
                if found:
                    with self.subTest(block=f"{block.document}:{block.line}"):
                        told = self.shown(found)
                        self.assertEqual(told.returncode, 0, told.stderr)


if __name__ == "__main__":
    unittest.main()

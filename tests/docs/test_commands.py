"""Every command and query of the documentation is executed, in the order of its document."""

import unittest

from . import exceptions
from .blocks import DOCUMENTS, Step, blocks, name, steps
from .session import QUICK_START, Session

# What a document takes for granted: a run, views for its queries.
BEFORE = {
    "docs/tables.md": ["transcribe --since 7d"],
    "docs/tuning.md": ["transcribe --since 7d"],
    "docs/privacy.md": ["transcribe --since 7d"],
}
EXECUTED_LANGUAGES = {"sh", "cron", "sql"}


class Commands(unittest.TestCase):
    def execute(self, document, session):
        """Executes all steps of a document; each that fails is told with what it printed."""
        before = [Step(document, 0, "sh", text) for text in BEFORE.get(document, [])]
        (path,) = [path for path in DOCUMENTS if name(path) == document]
        all_steps = before + steps(path)
        with session:
            outcomes = session.execute(all_steps)
        for step, outcome in zip(all_steps, outcomes):
            if outcome is None:
                continue
            with self.subTest(step=str(step)):
                self.assertIsNotNone(outcome.code, f"it did not end, or was not reached; it printed: {outcome.output}")
                self.assertEqual(outcome.code, 0, outcome.output)


def add(path):
    document = name(path)
    label = document.removesuffix(".md").replace("/", "_").replace(".", "_").lower()
    sessions = {"README.md": lambda: Session(QUICK_START, "base"), "docs/fleet.md": lambda: Session(fleet=True)}
    session = sessions.get(document, Session)
    setattr(Commands, f"test_{label}", lambda self: self.execute(document, session()))


for path in DOCUMENTS:
    if steps(path):
        add(path)


class Lists(unittest.TestCase):
    """What is listed as an exception occurs, and every block is either executed or listed."""

    def setUp(self):
        self.steps = [step for path in DOCUMENTS for step in steps(path)]
        self.texts = {step.text for step in self.steps}

    def test_what_is_not_executed_as_it_stands_occurs(self):
        found = self.texts | {(step.document, step.text) for step in self.steps}
        self.assertEqual([listed for listed in [*exceptions.NOT_RUN, *exceptions.IN_PLACE] if listed not in found], [])

    def test_what_is_executed_in_one_document_only_is_executed_there(self):
        found = {(step.document, step.text) for step in self.steps}
        for (document, text), elsewhere in exceptions.RUN_ELSEWHERE.items():
            self.assertIn((document, text), found)
            self.assertIn((elsewhere, text), found)
            self.assertNotIn((elsewhere, text), exceptions.RUN_ELSEWHERE)

    def test_every_block_has_a_language_of_which_it_is_known_what_is_done_with_it(self):
        languages = {block.language for path in DOCUMENTS for block in blocks(path)}
        self.assertEqual(languages - {"toml"} - EXECUTED_LANGUAGES, set(exceptions.SHOWN_ONLY))


if __name__ == "__main__":
    unittest.main()

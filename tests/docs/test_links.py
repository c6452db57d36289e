"""Links lead somewhere, and the README stays short."""

import unittest

from .blocks import DOCUMENTS, PROJECT, anchors, links, name

# Folders that are fetched or built.
NOT_OURS = {".cache", ".git", ".venv", "node_modules", "target"}
ALL = [path for path in sorted(PROJECT.rglob("*.md")) if not NOT_OURS & set(path.relative_to(PROJECT).parts)]
TWO_SCREENS = 120


class Links(unittest.TestCase):
    def test_every_relative_link_leads_to_a_file_and_a_heading_in_it(self):
        for path in ALL:
            for link in links(path):
                if "://" in link or link.startswith("mailto:"):
                    continue
                file, _, anchor = link.partition("#")
                target = (path.parent / file).resolve() if file else path
                with self.subTest(document=name(path), link=link):
                    self.assertTrue(target.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(target))

    def test_every_document_is_linked_from_the_readme(self):
        linked = {(PROJECT / link.partition("#")[0]).resolve() for link in links(PROJECT / "README.md")}
        self.assertEqual([name(path) for path in DOCUMENTS[1:] if path not in linked], [])

    def test_the_readme_is_two_screens(self):
        self.assertLessEqual(len((PROJECT / "README.md").read_text().splitlines()), TWO_SCREENS)


if __name__ == "__main__":
    unittest.main()

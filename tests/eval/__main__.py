"""python -m tests.eval CORPUS: what the program makes of a corpus, beside its peers, and which bars are met.

CORPUS is a folder with manifest.jsonl. Exit codes: 0 all bars that were measured are met, 1 one is not, 2 wrong usage.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from . import bars, items as derived, manifest, ours, peers, report, score

LANGUAGES = "en,ja,es,de,fr,it,nl"
MODEL, SMALL_ENGLISH_MODEL = "base", "tiny.en"


def parse():
    parser = argparse.ArgumentParser(prog="python -m tests.eval", description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--transcribe", type=Path, default=Path("target/debug/transcribe"), help="the program")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="holds models/, wheels/ and eval/")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--languages", default=LANGUAGES, help="languages that may occur, for all engines")
    parser.add_argument("--only", default="", metavar="GROUP[,...]", help=f"of {', '.join(manifest.GROUPS)}, chapter")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="a setting")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="decoders side by side, one thread each")
    parser.add_argument("--twice", action="store_true", help="run twice and compare the rows")
    parser.add_argument("--no-peers", action="store_true", help="run no peer; what is cached of them is shown")
    parser.add_argument("--peers", default=",".join(peers.PEERS), help="which peers")
    parser.add_argument("--fresh-peers", action="store_true", help="measure the peers again")
    parser.add_argument("--compute-type", default="int8", help="of faster-whisper: int8 or float32")
    parser.add_argument("--names", type=Path, help="a file with a name a line: how often each is written as it is said")
    parser.add_argument("--quick", action="store_true", help="only outcomes, and errors with the small English model")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--compare", type=Path, help="an earlier JSON; default: that of the last run")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--report-only", action="store_true", help="exit with 0 whatever the bars say")
    parser.add_argument("-v", "--verbose", action="store_true", help="every item, and where a peer is better")
    arguments = parser.parse_args()
    unknown = set(filter(None, arguments.only.split(","))) - {*manifest.GROUPS, "chapter"}
    if unknown:
        parser.error(f"unknown group: {', '.join(sorted(unknown))}")
    if arguments.quick and arguments.twice:
        parser.error("--quick runs once")
    if not (arguments.corpus / "manifest.jsonl").exists():
        parser.error(f"{arguments.corpus} has no manifest.jsonl")
    return arguments


class Evaluation:
    """One call of this tool: items, engines, and what they made of the items."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.cache = (arguments.cache / "eval").resolve()
        models = (arguments.cache / "models").resolve()
        self.program = ours.Program(arguments.transcribe.resolve(), models, arguments.jobs, arguments.settings)
        items = manifest.load(arguments.corpus)
        self.items = items + derived.derive(items, self.cache / "derived")
        self.wanted = set(filter(None, arguments.only.split(",")))
        self.names = arguments.names.read_text(encoding="utf-8").splitlines() if arguments.names else ()
        self.costs = []

    def selected(self):
        """The items that are wanted and that the model knows the language of."""
        known = lambda item: item.language in (None, "en") or not self.arguments.model.endswith(".en")
        return [item for item in self.items if known(item) and (not self.wanted or item.group in self.wanted)]

    def languages(self):
        return ["en"] if self.arguments.model.endswith(".en") else self.arguments.languages.split(",")

    def longest_read(self):
        """The longest read item in English: a list of one, or none where the corpus has none or it is not wanted."""
        read = [item for item in self.items if item.group == "read"]
        if self.arguments.quick or (self.wanted and "chapter" not in self.wanted):
            return []
        return sorted(read, key=lambda item: -(item.duration_s or 0))[:1]

    def engines(self, items, model, languages, label):
        """(scores, heard), each by engine and item, of one set of settings."""
        run = self.program.run(items, model, languages, self.cache / "runs" / label)
        heard = {"ours": run.heard}
        self.cost(f"{label}: ours, {model}", sum(one.audio_s or 0 for one in run.heard.values()), run.cpu_s)
        heard |= self.peers(items, model, languages, label)
        by_name = {item.name: item for item in items}
        scores = {
            engine: {name: score.score(by_name[name], one, self.names) for name, one in found.items()}
            for engine, found in heard.items()
        }
        return scores, heard

    def peers(self, items, model, languages, label):
        """What the peers made of all items but damaged ones."""
        arguments, found = self.arguments, {}
        whole = [item for item in items if item.kind != "broken"]
        options = peers.Options(
            model, tuple(languages), arguments.compute_type, 1, self.program.models,
            (arguments.cache / "wheels").resolve(), self.cache,
        )  # fmt: skip
        for name in filter(None, arguments.peers.split(",")) if not arguments.quick else ():
            heard = peers.hear(name, whole, options, arguments.jobs, not arguments.no_peers, arguments.fresh_peers)
            if heard:
                found[name] = heard
                audio = sum(item.duration_s or 0 for item in whole if item.name in heard)
                cpu = sum(one.cpu_s for one in heard.values())
                self.cost(f"{label}: {name} {peers.PEERS[name].version()}, {model}", audio, cpu)
        return found

    def cost(self, what, audio, cpu):
        self.costs.append({"what": what, "audio_s": audio, "cpu_s": cpu, "audio_per_cpu_s": audio / max(cpu, 0.01)})

    def main_run(self):
        """The run over all items that are wanted. With --quick the English ones are heard by the small model."""
        items, languages = self.selected(), self.languages()
        if not items:
            return None
        if not self.arguments.quick:
            return (items, *self.engines(items, self.arguments.model, languages, "main"))
        english = [item for item in items if item.language in ("en", None)]
        others = [item for item in items if item not in english]
        scores, heard = {"ours": {}}, {"ours": {}}
        for part, model, allowed in ((english, SMALL_ENGLISH_MODEL, ["en"]), (others, MODEL, languages)):
            if part:
                found = self.engines(part, model, allowed, f"quick-{model}")
                scores["ours"] |= found[0]["ours"]
                heard["ours"] |= found[1]["ours"]
        return items, scores, heard

    def chapter_run(self):
        items = self.longest_read()
        return (items, *self.engines(items, SMALL_ENGLISH_MODEL, ["en"], "chapter")) if items else None

    def second_run(self):
        """The tables that differ when the main run is made again; None where that was not asked for."""
        items = self.selected()
        if not self.arguments.twice or not items:
            return None
        again = self.program.run(items, self.arguments.model, self.languages(), self.cache / "runs" / "again")
        return ours.different_tables(self.cache / "runs" / "main" / "lake", again.lake)


def write(path, figures):
    """Writes figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, ensure_ascii=False, indent=1), encoding="utf-8")


def main():
    arguments = parse()
    evaluation = Evaluation(arguments)
    last = arguments.compare or evaluation.cache / "last.json"
    earlier = json.loads(last.read_text(encoding="utf-8")) if last.exists() else {}
    run, chapter = evaluation.main_run(), evaluation.chapter_run()
    if run is None and chapter is None:
        raise SystemExit("the corpus has no item of these groups")
    different = evaluation.second_run()
    run = run or ([], {"ours": {}}, {"ours": {}})
    groups = report.group_rows(run[0], run[1])
    if chapter:
        groups["chapter"] = report.group_rows(chapter[0], chapter[1])[chapter[0][0].group]
    verdicts = bars.all_bars(run, chapter, different, arguments.quick)
    if arguments.verbose:
        print("\n".join(report.items_table(run[0], run[1])), end="\n\n")
    print("\n".join(report.groups_table(groups, arguments.markdown)))
    for line in report.invented(run[0], run[1]):
        print(line)
    print()
    for cost in evaluation.costs:
        print(f"{cost['what']}: {cost['audio_s'] / 60:.1f} min of audio, {cost['cpu_s']:.0f} CPU s, "
              f"{cost['audio_per_cpu_s']:.1f} audio seconds per CPU second")  # fmt: skip
    print()
    print("\n".join(report.bars_table(verdicts, arguments.markdown)))
    changed = list(report.changes(groups, earlier.get("groups", {})))
    if earlier:
        print(f"\nchanges since {last}:", *(changed or ["  none"]), sep="\n")
    figures = {"groups": groups, "bars": [vars(bar) for bar in verdicts], "costs": evaluation.costs, "items": run[1]}
    if arguments.json:
        write(arguments.json, figures)
    # What was not run this time keeps the figures of its own last run.
    write(evaluation.cache / "last.json", {**figures, "groups": {**earlier.get("groups", {}), **groups}})
    unmet = [bar for bar in verdicts if bar.met is False]
    sys.exit(1 if unmet and not arguments.report_only else 0)


if __name__ == "__main__":
    main()

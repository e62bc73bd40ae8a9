"""`python -m bench.recall [SET] [--only NAME] [--write]`: recall beside other stores, and lever by lever.

The set is one of `walnut eval` that brings its conversations: the development set where it lies beside the repository,
else the small one that is part of it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench import growth, recalled
from bench.compared import FIGURES, RESULTS, replaced
from bench.contestants import BY_NAME, CONTESTANTS, Measured, run, task_of
from bench.environment import PYTHON
from bench.ground import ROOT
from bench.growth import Grown
from bench.machine import machine, versions
from bench.recall_tables import by_category, growing, said, side
from bench.tables import Table, aligned, markdown
from walnut.cli.questions import QuestionSet, read

PAGE = ROOT / "docs" / "why" / "recall.md"
CARD = ROOT / "src" / "walnut" / "embed" / "minilm" / "CARD.md"
LAST = RESULTS / "recall.json"
#: Characters that a text should have to be timed.
_SHORT = 50
_PARTS = ("peers", "levers", "embedding", "growth")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured; parts that were not asked for are empty."""

    measured: str
    data: str
    peers: tuple[Measured, ...] = ()
    missing: dict[str, str] = {}
    levers: recalled.Levers | None = None
    embedding: dict[str, float] = {}
    growth: tuple[Grown, ...] = ()


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and write the page where asked to."""
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description="Measure recall beside other stores.")
    parser.add_argument("file", nargs="?", type=Path, help="a set of questions with its conversations")
    parser.add_argument("--only", action="append", default=[], choices=[*_PARTS, *BY_NAME], help="this part or store")
    parser.add_argument(
        "--full", action="store_true", help="grow to a million memories too (much longer, and some GiB)"
    )
    parser.add_argument("--again", action="store_true", help="show and write the last run again; measures nothing")
    parser.add_argument("--write", action="store_true", help="put tables and plots into docs/why/recall.md")
    asked = parser.parse_args(words)
    if asked.again:
        found = msgspec.json.decode(LAST.read_bytes(), type=Run)
    else:
        file = asked.file or (recalled.USUAL if recalled.USUAL.is_file() else recalled.EXAMPLE)
        found = _measure(file, asked.only, full=asked.full)
        RESULTS.mkdir(exist_ok=True)
        LAST.write_bytes(msgspec.json.encode(found))
    for _, lines in _sections(found, aligned).values():
        print("\n".join([*lines, ""]))
    print(found.measured)
    folder = FIGURES if asked.write else RESULTS
    print(_draw(folder), file=sys.stderr)
    if asked.write:
        _write(found)
    return 0


def _measure(file: Path, only: Sequence[str], *, full: bool) -> Run:
    begun, load = time.monotonic(), os.getloadavg()[0]
    asked = read(str(file))
    stores = [each for each in CONTESTANTS if not only or "peers" in only or each.name in only]
    peers: list[Measured] = []
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="walnut-bench-") as folder:
        task = Path(folder) / "task.json"
        task_of(asked).store(task)
        for each in stores:
            outcome = run(each, asked, task)
            print(f"{each.label}: {outcome if isinstance(outcome, str) else 'measured'}", file=sys.stderr)
            if isinstance(outcome, str):
                missing[each.name] = outcome
            else:
                peers.append(outcome)
    embedding = _embedding(asked) if not only or "embedding" in only else {}
    found_levers = recalled.measured(file) if not only or "levers" in only else None
    grown = tuple(growth.measured(full=full)) if not only or "growth" in only else ()
    settings = f"{time.monotonic() - begun:.0f} s in all, load of the machine before {load:.1f}"
    return Run(
        measured=f"Measured on {machine(ROOT)}; {versions()}; {_peer_versions()}; {settings}.",
        data=_data(file, asked),
        peers=tuple(peers),
        missing=missing,
        levers=found_levers,
        embedding=embedding,
        growth=grown,
    )


def _data(file: Path, asked: QuestionSet) -> str:
    turns = sum(len(each.turns) for each in asked.conversations)
    return (
        f"`{file.name}`: {len(asked.conversations)} conversations, {turns:,} turns, {len(asked.questions):,} questions."
    )


def _peer_versions() -> str:
    names = ("chromadb", "mem0ai", "qdrant-client")
    program = f"from importlib.metadata import version as v; print(', '.join(f'{{n}} {{v(n)}}' for n in {names!r}))"
    if not PYTHON.exists():
        return "no peers"
    done = subprocess.run([str(PYTHON), "-c", program], check=False, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or "no peers"


def _embedding(asked: QuestionSet) -> dict[str, float]:
    """Milliseconds of CPU: to load the table, and for a thousand of the set's short turns, none seen before."""
    from walnut.embed import static

    texts = sorted({t.text for c in asked.conversations for s in c.sessions for t in s.turns}, key=len)
    thousand = [text for text in texts if len(text) >= _SHORT][:1_000]
    used = time.process_time()
    table = static.table()
    loaded = time.process_time()
    table.embed(thousand)
    embedded = time.process_time()
    characters = sum(map(len, thousand)) / len(thousand)
    return {
        "load_ms": (loaded - used) * 1e3,
        "embed_ms": (embedded - loaded) * 1e3,
        "texts": len(thousand),
        "characters": characters,
    }


def _sections(found: Run, make: Callable[[Table], str]) -> dict[str, tuple[str, list[str]]]:
    """Marker -> a title and the lines below it, with tables as `make` writes them."""
    parts: dict[str, tuple[str, list[str]]] = {}

    def section(marker: str, tables: Sequence[Table], sentences: Sequence[str]) -> None:
        lines = [line for table in tables for line in (make(table), "")]
        parts[marker] = (tables[0].title if tables else marker, [*lines, *(f"- {each}" for each in sentences)])

    if found.peers:
        missing = [f"Not measured: {BY_NAME[name].label} ({why})." for name, why in found.missing.items()]
        section("side", [side(found.peers), by_category(found.peers)], [*said(found.peers), *missing])
    if found.levers:
        section("levers", [recalled.levers(found.levers)], recalled.floors(found.levers))
        section("categories", [recalled.by_category(found.levers)], [])
    if found.embedding:
        section("embedding", [], [_embedded(found.embedding)])
    if found.growth:
        section("growth", [growing(found.growth)], [])
    return parts


def _embedded(found: dict[str, float]) -> str:
    return (
        f"{found['texts']:,.0f} short texts ({found['characters']:.0f} characters in the mean, none seen before) take "
        f"{found['embed_ms']:.0f} ms of CPU; loading the table takes {found['load_ms']:.0f} ms, once a process."
    )


def _write(found: Run) -> None:
    plots = {
        "side": ("recall", "recall@10 over the CPU of a query"),
        "growth": ("growth", "milliseconds over memories"),
    }
    for marker, (title, lines) in _sections(found, markdown).items():
        name, shows = plots.get(marker, ("", ""))
        drawn = [f"![{title}: {shows}](figures/{name}.png)", ""] if name and (FIGURES / f"{name}.png").is_file() else []
        replaced(PAGE, marker, [*drawn, *lines, "", found.data, "", found.measured])
    if found.levers and found.levers.data == recalled.USUAL.name:
        replaced(CARD, "scores", [_scores(found.levers)])


def _scores(found: recalled.Levers) -> str:
    asked = found.vector.everything.questions
    alone, words, both = (
        recalled.percent(each.everything.at_10)
        for each in (found.vector, found.levers[0].keyword, found.levers[0].hybrid)
    )
    return (
        "Share of a question's answers among the first ten, on the project's synthetic development set "
        f"({len(found.vector.conversations)} conversations, {asked:,} questions): {alone} by these vectors alone, "
        f"{words} by words and the conversation's structure without them, {both} by both."
    )


def _draw(folder: Path) -> str:
    if not PYTHON.exists():
        return "no plots: the peers' environment, which holds matplotlib, could not be made here"
    styles = {each.name: {"label": each.label, "colour": each.colour} for each in CONTESTANTS}
    file = RESULTS / "recall-styles.json"
    file.write_bytes(msgspec.json.encode(styles))
    words = [str(PYTHON), "-m", "bench.draw_recall", str(LAST), str(file), str(folder)]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    return f"no plots: {(done.stderr.strip().splitlines() or ['unknown'])[-1]}" if done.returncode else "plots drawn"


if __name__ == "__main__":
    sys.exit(main())

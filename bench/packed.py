"""`python -m bench.packed SET.jsonl`: how much of the gold a context of some hundred tokens holds, way by way.

The set is one of `walnut eval` that brings its conversations.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median
from unittest.mock import patch

import msgspec

import walnut
from bench.recalled import EXAMPLE, USUAL
from bench.tables import Table, markdown
from walnut.cli.questions import Question, fill, read
from walnut.recall import context

BUDGETS = (500, 1500, 4000)


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A way of packing: what is asked for, and a module's names that are other than usual."""

    name: str
    asked: dict[str, object] = {}
    patched: dict[str, object] = {}


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """What one way puts into a budget, over all questions: shares of gold by category, lines, CPU ms a question."""

    name: str
    budget: int
    shares: dict[str, float]
    lines: float
    cut: float
    cpu_ms: float


WAYS = (
    Way(name="best first"),
    Way(name="by time", asked={"order": "time"}),
    Way(name="ten hits looked at", asked={"k": 10}),
    Way(name="near repetitions do not wait", patched={"spread": lambda hits: (list(hits), [])}),
    Way(name="long texts whole", patched={"SHARE": 1}),
    Way(name="a turn before and after", asked={"neighbours": 1}),
)


def measured(path: Path, *, every: int) -> Iterator[Packed]:
    """Fill a store with the set's conversations, then ask one question in `every` in each way."""
    asked = read(str(path))
    questions = asked.questions[::every]
    with tempfile.TemporaryDirectory() as folder, walnut.open(folder, scope="global") as root:
        scopes = fill(root, asked.conversations)
        handles = {name: root.bind(scope=scope) for name, scope in scopes.items()}
        turns = {
            event.lsn: str((event.content.source or {}).get("turn"))
            for event in root.log.read()
            if event.content is not None
        }
        for way in WAYS:
            for budget in BUDGETS:
                yield _packed(way, budget, questions, lambda each: handles[each.conversation or ""], turns)


def _packed(
    way: Way,
    budget: int,
    questions: Sequence[Question],
    handle: Callable[[Question], walnut.Memory],
    turns: Mapping[int, str],
) -> Packed:
    shares: dict[str, list[float]] = {}
    contexts: list[walnut.Context] = []
    cpu: list[float] = []
    with ExitStack() as patches:
        for name, other in way.patched.items():
            patches.enter_context(patch.object(context, name, other))
        for each in questions:
            used = time.process_time()
            packed = handle(each).context(each.question, budget=budget, **way.asked)  # type: ignore[arg-type]
            cpu.append((time.process_time() - used) * 1e3)
            shown = {turns[line.lsn] for line in packed.lines}
            share = len(shown.intersection(each.gold)) / len(each.gold)
            contexts.append(packed)
            for category in (each.category, "all"):
                shares.setdefault(category, []).append(share)
    lines = [line for packed in contexts for line in packed.lines]
    return Packed(
        name=way.name,
        budget=budget,
        shares={category: mean(found) for category, found in sorted(shares.items())},
        lines=len(lines) / len(contexts),
        cut=sum(line.cut for line in lines) / max(1, len(lines)),
        cpu_ms=median(cpu),
    )


def table(found: Sequence[Packed]) -> Table:
    """A row for each way and budget; shares in percent."""
    categories = [category for category in found[0].shares if category != "all"]
    return Table(
        "Gold turns in the text, percent",
        ("packed", "budget", "all", *categories, "lines", "cut", "CPU ms"),
        [
            (
                each.name,
                f"{each.budget:,}",
                *(f"{100 * each.shares[category]:.1f}" for category in ("all", *categories)),
                f"{each.lines:.1f}",
                f"{100 * each.cut:.1f} %",
                f"{each.cpu_ms:.1f}",
            )
            for each in found
        ],
    )


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.packed", description="What contexts hold of the gold.")
    usual = USUAL if USUAL.is_file() else EXAMPLE
    parser.add_argument("set", nargs="?", type=Path, default=usual, help=f"questions in JSONL ({usual.name})")
    parser.add_argument("--every", metavar="N", type=int, default=1, help="ask one in so many questions (1)")
    asked = parser.parse_args(words)
    found = []
    for each in measured(asked.set, every=asked.every):
        print(each.name, each.budget, f"{100 * each.shares['all']:.1f}", file=sys.stderr)
        found.append(each)
    print(markdown(table(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A bit flipped in views or checkpoints, or a file of theirs emptied, cut or deleted: never a silent wrong answer."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import walnut
from tests.crash.stores import say
from tests.crash.test_flips import files, harm
from walnut import Memory, WalnutError
from walnut.model.results import Ack, MemoryRecord

EVENTS = 1000
WORDS = [
    *("invoice", "format", "export", "csv", "pdf", "tea", "coffee", "berlin"),
    *("paris", "monday", "budget", "report", "holiday", "call", "mail"),
]
Answers = dict[str, object]


def fill(m: Memory) -> None:
    """A thousand events: keys, tags, times, evidence, sessions, forgets, undos, undone undos, other scopes."""
    chance = random.Random(7)
    acks: list[Ack] = []
    for number in range(EVENTS - 40):
        text = " ".join(chance.choices(WORDS, k=8)) + f" {number}"
        handle = m.bind(scope=chance.choice(["user:a", "user:a/session:1", "user:b"])) if number % 3 else m
        ack = handle.remember(
            text,
            key=f"key{number % 97}" if number % 4 == 0 else None,
            tags=chance.sample(["red", "green", "blue"], k=number % 3),
            confidence=chance.random() if number % 2 else None,
            source={"session": f"s{number % 13}", "speaker": "ann" if number % 2 else "bob", "turn": number},
            occurred_at=f"2026-0{number % 9 + 1}-11" if number % 5 == 0 else None,
            caused_by=[acks[-1]] if handle is m and number % 7 == 0 and acks else (),
            durability="process",
        )
        acks += [ack] if handle is m else []
        if number % 300 == 299:
            m.upkeep.checkpoint()
    for number in range(20):
        m.forget(acks[-1 - number].memory_id or "") if number % 2 else m.recall(WORDS[number % 15])
    undone = [m.apply(m.plan_revert(session=session)) for session in ("s1", "s2", "s3")]
    m.apply(m.plan_revert(events=undone[-1:]))
    while m.log.durable_lsn < EVENTS:
        m.remember("the rest")


def answers(root: Memory) -> Answers:
    """Questions to every table there is, and what came of them; an error of Walnut's is an answer, too."""
    m, found = root.bind(scope="user:a/session:1"), Answers()

    def ask(name: str, question: Callable[[], object]) -> None:
        try:
            found[name] = question()
        except WalnutError as error:
            found[name] = error

    for handle in (m, root):
        ask(f"list {handle.scope}", lambda handle=handle: handle.list(limit=1000, below=True).items)  # type: ignore[misc]
        for word in WORDS[:2]:
            ask(f"recall {word} {handle.scope}", lambda handle=handle, word=word: handle.recall(word, below=True))  # type: ignore[misc]
    ask("tags", lambda: root.list(limit=1000, tags=["red", "green"]).items)
    ask("confident", lambda: root.list(limit=1000, min_confidence=0.5, since="2026-03-01", until="2026-08-01").items)
    ask("then", lambda: root.as_of(lsn=500).list(limit=1000, below=True).items)
    ask("search then", lambda: root.as_of(lsn=500).recall("invoice report", tags=["blue"]))
    for key in ("key0", "key4", "key50", "key96"):
        ask(key, lambda key=key: m.get(key=key))  # type: ignore[misc]
    ask("undo", lambda: root.plan_revert(session="s5").ranges)
    ask("undo source", lambda: root.plan_revert(source={"speaker": "ann"}, actor="agent:default").ranges)
    ask("why", lambda: root.why(root.list(limit=1).items[0].memory_id))
    ask("led to", lambda: root.why(1, direction="influenced"))
    ask("count", lambda: root.upkeep.stats().memories)
    return found


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], Answers]:
    """A store that was closed and one whose owner is gone without closing, and what both answer."""
    folder = tmp_path_factory.mktemp("views")
    with walnut.open(folder / "live", scope="global") as m:
        fill(m)
        m.upkeep.rebuild()
        expected = answers(m)
        for event in range(3):  # each in a transaction of its own in the write-ahead log
            m.bind(scope="elsewhere").remember(f"the end {event}")
            m.wait()
        expected = answers(m)
        shutil.copytree(folder / "live", folder / "killed")
    shutil.copytree(folder / "live", folder / "closed")
    return {name: folder / name for name in ("closed", "killed")}, expected


def judged(folder: Path, expected: Answers) -> tuple[int, int]:
    """How many answers were missing something or an error, and how many views `verify` found wrong."""
    with walnut.open(folder, scope="global") as m:
        wrong = sum(not check.ok for check in m.upkeep.verify_views())
        found = answers(m)
        missed = sum(found[name] != expected[name] for name in expected)
        for name, answer in found.items():
            assert wrong or answer == expected[name], f"silently wrong: {name}"
            _tells_no_lie(name, answer, expected)
        if wrong:
            m.upkeep.rebuild()
            assert answers(m) == expected
            assert all(check.ok for check in m.upkeep.verify_views())
    return missed, wrong


def _tells_no_lie(name: str, answer: object, expected: Answers) -> None:
    """What is given is true: every memory of it is in the log as it says (a score is no such promise)."""
    if not isinstance(answer, tuple | list) or not answer or not isinstance(answer[0], MemoryRecord):
        return
    everything = [each for given in expected.values() if isinstance(given, tuple | list) for each in given]
    true = {_told(each) for each in everything if isinstance(each, MemoryRecord)}
    assert {_told(each) for each in answer} <= true, f"a lie: {name}"


def _told(record: MemoryRecord) -> tuple[object, ...]:
    return (record.memory_id, record.lsn, record.text, record.scope, record.tags, record.confidence)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("store", ["closed", "killed"])
def test_V3_V4_damage_in_a_view_is_told_or_harmless(
    store: str, origin: tuple[dict[str, Path], Answers], tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    stores, expected = origin
    told = missing = 0
    for _ in range(rounds(200)):
        seed = random.SystemRandom().getrandbits(32)
        chance = random.Random(seed)
        folder = tmp_path / "harmed"
        shutil.copytree(stores[store], folder)
        path = chance.choice([path for path in files(folder / "views") if path.stat().st_size])
        say(f"seed {seed}: {harm(path, chance)}")
        missed, wrong = judged(folder, expected)
        say(f"    {missed} answers differ, verify says {'damaged' if wrong else 'whole'}")
        told, missing = told + wrong, missing + bool(missed)
        shutil.rmtree(folder)
    say(f"told {told}, of which {missing} changed an answer")


@pytest.mark.timeout(3600)
def test_V4_damage_in_a_checkpoint_changes_no_answer(
    origin: tuple[dict[str, Path], Answers], tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    stores, expected = origin
    for _ in range(rounds(100)):
        seed = random.SystemRandom().getrandbits(32)
        chance = random.Random(seed)
        folder = tmp_path / "harmed"
        shutil.copytree(stores["closed"], folder)
        shutil.rmtree(folder / "views")
        newest = files(folder / "checkpoints")[-1]
        say(f"seed {seed}: {harm(newest, chance)}")
        with walnut.open(folder, scope="global") as m:
            assert answers(m) == expected
        shutil.rmtree(folder)

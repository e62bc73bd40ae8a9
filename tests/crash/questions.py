"""Questions whose answers need every part of the views, and a history that gives them something to say."""

from __future__ import annotations

import random
from collections.abc import Callable

from walnut import Memory, WalnutError
from walnut.model.results import Ack, MemoryRecord

WORDS = [
    *("invoice", "format", "export", "csv", "pdf", "tea", "coffee", "berlin"),
    *("paris", "monday", "budget", "report", "holiday", "call", "mail"),
]
Answers = dict[str, object]


def fill(m: Memory, count: int) -> None:
    """So many events: keys, tags, times, evidence, sessions, forgets, undos, undone undos, other scopes."""
    chance = random.Random(7)
    acks: list[Ack] = []
    for number in range(count - 40):
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
    while m.log.durable_lsn < count:
        m.remember("the rest")


def answers(root: Memory, *, then: int) -> Answers:
    """Questions to every table there is, now and at LSN `then`, and what came of them; an error of ours is one, too."""
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
    ask("then", lambda: root.as_of(lsn=then).list(limit=1000, below=True).items)
    ask("search then", lambda: root.as_of(lsn=then).recall("invoice report", tags=["blue"]))
    for key in ("key0", "key4", "key50", "key96"):
        ask(key, lambda key=key: m.get(key=key))  # type: ignore[misc]
    ask("undo", lambda: root.plan_revert(session="s5").ranges)
    ask("undo source", lambda: root.plan_revert(source={"speaker": "ann"}, actor="agent:default").ranges)
    ask("why", lambda: root.why(root.list(limit=1).items[0].memory_id))
    ask("led to", lambda: root.why(1, direction="influenced"))
    ask("count", lambda: root.upkeep.stats().memories)
    return found


def tells_no_lie(name: str, answer: object, expected: Answers) -> None:
    """What is given is true: every memory of it is in the log as it says (a score is no such promise)."""
    if not isinstance(answer, tuple | list) or not answer or not isinstance(answer[0], MemoryRecord):
        return
    everything = [each for given in expected.values() if isinstance(given, tuple | list) for each in given]
    true = {_told(each) for each in everything if isinstance(each, MemoryRecord)}
    assert {_told(each) for each in answer} <= true, f"a lie: {name}"


def _told(record: MemoryRecord) -> tuple[object, ...]:
    return (record.memory_id, record.lsn, record.text, record.scope, record.tags, record.confidence)

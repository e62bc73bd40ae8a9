"""The oracle itself: a true history has no anomaly, and each way to falsify it has its witness."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.simulation.oracle import Book, Found, answers
from tests.simulation.requests import Request
from walnut.log.memory_log import MemoryLog
from walnut.model.event import Content, Event
from walnut.system import System

Events = list[Event]

_REQUESTS = (
    Request(name="a", sizes=((20,),), memory=1),
    Request(name="b", sizes=((20, 30), (40,)), memory=2),
    Request(name="c", sizes=((20,),), memory=1, key="one", expects="current"),
    Request(name="d", sizes=((20, 20),), memory=3, key="two"),
    Request(name="e", sizes=((20,),), memory=1, durability="process"),
)


@pytest.fixture
def history() -> tuple[Book, Events, MemoryLog]:
    book, log = Book(), MemoryLog(System())
    for request in _REQUESTS:
        after = log.last_touch(request.touch) if request.expects != "none" else 0
        attempt = book.asked(request, after)
        book.acknowledged(attempt, log.append(request.batch(after)))
    return book, list(log.read()), log


def names(book: Book, events: Events, *, findings: tuple[str, ...] = ()) -> set[str]:
    return {witness.anomaly for witness in book.judge(Found(events, findings))}


def test_a_true_history_has_no_anomaly(history: tuple[Book, Events, MemoryLog]) -> None:
    book, events, log = history
    assert not names(book, events)
    assert not list(answers(book, Found(events), log))


def _swap(events: Events, one: int, other: int) -> Events:
    found = list(events)
    found[one], found[other] = replace(events[other], lsn=one + 1), replace(events[one], lsn=other + 1)
    return found


def _changed(events: Events, at: int, **values: object) -> Events:
    return [*events[:at], replace(events[at], **values), *events[at + 1 :]]


def _again(events: Events, at: int) -> Events:
    return [*events, replace(events[at], lsn=len(events) + 1)]


FALSE: dict[str, Callable[[Events], Events]] = {
    "lost": lambda events: events[:6],
    "changed": lambda events: _changed(events, 0, raw_id=b"another"),
    "altered": lambda events: _changed(events, 0, content=replace(_content(events[0]), actor="agent:other")),
    "ghost": lambda events: _changed(events, 0, content=replace(_content(events[0]), payload={"tag": "x/0.0"})),
    "sparse": lambda events: [events[0], *[replace(each, lsn=each.lsn + 1) for each in events[1:]]],
    "repeated": lambda events: _again(events, 0),
    "repeated-key": lambda events: _again(events, 4),
    "torn": lambda events: _swap(events, 2, 3),
    "disordered": lambda events: _swap(events, 0, 7),
    "times-back": lambda events: _changed(events, 7, recorded_at=1),
    "overtaken": lambda events: [
        replace(events[0], lsn=1),
        *[replace(each, lsn=each.lsn + 1) for each in (events[7], *events[1:7])],
    ],
}


def _content(event: Event) -> Content:
    assert event.content is not None
    return event.content


@pytest.mark.parametrize("name", sorted(FALSE))
def test_each_falsehood_has_its_witness(name: str, history: tuple[Book, Events, MemoryLog]) -> None:
    book, events, _ = history
    assert name in names(book, FALSE[name](events))


def test_what_was_refused_must_not_be_there(history: tuple[Book, Events, MemoryLog]) -> None:
    book, events, _ = history
    book.refused(book.attempts["b"][0])
    assert names(book, events) == {"unwanted"}


def test_what_was_acknowledged_at_process_may_go_with_the_power_but_with_nothing_else(
    history: tuple[Book, Events, MemoryLog],
) -> None:
    book, events, _ = history
    assert names(book, events[:7]) == {"lost"}
    book.power_lost()
    assert not names(book, events[:7])
    assert "lost" in names(book, events[:6])


def test_only_a_batch_with_times_may_end_early_and_only_after_a_transaction(
    history: tuple[Book, Events, MemoryLog],
) -> None:
    book, events, log = history
    request = Request(name="f9", sizes=((20,), (20, 20)), times=True)
    book.asked(request)
    log.append(request.batch(0))
    more = list(log.read(after=8))
    assert not names(book, [*events, *more])
    assert not names(book, [*events, *more[:1]])
    assert names(book, [*events, *more[:2]]) == {"torn"}
    book.asked(Request(name="g", sizes=((20,), (20, 20))))
    assert names(book, [*events, replace(more[0], content=_named(more[0], "g/0.0"))]) >= {"torn"}


def _named(event: Event, tag: str) -> Content:
    return replace(_content(event), payload={"tag": tag})


def test_what_a_reader_was_shown_must_stay(history: tuple[Book, Events, MemoryLog]) -> None:
    book, events, _ = history
    book.shown(events)
    book.power_lost()
    assert names(book, events[:7]) == {"lost"}


def test_answers_that_contradict_each_other_are_noticed(history: tuple[Book, Events, MemoryLog]) -> None:
    book, events, log = history
    attempt = book.asked(_REQUESTS[3])
    book.acknowledged(attempt, [replace(each, lsn=each.lsn + 2) for each in log.append(_REQUESTS[3].batch(0))])
    assert "two-at-one-lsn" in names(book, events)


def test_a_refusal_without_a_cause_is_noticed(history: tuple[Book, Events, MemoryLog]) -> None:
    book, events, _ = history
    book.conflicted(book.asked(Request(name="f", sizes=((8,),), expects="current"), after=3), 3)
    assert names(book, events) == {"wrong-refusal"}


def test_findings_of_the_verification_are_witnesses(history: tuple[Book, Events, MemoryLog]) -> None:
    book, events, _ = history
    assert names(book, events, findings=("a frame is damaged",)) == {"unsound"}


def test_wrong_answers_of_the_index_are_noticed(history: tuple[Book, Events, MemoryLog]) -> None:
    book, events, log = history
    found = {witness.lsn for witness in answers(book, Found(events[:4]), log)}
    assert found, "the log knows more than was found"

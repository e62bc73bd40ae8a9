"""The oracle: knows every request, every answer and every outcome that nobody knows, and judges what a store holds.

Each anomaly is a function from what is known (`Book`) and what was found (`Found`) to witnesses; none is good.
What was acknowledged at `disk`, or shown to a reader, stays for ever. What was acknowledged at `process` stays until
the power goes: then it stays if something behind it was durable, and may else be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, takewhile
from typing import NamedTuple

import msgspec

from tests.simulation.requests import Request, hashed, tag_of
from walnut.model.event import Draft, Event
from walnut.ports import Appended, Log


class Witness(NamedTuple):
    """One thing that must not be: the anomaly's name, the LSN it is at (0: none), and what was seen."""

    anomaly: str
    lsn: int
    seen: str


class Attempt:
    """One time that a request was made. Times count the calls on the book."""

    __slots__ = ("after", "answered", "invoked", "outcome", "request")

    def __init__(self, request: Request, invoked: int, after: int) -> None:
        self.request, self.invoked, self.after = request, invoked, after
        self.answered: int | None = None
        self.outcome = "unknown"

    def copy(self) -> Attempt:
        """The same."""
        other = Attempt(self.request, self.invoked, self.after)
        other.answered, other.outcome = self.answered, self.outcome
        return other


class Fact(NamedTuple):
    """An event as it was acknowledged or shown."""

    raw_id: bytes
    tag: str | None


class Found(msgspec.Struct, frozen=True):
    """What a store that was opened again holds, and what its verification says.

    `gone`: LSNs that a repair has reported lost; they must hold its placeholders.
    """

    events: Sequence[Event]
    findings: Sequence[str] = ()
    gone: frozenset[int] = frozenset()


class Book:
    """What is known of one store, from the answers that its users got.

    `evicting`: a failed sync may lose what was acknowledged at `process`, as a power cut does, so nothing holds it.
    """

    def __init__(self, *, evicting: bool = False) -> None:
        self.evicting = evicting
        self.attempts: dict[str, list[Attempt]] = {}
        self.drafts: dict[str, Draft] = {}
        self.facts: dict[int, Fact] = {}
        self.durable = 0
        self.witnesses: list[Witness] = []
        self._now = 0
        self._newest: list[tuple[int, Attempt]] = []

    def copy(self) -> Book:
        """A book to try things with."""
        other = Book(evicting=self.evicting)
        twins = {id(each): each.copy() for attempts in self.attempts.values() for each in attempts}
        other.attempts = {name: [twins[id(each)] for each in attempts] for name, attempts in self.attempts.items()}
        other.drafts = dict(self.drafts)
        other.facts = dict(self.facts)
        other.durable, other._now = self.durable, self._now
        other.witnesses = list(self.witnesses)
        other._newest = [(lsn, twins[id(each)]) for lsn, each in self._newest]
        return other

    def _tick(self) -> int:
        self._now += 1
        return self._now

    # -- what users tell -----------------------------------------------------------------------------------------

    def asked(self, request: Request, after: int = 0) -> Attempt:
        """A request goes out; until an answer comes its outcome is unknown."""
        attempt = Attempt(request, self._tick(), after)
        attempts = self.attempts.setdefault(request.name, [])
        if not attempts:
            tags = iter(request.tags())
            for transaction in request.drafts():
                for draft in transaction:
                    self.drafts[next(tags)] = draft
        attempts.append(attempt)
        return attempt

    def acknowledged(self, attempt: Attempt, answer: Sequence[Appended]) -> None:
        """The log has said yes."""
        if self.evicting and attempt.request.durability == "process" and not all(each.replayed for each in answer):
            return
        attempt.answered, attempt.outcome = self._tick(), "acknowledged"
        tags = attempt.request.tags()
        if len(answer) != len(tags):
            self._note("wrong-answer", 0, f"{len(answer)} answers to {len(tags)} events of {attempt.request.name}")
        for tag, got in zip(tags, answer, strict=False):
            self._learn(got.lsn, Fact(got.raw_id, tag), f"answer to {attempt.request.name}")
            if got.replayed or attempt.request.durability == "disk":
                self.durable = max(self.durable, got.lsn)
        if answer and answer[-1].lsn > self.durable:
            self._newest.append((answer[-1].lsn, attempt))

    def refused(self, attempt: Attempt) -> None:
        """The log has said no: nothing of it may ever be found."""
        attempt.answered, attempt.outcome = self._tick(), "refused"

    def conflicted(self, attempt: Attempt, current: int | None) -> None:
        """A condition did not hold: something must have come after what it rests on."""
        self.refused(attempt)
        if current is None or current <= attempt.after:
            self._note("wrong-refusal", current or 0, f"{attempt.request.name} rests on LSN {attempt.after}")

    def shown(self, events: Sequence[Event]) -> None:
        """A reader was given these: they are durable."""
        for event in events:
            self._learn(event.lsn, Fact(event.raw_id, tag_of(event)), "shown to a reader")
        if events:
            self.synced(events[-1].lsn)

    def synced(self, lsn: int) -> None:
        """Everything up to here was said to be durable."""
        self.durable = max(self.durable, lsn)

    def power_lost(self) -> None:
        """What was only in the machine's memory may be gone, and other events may come to its LSNs."""
        self.facts = {lsn: fact for lsn, fact in self.facts.items() if lsn <= self.durable}
        for lsn, attempt in self._newest:
            if lsn > self.durable:
                attempt.answered, attempt.outcome = None, "unknown"
        self._newest = []

    def _learn(self, lsn: int, fact: Fact, how: str) -> None:
        known = self.facts.setdefault(lsn, fact)
        if known != fact:
            self._note("two-at-one-lsn", lsn, f"{how}: {fact.tag}, known: {known.tag}")

    def _note(self, anomaly: str, lsn: int, seen: str) -> None:
        self.witnesses.append(Witness(anomaly, lsn, seen))

    # -- judgement -----------------------------------------------------------------------------------------------

    def judge(self, found: Found) -> list[Witness]:
        """Every anomaly, those that the answers themselves showed included."""
        return [*self.witnesses, *(witness for anomaly in ANOMALIES for witness in anomaly(self, found))]


Anomaly = Callable[[Book, Found], Iterator[Witness]]


def lost(book: Book, found: Found) -> Iterator[Witness]:
    """What was acknowledged or shown is not there."""
    size = len(found.events)
    if size < book.durable:
        yield Witness("lost", size + 1, f"durable up to {book.durable}, found {size}")
    for lsn, fact in book.facts.items():
        if lsn > size and lsn > book.durable:
            yield Witness("lost", lsn, f"acknowledged at process: {fact.tag}")


def changed(book: Book, found: Found) -> Iterator[Witness]:
    """An LSN holds another event than the one that was acknowledged or shown there."""
    for lsn, fact in book.facts.items():
        if lsn <= len(found.events) and lsn not in found.gone:
            event = found.events[lsn - 1]
            if event.raw_id != fact.raw_id or tag_of(event) != fact.tag:
                yield Witness("changed", lsn, f"known: {fact.tag}, found: {tag_of(event)}")


def altered(book: Book, found: Found) -> Iterator[Witness]:
    """An event's bytes are not those of its request, or nobody asked for it."""
    drafts = book.drafts
    for event in found.events:
        if event.lsn in found.gone:
            if event.content is not None or event.kind != "log.lost":
                yield Witness("ghost", event.lsn, f"{event.kind} where a repair lost something")
            continue
        draft = drafts.get(tag_of(event) or "")
        if draft is None:
            yield Witness("ghost", event.lsn, f"nobody asked for {tag_of(event)}")
        elif event.content != draft.content or event.idem != draft.idem or event.raw_touches != draft.touches[0]:
            yield Witness("altered", event.lsn, f"{tag_of(event)} was stored otherwise")


def sparse(book: Book, found: Found) -> Iterator[Witness]:
    """LSNs are not dense from 1."""
    for expected, event in enumerate(found.events, 1):
        if event.lsn != expected:
            yield Witness("sparse", event.lsn, f"expected LSN {expected}")
            return


def repeated(book: Book, found: Found) -> Iterator[Witness]:
    """An event is there twice, or two have one idempotency key."""
    tags: dict[str | None, int] = {}
    keys: dict[bytes, int] = {}
    for event in found.events:
        if event.content is None:
            continue
        first = tags.setdefault(tag_of(event), event.lsn)
        if first != event.lsn:
            yield Witness("repeated", event.lsn, f"{tag_of(event)} is at LSN {first} too")
        if event.idem is not None:
            first = keys.setdefault(event.idem, event.lsn)
            if first != event.lsn:
                yield Witness("repeated-key", event.lsn, f"{tag_of(event)}: LSN {first} has the key too")


def torn(book: Book, found: Found) -> Iterator[Witness]:
    """A part of a batch is there, or its events are apart, or its transactions are not those asked for.

    One whose transactions bring their times may end after any of them.
    """
    at, events = 0, found.events
    while at < len(events):
        name = (tag_of(events[at]) or "").partition("/")[0]
        attempts = book.attempts.get(name)
        if attempts is None:
            at += 1
            continue
        request = attempts[0].request
        tags = request.tags()
        there = [tag_of(event) for event in events[at : at + len(tags)]]
        if request.times:
            there, tags = _begun(request, there)
        if there != tags:
            yield Witness("torn", at + 1, f"of {len(tags)} events of {name}: {', '.join(map(str, there))}")
            at += 1
            continue
        end = at + len(tags)
        for sizes in request.sizes:
            if at == end:
                break
            first = events[at].lsn
            if any(event.txn != first for event in events[at : at + len(sizes)]):
                yield Witness("torn", first, f"a transaction of {name} is not one")
            at += len(sizes)


def _begun(request: Request, there: list[str | None]) -> tuple[list[str | None], list[str]]:
    """Of what is there the part that is this request's, and the transactions that it has begun, whole."""
    mine = list(takewhile(lambda each: (each or "").partition("/")[0] == request.name, there))
    tags = request.tags()
    ends = accumulate(map(len, request.sizes))
    return mine, tags[: next(end for end in ends if end >= len(mine))]


def unwanted(book: Book, found: Found) -> Iterator[Witness]:
    """What was refused is there: every attempt at it was."""
    for event in found.events:
        attempts = book.attempts.get((tag_of(event) or "").partition("/")[0], ())
        if attempts and all(attempt.outcome == "refused" for attempt in attempts):
            yield Witness("unwanted", event.lsn, f"{tag_of(event)} was refused")


def disordered(book: Book, found: Found) -> Iterator[Witness]:
    """What was asked for after another was answered comes before it."""
    latest = 0
    for event in found.events:
        attempts = book.attempts.get((tag_of(event) or "").partition("/")[0])
        if not attempts:
            continue
        answers = [each.answered for each in attempts if each.outcome == "acknowledged" and each.answered is not None]
        if answers and min(answers) < latest:
            yield Witness("disordered", event.lsn, f"{tag_of(event)} was answered before an earlier LSN was asked for")
        latest = max(latest, attempts[0].invoked)


def times_back(book: Book, found: Found) -> Iterator[Witness]:
    """Times step back."""
    before = 0
    for event in found.events:
        if event.recorded_at < before:
            yield Witness("times-back", event.lsn, f"{event.recorded_at} after {before}")
        before = event.recorded_at


def overtaken(book: Book, found: Found) -> Iterator[Witness]:
    """An event is there although its condition did not hold at its place."""
    newest: dict[bytes, int] = {}
    checked: set[str] = set()
    for event in found.events:
        name = (tag_of(event) or "").partition("/")[0]
        if name in book.attempts and name not in checked:
            checked.add(name)
            attempts = [each for each in book.attempts[name] if each.outcome != "refused"]
            before = newest.get(event.raw_touches, 0)
            if attempts and all(each.request.expects != "none" and each.after < before for each in attempts):
                yield Witness("overtaken", event.lsn, f"{name} rests on {attempts[0].after}, but {before} came since")
        newest[event.raw_touches] = event.lsn


def unsound(book: Book, found: Found) -> Iterator[Witness]:
    """The verification finds damage."""
    for finding in found.findings:
        yield Witness("unsound", 0, finding)


ANOMALIES: tuple[Anomaly, ...] = (
    lost,
    changed,
    altered,
    sparse,
    repeated,
    torn,
    unwanted,
    disordered,
    times_back,
    overtaken,
    unsound,
)


def answers(book: Book, found: Found, log: Log) -> Iterator[Witness]:
    """What the indexes of an open log say is not what its events mean."""
    newest: dict[bytes, int] = {}
    keys: dict[bytes, int] = {}
    for event in found.events:
        if event.raw_touches:
            newest[event.raw_touches] = event.lsn
        if event.idem is not None:
            keys[event.idem] = event.lsn
    for touch, lsn in newest.items():
        if log.last_touch(touch) != lsn:
            yield Witness("wrong-index", lsn, f"last_touch says {log.last_touch(touch)}")
    for name, attempts in book.attempts.items():
        request = attempts[0].request
        if request.key is None:
            continue
        for number in range(len(request.sizes)):
            idem = hashed(f"{request.key}/{number}")
            if log.find_idem(idem) != keys.get(idem):
                seen = f"find_idem says {log.find_idem(idem)} of {name}, not {keys.get(idem)}"
                yield Witness("wrong-index", keys.get(idem, 0), seen)

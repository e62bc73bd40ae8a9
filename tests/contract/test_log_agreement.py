"""All logs answer alike: the same random requests go to each, and the in-memory log says what is right."""

import tempfile
from collections.abc import Callable
from functools import partial

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.contract.backends import BACKENDS, make_memory
from walnut.errors import IdempotencyConflict, VersionConflict
from walnut.model.event import Draft, Event
from walnut.model.requests import Durability
from walnut.ports import Appended, Batch, Condition, Log
from walnut.testing.log_drafts import conflict, delete, idem, note, recalled, touch, write

MEMORIES, KEYS = 3, 4

memories = st.integers(1, MEMORIES)
keys = st.none() | st.integers(1, KEYS)
drafts = st.one_of(
    st.builds(write, memories, st.just("a"), key=keys, request=st.sampled_from([b"one", b"other"])),
    st.builds(delete, memories),
    st.builds(note, st.sampled_from(["stop", "go"])),
    st.builds(recalled, memories),
    st.builds(lambda one, other: both(write(one), other), memories, memories),
)


def both(draft: Draft, other: int) -> Draft:
    """A draft that touches two memories (or one twice) and is a note of the first's session, say."""
    return msgspec.structs.replace(draft, touches=(*draft.touches, touch(other)), kind_if_exists=None)


def says_stop(event: Event) -> bool:
    return event.content is not None and event.content.payload.get("text") == "stop"


@st.composite
def conditions(draw: st.DrawFn) -> tuple[int, frozenset[bytes], bool]:
    """How far back the condition's LSN lies, what it must not find touched, and whether it must not find a stop."""
    return (
        draw(st.integers(0, 6)),
        frozenset(map(touch, draw(st.sets(memories, max_size=2)))),
        draw(st.booleans()),
    )


requests = st.tuples(
    st.lists(st.lists(drafts, max_size=3).map(tuple), max_size=3).map(tuple),
    st.lists(conditions(), max_size=2) | st.just([]),
    st.sampled_from(["disk", "process"]),
)
Request = tuple[tuple[tuple[Draft, ...], ...], list[tuple[int, frozenset[bytes], bool]], Durability]


def batch(request: Request, lsn: int) -> Batch:
    transactions, wanted, durability = request
    made = tuple(
        Condition(after=max(lsn - back, 0), touches=touches, matches=says_stop if stop else None, error=conflict)
        for back, touches, stop in wanted
    )
    return Batch(transactions=transactions, conditions=made, durability="disk" if durability == "disk" else "process")


def answer(work: Callable[[], tuple[Appended, ...]]) -> object:
    """What a caller sees, but for ids drawn at random."""
    try:
        return tuple(msgspec.structs.replace(each, raw_id=b"") for each in work())
    except VersionConflict as error:
        return "version", error.current
    except IdempotencyConflict as error:
        return "idempotency", error.lsn


def shown(log: Log, after: int = 0, upto: int | None = None) -> list[Event]:
    """What a reader sees, but for ids, times and salts."""
    return [
        msgspec.structs.replace(event, raw_id=b"", recorded_at=0, clock_raw=None, commitment=b"")
        for event in log.read(after=after, upto=upto)
    ]


class Agreement(RuleBasedStateMachine):
    """The first log is the oracle; the others must agree with it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.backends = [*BACKENDS[1:]] or [*BACKENDS]  # with nothing else to compare, two in memory
        self.oracle = make_memory("")
        self.logs = [b.make(f"{self.folder.name}/{n}") for n, b in enumerate(self.backends)]

    @rule(request=requests)
    def append(self, request: Request) -> None:
        made = batch(request, self.oracle.written_lsn())
        expected = answer(partial(self.oracle.append, made))
        assert [answer(partial(log.append, made)) for log in self.logs] == [expected] * len(self.logs)

    @rule(several=st.lists(requests, min_size=2, max_size=5))
    def submit(self, several: list[Request]) -> None:
        """Batches that may share a frame are decided as if each had come alone."""
        made = [batch(request, self.oracle.written_lsn()) for request in several]
        expected = [answer(partial(self.oracle.append, each)) for each in made]
        for log in self.logs:
            tickets = [log.submit(each) for each in made]
            assert [answer(partial(ticket.result, 60)) for ticket in tickets] == expected

    @precondition(lambda self: any(backend.reopens for backend in self.backends))
    @rule()
    def reopen(self) -> None:
        for number, backend in enumerate(self.backends):
            if backend.reopens:
                self.logs[number].close()
                self.logs[number] = backend.make(f"{self.folder.name}/{number}")

    @rule(after=st.integers(0, 30), length=st.none() | st.integers(0, 10))
    def read(self, after: int, length: int | None) -> None:
        upto = None if length is None else after + length
        expected = shown(self.oracle, after, upto)
        for log in self.logs:
            log.sync()
            assert shown(log, after, upto) == expected

    @rule(
        memory=st.integers(0, MEMORIES),
        before=st.none() | st.integers(0, 30),
        last=st.none() | st.integers(0, 5),
    )
    def look_up(self, memory: int, before: int | None, last: int | None) -> None:
        def found(log: Log) -> object:
            log.sync()
            stream = log.stream(touch(memory), before=before, last=last)
            return stream, log.last_touch(touch(memory)), [log.find_idem(idem(n)) for n in range(KEYS + 1)]

        assert [found(log) for log in self.logs] == [found(self.oracle)] * len(self.logs)

    def teardown(self) -> None:
        try:
            self.read(0, None)
            assert all(log.verify().ok for log in self.logs)
            newest = self.oracle.durable_lsn()
            assert [log.durable_lsn() for log in self.logs] == [newest] * len(self.logs)
        finally:
            for log in self.logs:
                log.close()
            self.folder.cleanup()


TestL11_L12_all_logs_agree = Agreement.TestCase
TestL11_L12_all_logs_agree.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=25)

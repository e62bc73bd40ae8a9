"""Promises of a log about what is read back: events, contents, streams, places, tails, verification (L13)."""

# A promise is named by its id and says in its name what it checks.
# ruff: noqa: D103, N802

from __future__ import annotations

import math
from collections.abc import Iterable

from walnut.errors import InvalidArgument, NotFound, StoreClosed
from walnut.model.event import SCHEMA, Content, Draft, Json
from walnut.ports import Batch, Log
from walnut.testing.contract import together
from walnut.testing.log_drafts import Logs, append, append_one, delete, idem, note, refused, touch, write

ODD: dict[str, Json] = {
    "empty": "",
    "NUL": "a\x00b\x00",
    "controls": "".join(map(chr, range(32))),
    "emoji": "👩‍👩‍👧‍👦 \U0001f43f\ufe0f",
    "scripts": "Zażółć 記憶 ذاكرة e\u0301",
    "not a line": "\u2028\u2029\x85\r\n",
    "non-characters": "\ufffe\uffff\U0010ffff",
    "100 kB": "walnut " * 15_000,
    "largest float": 1.7976931348623157e308,
    "1e300": 1e300,
    "smallest float": 5e-324,
    "minus zero": -0.0,
    "infinite": math.inf,
    "float that is whole": 3.0,
    "int": 3,
    "largest int": 2**64 - 1,
    "smallest int": -(2**63),
    "truth": [True, False, None],
    "": "an empty name",
    "nested": {"a": [{"b": [[], {}, [{"c": None}]]}]},
}


def nest(depth: int) -> Json:
    """Lists in lists."""
    value: Json = "core"
    for _ in range(depth):
        value = [value]
    return value


def test_L3_an_event_is_read_as_it_was_appended(logs: Logs) -> None:
    log = logs.make()
    content = Content(
        scope="org:acme/customer:initech",
        actor="agent:teddy",
        source={"channel": "telegram", "turn": 7},
        subject="person:1",
        payload={"text": "prefers CSV"},
        caused_by=(1, 2**40),
        idempotency_key="telegram:m7",
        request_hash=b"\x00\xff" * 8,
        occurred_at=-1,
        valid_from=0,
        valid_until=2**62,
    )
    touches = (touch(1), b"\x02" + bytes(16), b"\x03" + b"\xff" * 16)
    draft = Draft(kind="memory.write", content=content, op="INSERT", touches=touches, idem=idem(1))
    appended = append_one(log, draft)
    for event in (log.get(1), *log.read()):
        assert event.content == content
        assert (event.kind, event.op, event.idem, event.txn) == ("memory.write", "INSERT", idem(1), 1)
        assert (tuple(event.touch_keys()), event.raw_id) == (touches, appended.raw_id)
        assert (event.before_lsn, event.clock_raw, event.schema) == (None, None, SCHEMA)
    assert (appended.kind, appended.touches, appended.version) == ("memory.write", touches, 1)
    assert (appended.before_lsn, appended.replayed) == (None, False)
    assert append_one(log, note()).version is None


def test_L3_odd_contents_come_back_as_they_were(logs: Logs) -> None:
    log = logs.make()
    append(log, *[note(name, value=value) for name, value in ODD.items()])
    append(log, note("all", value=ODD), note("deep", value=nest(100)))
    expected = [*ODD.items(), ("all", ODD), ("deep", nest(100))]
    for event, (name, value) in zip(log.read(), expected, strict=True):
        assert event.content is not None
        assert event.content.payload == {"text": name, "value": value}, name
        assert repr(event.content.payload["value"]) == repr(value), f"{name}: equal, but another type"
    assert log.verify().ok


def test_L3_what_is_accepted_can_be_read(logs: Logs) -> None:
    log = logs.make()
    odd: list[Json] = [2**64, -(2**63) - 1, "\ud800", {"\udfff": 1}, nest(500), nest(1_000), nest(100_000)]
    for value in odd:
        before = log.written_lsn()
        try:
            append(log, note(value=value))
        except InvalidArgument:
            assert log.written_lsn() == before
        else:
            assert log.get(before + 1).content is not None
    for value in odd[:4]:
        refused(InvalidArgument, lambda value=value: append(log, note(value=value)))  # type: ignore[misc]
    assert len(list(log.read())) == log.durable_lsn()


def test_L3_what_a_read_gave_does_not_change_the_log(logs: Logs) -> None:
    log = logs.make()
    tags: list[Json] = ["a"]
    draft = note(tags=tags)
    append(log, draft)
    tags.append("after the append")
    content = log.get(1).content
    assert content is not None
    content.payload["text"] = "changed"
    again = log.get(1).content
    assert again is not None
    assert again.payload == {"text": "a note", "tags": ["a"]}


def test_L3_equal_contents_have_different_commitments(logs: Logs) -> None:
    log = logs.make()
    append(log, note("yes"), note("yes"))
    one, other = (event.commitment for event in log.read())
    assert one != other, "without a salt a commitment could be guessed from"
    assert len(one) == len(other) == 32


def test_L3_read_has_bounds(logs: Logs) -> None:
    log = logs.make()
    append(log, *[note()] * 10)

    def lsns(after: int, upto: int | None = None) -> list[int]:
        return [event.lsn for event in log.read(after=after, upto=upto)]

    assert lsns(0, 3) == [1, 2, 3]
    assert lsns(7) == [8, 9, 10]
    assert lsns(4, 5) == [5]
    assert lsns(5, 5) == lsns(6, 5) == lsns(10) == lsns(99) == lsns(0, 0) == []
    assert lsns(8, 99) == [9, 10]
    reading = log.read(after=8)
    append(log, note())
    assert [event.lsn for event in reading] in ([9, 10], [9, 10, 11])
    log = logs.again(log)
    assert lsns(3, 6) == [4, 5, 6]


def test_L3_what_does_not_exist_is_not_found(logs: Logs) -> None:
    log = logs.make()
    append(log, note())
    for lsn in (0, 2, -1, 2**40):
        refused(NotFound, lambda lsn=lsn: log.get(lsn))  # type: ignore[misc]
        refused(NotFound, lambda lsn=lsn: log.locate(lsn))  # type: ignore[misc]
    assert (log.stream(touch(9)), log.last_touch(touch(9)), log.find_idem(idem(9))) == ([], 0, None)


def test_L3_streams_are_in_order(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1), write(2), note(), write(1), delete(2), write(1, key=1))

    def check(log: Log) -> None:
        assert (log.stream(touch(1)), log.stream(touch(2)), log.stream(touch(3))) == ([1, 4, 6], [2, 5], [])
        assert log.stream(touch(1), before=6) == log.stream(touch(1), before=5) == [1, 4]
        assert log.stream(touch(1), last=2) == [4, 6]
        assert log.stream(touch(1), before=6, last=1) == [4]
        assert log.stream(touch(1), last=0) == log.stream(touch(1), before=1) == []
        assert log.stream(touch(1), last=99) == [1, 4, 6]
        assert (log.last_touch(touch(1)), log.last_touch(touch(2))) == (6, 5)
        assert (log.find_idem(idem(1)), log.find_idem(idem(2))) == (6, None)

    check(log)
    stream = log.stream(touch(1))
    stream.append(99)
    check(log)
    check(logs.again(log))


def test_L3_reopening_changes_nothing(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1, key=1), write(2))
    log.append(Batch(transactions=((note(value=ODD), write(1)), (delete(2),))))
    before = (list(log.read()), log.chain(log.durable_lsn()), log.log_id, log.secret)
    log = logs.reopen(log)
    assert (list(log.read()), log.chain(log.durable_lsn()), log.log_id, log.secret) == before


def test_L3_events_have_a_place(logs: Logs) -> None:
    log = logs.make()
    append(log, note(), note())
    append(log, note())
    places = [log.locate(lsn) for lsn in (1, 2, 3)]
    assert [place.lsn for place in places] == [1, 2, 3]
    assert all(place.file and place.offset >= 0 and place.length > 0 for place in places)
    assert places[0].offset == places[1].offset, "one frame"
    assert places[1].offset + places[1].length <= places[2].offset
    segments, size = log.size()
    assert segments >= 1
    assert size > 0


def test_L13_the_chain_grows_with_each_frame(logs: Logs) -> None:
    log = logs.make()
    start = log.chain(0)
    chains = []
    for _ in range(3):
        append(log, note(), note())
        chains.append(log.chain(log.durable_lsn()))
    assert len({start, *chains}) == 4
    assert [log.chain(lsn) for lsn in range(7)] == [
        start,
        start,
        chains[0],
        chains[0],
        chains[1],
        chains[1],
        chains[2],
    ]


def test_L13_a_sound_log_verifies(logs: Logs) -> None:
    log = logs.make()
    assert log.verify().ok
    append(log, write(1), write(1), note())
    log.append(Batch(transactions=((note(), note()),)))
    report = log.verify()
    assert (report.ok, report.events, report.last_lsn, report.findings) == (True, 5, 5, ())
    assert report.frames == 2
    assert report.chain == log.chain(5).hex()
    assert logs.again(log).verify().chain == report.chain


def test_L3_wait_tells_of_durable_events(logs: Logs) -> None:
    log = logs.make()
    append(log, note())
    assert log.wait(0)
    assert log.wait(1, timeout=0)
    assert not log.wait(2, timeout=0)
    assert not log.wait(2, timeout=0.01)


def test_L3_a_tail_by_wait_misses_nothing(logs: Logs) -> None:
    log = logs.make()

    def tail() -> Iterable[str]:
        seen = 0
        while seen < 40:
            assert log.wait(seen + 1, timeout=30)
            for event in log.read(after=seen):
                assert event.lsn == seen + 1
                assert event.content is not None
                seen = event.lsn
                yield str(event.content.payload["text"])

    def work(number: int) -> list[str]:
        if number < 2:
            return list(tail())
        return [str(append_one(log, note(f"{number}.{n}")).lsn) for n in range(20)]

    one, other, *_ = together(4, work)
    assert isinstance(one, list), one
    assert one == other
    assert sorted(one) == sorted(f"{number}.{n}" for number in (2, 3) for n in range(20))


def test_L3_a_closed_log_refuses(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1, key=1))
    log.close()
    log.close()
    batch = Batch(transactions=((note(),),))
    refused(StoreClosed, lambda: log.append(batch))
    refused(StoreClosed, lambda: log.submit(batch).result(30))
    refused(StoreClosed, lambda: list(log.read()))
    refused(StoreClosed, lambda: log.get(1))
    refused(StoreClosed, lambda: log.stream(touch(1)))
    refused(StoreClosed, lambda: log.last_touch(touch(1)))
    refused(StoreClosed, lambda: log.find_idem(idem(1)))
    refused(StoreClosed, lambda: log.wait(2, timeout=30))
    refused(StoreClosed, log.verify)

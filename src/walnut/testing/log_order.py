"""Promises of a log about order, atomicity and durability: L1, L2, L3, L10 and the times of events."""

# A promise is named by its id and says in its name what it checks.
# ruff: noqa: D103, N802

from __future__ import annotations

import threading
from itertools import pairwise

import msgspec

from walnut.errors import InvalidArgument
from walnut.model import ids
from walnut.ports import Appended, Batch, Ticket
from walnut.testing.contract import together
from walnut.testing.log_drafts import (
    Logs,
    append,
    append_one,
    conflict,
    idem,
    note,
    recalled,
    refused,
    touch,
    untouched,
    write,
)


def test_L3_lsns_are_dense_from_one(logs: Logs) -> None:
    log = logs.make()
    assert (log.durable_lsn(), log.written_lsn(), list(log.read())) == (0, 0, [])
    lsns = [append_one(log, note()).lsn for _ in range(3)] + [a.lsn for a in append(log, note(), note())]
    assert lsns == [1, 2, 3, 4, 5]
    assert [event.lsn for event in log.read()] == lsns
    assert (log.durable_lsn(), log.written_lsn()) == (5, 5)


def test_L3_lsns_from_many_threads_are_dense_and_unique(logs: Logs) -> None:
    log = logs.make()

    def work(number: int) -> list[tuple[Appended, ...]]:
        done = []
        for turn in range(10):
            batch = Batch(transactions=((note(f"{number}.{turn}.0"),), (note(f"{number}.{turn}.1"),)))
            done.append(log.append(batch) if turn % 2 else log.submit(batch).result(30))
        return done

    texts: dict[int, str] = {}
    for number, batches in enumerate(together(8, work)):
        assert isinstance(batches, list), batches
        for turn, batch in enumerate(batches):
            assert [a.lsn for a in batch] == [batch[0].lsn, batch[0].lsn + 1], "a batch is in one piece"
            texts |= {each.lsn: f"{number}.{turn}.{n}" for n, each in enumerate(batch)}
        assert [b[0].lsn for b in batches] == sorted(b[0].lsn for b in batches), "a thread's appends are in order"
    assert [(e.lsn, e.content and e.content.payload["text"]) for e in log.read()] == sorted(texts.items())
    assert sorted(texts) == list(range(1, 161))


def test_L3_lsns_go_on_after_reopening(logs: Logs) -> None:
    log = logs.make()
    append(log, note(), note())
    log = logs.reopen(log)
    assert (log.durable_lsn(), append_one(log, note()).lsn) == (2, 3)


def test_L3_no_read_passes_the_durable_lsn(logs: Logs) -> None:
    log = logs.make()
    for turn in range(20):
        log.append(Batch(transactions=((note(),),), durability="process" if turn % 3 else "disk"))
        lsns = [event.lsn for event in log.read()]
        assert lsns == list(range(1, len(lsns) + 1))
        assert len(lsns) <= log.durable_lsn() <= log.written_lsn() == turn + 1


def test_L1_an_ack_at_disk_is_durable_when_it_is_given(logs: Logs) -> None:
    log = logs.make()

    def work(_: int) -> list[bool]:
        return [append_one(log, note()).lsn <= log.durable_lsn() for _ in range(5)]

    assert together(4, work) == [[True] * 5] * 4


def test_L1_an_ack_at_process_is_readable_after_a_sync(logs: Logs) -> None:
    log = logs.make()
    (first,) = log.append(Batch(transactions=((write(1),),), durability="process"))
    assert log.written_lsn() == first.lsn
    assert log.sync(first.lsn) >= first.lsn
    assert log.get(first.lsn).lsn == log.durable_lsn() == log.last_touch(touch(1)) == 1
    log.append(Batch(transactions=((note(),),), durability="process"))
    assert log.sync() == log.durable_lsn() == 2


def test_L1_a_write_at_process_counts_for_the_next_decision(logs: Logs) -> None:
    log = logs.make()
    log.append(Batch(transactions=((write(1, key=1),),), durability="process"))
    refused(type(conflict(1)), lambda: append_one(log, write(1), untouched(1, after=0)))
    assert append_one(log, write(1, key=1)).replayed
    assert append_one(log, write(1)).before_lsn == 1


def test_L2_a_refused_batch_leaves_nothing(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1, key=1))
    bad = [
        (write(2, key=2), write(1, key=1, request=b"another")),
        (write(2, key=2), msgspec.structs.replace(note(), recorded_at=1)),
        (write(2, key=2), note(number=2**70)),
    ]
    for drafts in bad:
        refused(Exception, lambda drafts=drafts: append(log, *drafts))  # type: ignore[misc]
    refused(Exception, lambda: append(log, write(2, key=2), conditions=(untouched(1, after=0),)))
    assert (log.written_lsn(), log.last_touch(touch(2)), log.find_idem(idem(2))) == (1, 0, None)
    appended = append_one(log, write(2, key=2))
    assert (appended.lsn, appended.replayed, appended.kind) == (2, False, "memory.write")
    assert [event.lsn for event in log.read()] == [1, 2]


def test_L2_a_reader_sees_batches_whole(logs: Logs) -> None:
    log = logs.make()
    ended = threading.Semaphore(0)

    def work(number: int) -> int:
        if number:
            try:
                for _ in range(10):
                    append(log, *[note()] * 5)
            finally:
                ended.release()
            return 0
        partial, left = 0, 3
        while left:
            left -= ended.acquire(timeout=0.001)
            partial += len(list(log.read())) % 5 != 0
        return partial

    assert together(4, work) == [0, 0, 0, 0]
    assert log.durable_lsn() == 150


def test_L2_events_name_the_first_of_their_transaction(logs: Logs) -> None:
    log = logs.make()
    append(log, note())
    log.append(Batch(transactions=((note(), note(), note()), (note(),), (note(), note()))))
    assert [event.txn for event in log.read()] == [1, 2, 2, 2, 5, 6, 6]
    assert [event.txn for event in logs.again(log).read()] == [1, 2, 2, 2, 5, 6, 6]


def test_L2_a_batch_without_drafts_gives_nothing(logs: Logs) -> None:
    log = logs.make()
    assert log.append(Batch(transactions=())) == ()
    assert log.append(Batch(transactions=((), ()))) == ()
    assert log.submit(Batch(transactions=())).result(30) == ()
    assert log.written_lsn() == 0


def test_L10_submitted_batches_are_appended_in_their_order(logs: Logs) -> None:
    log = logs.make()
    called: list[Ticket] = []
    done = threading.Semaphore(0)

    def callback(ticket: Ticket) -> None:
        called.append(ticket)
        done.release()

    tickets = [log.submit(Batch(transactions=((note(str(n)),),))) for n in range(50)]
    for ticket in tickets:
        ticket.add_done_callback(callback)
    assert [ticket.result(30)[0].lsn for ticket in tickets] == list(range(1, 51))
    assert all(done.acquire(timeout=30) for _ in tickets)
    tickets[0].add_done_callback(callback)
    assert done.acquire(timeout=30)
    assert sorted(map(id, called)) == sorted(map(id, [tickets[0], *tickets])), "each callback is called once"
    assert append_one(log, note()).lsn == 51, "a lone writer needs no company"


def test_L10_a_refused_ticket_raises_and_does_not_touch_its_neighbours(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1))
    batches = [
        Batch(transactions=((note(),),), conditions=(untouched(1, after=n % 2),)) for n in range(10)
    ]  # every other one is refused
    tickets = [log.submit(batch) for batch in batches]
    lsns = []
    for number, ticket in enumerate(tickets):
        if number % 2:
            lsns.append(ticket.result(30)[0].lsn)
        else:
            refused(type(conflict(1)), lambda ticket=ticket: ticket.result(30))  # type: ignore[misc]
    assert sorted(lsns) == [2, 3, 4, 5, 6]


def test_L3_times_never_decrease(logs: Logs) -> None:
    log = logs.make()
    together(4, lambda _: [append(log, note(), note()) for _ in range(10)])
    times = [event.recorded_at for event in log.read()]
    assert len(times) == 80
    assert all(one <= other for one, other in pairwise(times))


def test_L3_event_ids_are_unique_and_carry_their_time(logs: Logs) -> None:
    log = logs.make()
    appended = append(log, *[note()] * 200)
    events = list(log.read())
    assert [event.raw_id for event in events] == [each.raw_id for each in appended]
    assert len({event.id for event in events}) == 200
    for event in events:
        assert abs(int.from_bytes(event.raw_id[:6], "big") - event.recorded_at // 1_000_000) < 60_000
        assert ids.parse(event.id, prefix=ids.EVENT) == event.raw_id


def test_L3_adopted_ids_and_times_are_kept_in_order(logs: Logs) -> None:
    log = logs.make()
    for number in (1, 2, 2, 5):
        draft = msgspec.structs.replace(note(), event_id=bytes([number]) * 16, recorded_at=number * 10**9)
        append(log, draft)
    assert [(e.raw_id[0], e.recorded_at) for e in log.read()] == [(n, n * 10**9) for n in (1, 2, 2, 5)]
    early = msgspec.structs.replace(note(), recorded_at=4 * 10**9)
    refused(InvalidArgument, lambda: append(log, early))
    mixed = (msgspec.structs.replace(note(), recorded_at=6 * 10**9), note())
    refused(InvalidArgument, lambda: log.append(Batch(transactions=(mixed,))))
    append(log, note())
    assert log.get(5).recorded_at > 5 * 10**9
    ahead = log.get(5).recorded_at + 3600 * 10**9
    append(log, msgspec.structs.replace(note(), recorded_at=ahead))
    append(log, note())
    event = log.get(7)
    assert event.recorded_at == ahead, "a clock that stepped back does not take the log's time back"
    assert event.clock_raw is not None
    assert event.clock_raw < ahead
    log = logs.again(log)
    append(log, recalled())
    assert log.get(8).recorded_at >= ahead
